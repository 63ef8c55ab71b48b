"""Write the pretrained models as ONNX files, with which the page in `web/` colors: `python tools/export_onnx.py`.

`outputs/onnx/` gets the graphs, a file of the weights that several of them share (the encoder), and `models.json`, the
list of what there is. Weights are stored in half precision, computed with in full; H and W are free multiples of 32.
Needs the packages onnx and onnxscript (`pip install onnx onnxscript`).
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data
from timm.layers import Conv2dSame
from torch import nn

from g2g import lab
from g2g.figures import title
from g2g.palette import bins
from g2g.profiles import repo_root
from g2g.runs import pretrained_model, pretrained_models

NAMES = ("palette", "cgan", "flow", "unet")  # those of the page; others are for the course's comparisons
SMALL = 256  # values: a tensor below this size is stored as it is


def both(L):
    """A photo and its mirror image as a batch of two."""
    return torch.cat([L, L.flip(3)])


def average(planes):
    """Of a batch of `both`: the mean of the first and of the second, mirrored back."""
    return (planes[:1] + planes[1:].flip(3)) / 2


class Unet(nn.Module):
    """L (1,1,H,W) to ab (1,2,H,W)."""

    def __init__(self, model):
        super().__init__()
        self.unet = model

    def forward(self, L):
        return average(self.unet(both(L)))


class Palette(Unet):
    """L, temperature and rebalancing, each (1,), to ab and to the logits of the bins (1,Q,H/4,W/4), rebalanced."""

    def __init__(self, model):
        super().__init__(model.unet)
        self.register_buffer("log_weights", model.class_weights.log().view(1, -1, 1, 1))
        self.register_buffer("bins", bins().T[:, :, None, None] / lab.AB_SCALE)

    def forward(self, L, temperature, rebalancing):
        logits = self.unet.quarter(both(L)) - (1 - rebalancing) * self.log_weights
        ab = F.conv2d((logits / temperature).softmax(dim=1), self.bins)
        return average(F.interpolate(ab, size=L.shape[2:], mode="bilinear")), average(logits)


class FlowCondition(Unet):
    """L to the condition (2,C,H/8,W/8) of `both` and the U-Net's own prediction (1,2,H,W)."""

    def forward(self, L):
        L = both(L)
        features = self.unet.decode(L)
        mean = self.unet.head(features)
        seen = [F.avg_pool2d(L, 8), 10 * F.avg_pool2d(mean, 2), F.avg_pool2d(features, 2)]
        return torch.cat(seen, dim=1), average(F.interpolate(mean, size=L.shape[2:], mode="bilinear"))


class FlowStep(nn.Module):
    """x (2,2,H/8,W/8) at time t (1,), the step in time (1,), condition and prediction: x after the step, and its ab."""

    def __init__(self, model):
        super().__init__()
        self.velocity = model.velocity
        self.register_buffer("residual_std", model.residual_std)

    def forward(self, x, t, step, condition, mean):
        x = x + step * self.velocity(x, t.expand(2), condition)
        return x, mean + average(F.interpolate(self.residual_std * x, size=mean.shape[2:], mode="bilinear"))


def graphs(name, model):
    """The graphs of a model: for each file name its module, example inputs by name, and names of the outputs."""
    side = 128
    L = torch.zeros(1, 1, side, side)
    value = torch.ones(1)
    if name == "palette":
        inputs = {"L": L, "temperature": value, "rebalancing": value}
        return {name: (Palette(model), inputs, ["ab", "logits"])}
    if name != "flow":
        return {name: (Unet(model), {"L": L}, ["ab"])}
    condition, mean = FlowCondition(model.unet)(L)
    x = torch.zeros(2, 2, side // 8, side // 8)
    inputs = {"x": x, "t": value, "step": value, "condition": condition, "mean": mean}
    return {
        "flow-condition": (FlowCondition(model.unet), {"L": L}, ["condition", "mean"]),
        "flow-step": (FlowStep(model), inputs, ["x_next", "ab"]),
    }


def export(module, inputs, outputs) -> onnx.ModelProto:
    """`module` as an ONNX graph whose spatial sizes are free."""
    for parent in list(module.modules()):
        for child, layer in list(parent.named_children()):
            if isinstance(layer, Conv2dSame):  # pads by the size of its input; at even sizes always alike
                setattr(parent, child, with_fixed_padding(layer))
    h, w = torch.export.Dim("h", min=1, max=256), torch.export.Dim("w", min=1, max=256)
    shapes = {}
    for key, tensor in inputs.items():
        multiple = {"x": 4, "condition": 4}.get(key, 32)
        shapes[key] = {2: multiple * h, 3: multiple * w} if tensor.ndim == 4 else None
    with torch.no_grad():
        program = torch.export.export(module.eval(), tuple(inputs.values()), dynamic_shapes=shapes)
        options = {"input_names": list(inputs), "output_names": outputs, "verbose": False}
        return torch.onnx.export(program, dynamo=True, **options).model_proto


def with_fixed_padding(layer):
    total = layer.kernel_size[0] - layer.stride[0]
    padding = (total // 2, total - total // 2)
    plain = nn.Conv2d(1, 1, layer.kernel_size, layer.stride, groups=1)
    plain.weight, plain.bias, plain.groups = layer.weight, layer.bias, layer.groups
    return nn.Sequential(nn.ZeroPad2d(2 * padding), plain)


def store(models: dict, folder: Path) -> dict:
    """Write the graphs with weights in half precision, those that several have in one file; the files of each graph."""
    owners = {}
    for name, model in models.items():
        for tensor in model.graph.initializer:
            if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= SMALL:
                half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{tensor.name}_half")
                model.graph.node.insert(0, helper.make_node("Cast", [half.name], [tensor.name], to=TensorProto.FLOAT))
                tensor.CopyFrom(half)
                owners.setdefault(half.raw_data, set()).add(name)
    files = {name: [f"{name}.onnx"] for name in models}
    for group in {frozenset(names) for names in owners.values() if len(names) > 1}:
        parts = sorted(data for data, names in owners.items() if names == group)
        shared = f"shared-{hashlib.sha256(b''.join(parts)).hexdigest()[:12]}.bin"
        (folder / shared).write_bytes(b"".join(parts))
        starts = dict(zip(parts, np.cumsum([0, *map(len, parts)]), strict=False))
        for name in group:
            files[name].append(shared)
            for tensor in models[name].graph.initializer:
                if tensor.raw_data in starts:
                    set_external_data(tensor, shared, int(starts[tensor.raw_data]), len(tensor.raw_data))
                    tensor.ClearField("raw_data")
    for name, model in models.items():
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    return files


def main() -> None:
    folder = repo_root() / "outputs" / "onnx"
    folder.mkdir(parents=True, exist_ok=True)
    models, about = {}, []
    for name in (name for name in pretrained_models() if name in NAMES):
        model, size, sentence = pretrained_model(name)
        parts = graphs(name, model)
        models |= {part: export(*arguments) for part, arguments in parts.items()}
        about.append({"name": name, "title": title(name), "size": size, "sentence": sentence, "graphs": list(parts)})
    files = store(models, folder)
    (folder / "models.json").write_text(json.dumps({"models": about, "files": files}, indent=1) + "\n")


if __name__ == "__main__":
    main()
