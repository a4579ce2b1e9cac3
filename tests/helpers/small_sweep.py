"""Words of a sweep of minutes for tests: the smallest networks and images that still train."""

NETWORKS = """
--generator.channels 24 --generator.num-blocks 1 --discriminator.base-channels 8 --discriminator.num-layers 4
--data.crop-px 48 --data.batch-size 4 --data.eval-images 4 --optim.lr-psnr 3e-3 --optim.lr-g 1e-5
""".split()
SMALL = (
    """
--recipe demo --space balance --trials 2 --repeat-top 0 --confirm-top 1 --confirm-seeds 1
--run.psnr-steps 40 --run.gan-steps 8 --run.psnr-eval-every-steps 20 --run.eval-every-steps 4
--run.log-every-steps 4 --run.checkpoint-every-steps 2
""".split()
    + NETWORKS
)
