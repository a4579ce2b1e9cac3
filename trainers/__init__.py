"""Training and evaluation of one network. Never imports ray, mlflow or optuna.

train              train(config, out, work_dir): one run in one folder, the command experiments/train.py
training           TrainingRun: the training loop
train_step         TrainStep: one update of each network
memory             LiveBytes: peak memory of live tensors; forecast_gib: that of a step on a GPU, without one
cuda_graph         accelerated: a TrainStep as one CUDA graph
step_losses        StepLosses, build_features: the losses of a step from the settings
losses             formulas of the losses
backbones          layers of AlexNet and VGG, the networks of the content loss and of LPIPS and DISTS
vgg_features       VGGFeatures: the network of the content loss
content_cache      ContentCache: stored content features of real images
mixed_precision    ComputeCopy: bf16 copies of weights, cast once per update
numerics           TF32 and determinism of a GPU, in training and in measurements
divergence         DivergenceGuard: detects values that are not finite
optimizers         build_optimizer, set_rate
lr_schedule        lr_factor: learning rate over a phase
state              TrainState, History, Diverged, Stopped
checkpoint         save, load, load_generator: a run on disk
monitor            Monitor, FolderMonitor, SilentMonitor: receivers of logs, reports and checkpoints
objectives         Objectives: distortion and perception, dominance, feasible-first order
evaluate           Evaluator: metrics of a generator on fixed images
preflight          check, check_plugins: tests of settings, data and a user's code before training
warm_start_key     warm_start_key: the identity of a PSNR phase
weight_import      import_generator: the network in a public weight file
weight_formats     public_weights: our networks under other projects' tensor names
start              read_start, write_start: a public network as the start of a run
plugins            the user's own networks, losses and metrics: FILE.py:NAME
device             pick_device: the choice of the device; device_check: a test of it before training
sentinels          edits that restore nothing, which a GAN must beat
step_timing        seconds of a training step
distributed        Ranks: collective operations of several processes

Packages: config (settings), models (networks), metrics, weights (published), inference (upscaling files),
benchmarks (test sets, cost and tables).
"""
