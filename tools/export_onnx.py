"""Write the pretrained models as ONNX files, with which the page in `web/` colors: `python tools/export_onnx.py`.

`outputs/onnx/` gets the graphs, files of the weights that several of them share (the encoder), and `models.json`, the
list of what there is. Weights are stored in half precision and computed with in full; H and W are free multiples of 32.
Needs the packages onnx and onnxscript, which `make site` installs.
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data
from timm.layers import Conv2dSame
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from g2g.lab import AB_SCALE  # noqa: E402
from g2g.palette import annealed_mean, bins  # noqa: E402
from g2g.profiles import TITLES  # noqa: E402
from g2g.runs import pretrained_model, pretrained_models  # noqa: E402

NAMES = ("palette", "unet", "cgan", "flow")  # those of the page; others are for the course's comparisons
FOLDER = ROOT / "outputs" / "onnx"
SMALL = 256  # values: a smaller tensor is stored as it is


def both(L):
    """A photo and its mirror image as a batch of two."""
    return torch.cat([L, L.flip(3)])


def average(ab):
    """Of the prediction for `both`: the mean of the first and of the second, mirrored back, as `g2g.colorize` does."""
    return (ab[:1] + ab[1:].flip(3)) / 2


class Unet(nn.Module):
    """L (1,1,H,W) to ab (1,2,H,W)."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, L):
        return average(self.model(both(L)))


class Palette(nn.Module):
    """L, temperature and rebalancing, each (1,), to ab and the probabilities of the bins (1,Q,H/4,W/4).

    As `PaletteUnet.paint`, with both as inputs of the graph; the probabilities are those of temperature 1.
    """

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.register_buffer("bins", bins().T[:, :, None, None] / AB_SCALE)

    def forward(self, L, temperature, rebalancing):
        weights = self.model.class_weights.log().view(1, -1, 1, 1)
        logits = self.model.logits(both(L)) - (1 - rebalancing) * weights
        ab = F.conv2d((logits / temperature).softmax(dim=1), self.bins)
        ab = F.interpolate(ab, size=L.shape[2:], mode="bilinear")
        return average(ab), average(logits.softmax(dim=1))


class FlowCondition(nn.Module):
    """L to the condition (1,C,H/8,W/8) and the U-Net's own prediction (1,2,H,W), as `FlowUnet.condition`."""

    def __init__(self, model):
        super().__init__()
        self.unet = model.unet

    def forward(self, L):
        features = self.unet.decode(L)
        ab = self.unet.head(features)
        if ab.shape[1] != 2:  # it starts from a palette
            ab = annealed_mean(ab, 1.0)
        # At multiples of 32 the mean over an area is a mean over squares
        condition = torch.cat([F.avg_pool2d(L, 8), 10 * F.avg_pool2d(ab, 2), F.avg_pool2d(features, 2)], dim=1)
        return condition, F.interpolate(ab, size=L.shape[2:], mode="bilinear")


class FlowStep(nn.Module):
    """One step of Euler's method: x (1,2,h,w), time and its step (1,), condition and prediction to next x and ab."""

    def __init__(self, model):
        super().__init__()
        self.velocity = model.velocity
        self.register_buffer("residual_std", model.residual_std)

    def forward(self, x, t, step, condition, mean):
        x = x + step * self.velocity(x, t, condition)
        return x, mean + F.interpolate(self.residual_std * x, size=mean.shape[2:], mode="bilinear")


def graphs(name: str, model) -> dict:
    """The graphs of a model: for each file name its module, example inputs by name, and names of the outputs."""
    L = torch.zeros(1, 1, 128, 128)
    first, second = torch.ones(1), torch.ones(1)  # one tensor given twice would be one input
    if name == "palette":
        inputs = {"L": L, "temperature": first, "rebalancing": second}
        return {name: (Palette(model), inputs, ["ab", "probabilities"])}
    if name != "flow":
        return {name: (Unet(model), {"L": L}, ["ab"])}
    condition, mean = model.condition(L)
    x = torch.zeros(1, 2, 16, 16)
    inputs = {"x": x, "t": first, "step": second, "condition": condition, "mean": mean}
    return {
        "flow-condition": (FlowCondition(model), {"L": L}, ["condition", "mean"]),
        "flow-step": (FlowStep(model), inputs, ["next", "ab"]),
    }


def parameters(name: str, model) -> dict:
    """The defaults of what a user may change."""
    if name == "palette":
        return {"temperature": model.temperature, "rebalancing": model.rebalancing}
    return {"steps": model.steps} if name == "flow" else {}


def export(module, inputs, outputs) -> onnx.ModelProto:
    """`module` as an ONNX graph whose H and W are free."""
    for parent in list(module.modules()):
        for child, layer in list(parent.named_children()):
            if isinstance(layer, Conv2dSame):  # pads by the size of its input, which at even sizes is always alike
                setattr(parent, child, _with_fixed_padding(layer))
    h, w = torch.export.Dim("h", min=1, max=256), torch.export.Dim("w", min=1, max=256)
    shapes = {}
    for key, tensor in inputs.items():
        multiple = 32 if key in ("L", "mean") else 4
        shapes[key] = {2: multiple * h, 3: multiple * w} if tensor.ndim == 4 else None
    with torch.no_grad():
        program = torch.export.export(module.eval(), tuple(inputs.values()), dynamic_shapes=tuple(shapes.values()))
        exported = torch.onnx.export(
            program, dynamo=True, input_names=list(inputs), output_names=outputs, verbose=False
        )
    return exported.model_proto


def _with_fixed_padding(layer):
    total = layer.kernel_size[0] - layer.stride[0]
    before, after = total // 2, total - total // 2
    plain = nn.Conv2d(1, 1, layer.kernel_size, layer.stride)
    plain.weight, plain.bias, plain.groups = layer.weight, layer.bias, layer.groups
    return nn.Sequential(nn.ZeroPad2d((before, after, before, after)), plain)


def store(models: dict, folder: Path) -> dict:
    """Write graphs by name, weights in half precision, those that several have in one file; each graph's files."""
    owners = {}  # of the bytes of each weight: the graphs that have it
    for name, model in models.items():
        for tensor in model.graph.initializer:
            if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= SMALL:
                half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{tensor.name}_half")
                model.graph.node.insert(0, helper.make_node("Cast", [half.name], [tensor.name], to=TensorProto.FLOAT))
                tensor.CopyFrom(half)
                owners.setdefault(half.raw_data, set()).add(name)
    files = {name: {f"{name}.onnx": 0} for name in models}  # and their sizes in bytes
    for group in {frozenset(names) for names in owners.values() if len(names) > 1}:
        parts = sorted(data for data, names in owners.items() if names == group)
        shared = f"shared-{hashlib.sha256(b''.join(parts)).hexdigest()[:12]}.bin"
        (folder / shared).write_bytes(b"".join(parts))
        starts = dict(zip(parts, np.cumsum([0, *map(len, parts)]), strict=False))
        for name in group:
            files[name][shared] = sum(map(len, parts))
            for tensor in models[name].graph.initializer:
                if tensor.raw_data in starts:
                    set_external_data(tensor, shared, int(starts[tensor.raw_data]), len(tensor.raw_data))
                    tensor.ClearField("raw_data")
    for name, model in models.items():
        files[name][f"{name}.onnx"] = (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    return files


def main() -> None:
    """Export what `pretrained_models` has of `NAMES`, in that order."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    models, about = {}, []
    for name in (name for name in NAMES if name in pretrained_models()):
        model, size, sentence = pretrained_model(name)
        parts = graphs(name, model)
        facts = {"name": name, "title": TITLES[name], "size": size, "sentence": sentence, "graphs": list(parts)}
        if name == "palette":
            facts["bins"] = bins().tolist()
        about.append(facts | {"parameters": parameters(name, model)})
        models |= {graph: export(*arguments) for graph, arguments in parts.items()}
    files = store(models, FOLDER)
    (FOLDER / "models.json").write_text(json.dumps({"models": about, "files": files}, indent=1) + "\n")


if __name__ == "__main__":
    main()
