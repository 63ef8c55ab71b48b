"""What a network really does in one forward pass, as stages and skip connections, for `report.diagrams`."""

import itertools
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

CONTAINERS = {"Sequential", "ModuleList", "SequentialEx", "DynamicUnet"}  # looked into; else a unit
SILENT = ("Norm", "ReLU", "SiLU", "GELU", "Dropout", "Identity", "ResizeToOrig", "ToTensorBase")  # no label
NAMES = {
    "MaxPool2d": "max pool",
    "AvgPool2d": "average pool",
    "Upsample": "upsample",
    "MergeLayer": "concat",
    "PixelShuffle": "shuffle",
    "PixelShuffle_ICNR": "shuffle",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
}


@dataclass
class Stage:
    """Consecutive layers at one resolution: their names, and the channels and (height, width) of the last.

    kind: "data" (the input), "down", "low" (the smallest), "up" or "head" (the last layer that has weights).
    """

    size: tuple
    layers: list = field(default_factory=list)
    channels: int = 0
    kind: str = "down"


def trace(model: nn.Module, *inputs: torch.Tensor) -> tuple[list[Stage], list[tuple[int, int]]]:
    """Runs `model(*inputs)` in eval mode; returns its stages, the input first, and its skip connections.

    A skip is a pair of stage numbers: an output used again, as a layer's input or in a `torch.cat`, further
    on than in the next stage. The model is left in the mode it was in.
    """
    units, members = [], set()

    def register(module):
        for child in module.children():
            if type(child).__name__ in CONTAINERS:
                register(child)
            elif child not in members:
                units.append(child)
                members.update(child.modules())

    register(model)
    made, edges = {id(x): 0 for x in inputs}, []
    events = [(None, inputs)]  # events keep the outputs: ids stay unique

    def use(tensors):
        edges.extend((made[id(t)], len(events)) for t in tensors if id(t) in made)

    def after(unit, args, out):
        made[id(out)] = len(events)
        events.append((unit, (out,)))

    class Concatenations(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func is torch.cat:
                use(args[0] if args else kwargs["tensors"])
            return func(*args, **(kwargs or {}))

    hooks = [m.register_forward_pre_hook(lambda module, args: use(args)) for m in members]
    hooks += [unit.register_forward_hook(after) for unit in units]
    modes = {m: m.training for m in model.modules()}
    try:
        with torch.no_grad(), Concatenations():
            model.eval()(*inputs)
    finally:
        for module, training in modes.items():
            module.training = training
        for hook in hooks:
            hook.remove()
    return _stages(events, edges)


def _stages(events, edges):
    head = max((i for i, (unit, _) in enumerate(events) if unit and list(unit.parameters())), default=0)
    stages, stage_of = [], []
    for i, (unit, out) in enumerate(events):
        size = tuple(out[0].shape[-2:])
        if i < 2 or i == head or size != stages[-1].size:
            stages.append(Stage(size))
        stages[-1].channels = sum(x.shape[1] for x in out)
        stages[-1].layers += [name] if (name := unit and layer_name(unit)) else []
        stage_of.append(len(stages) - 1)
    lowest = min(range(len(stages)), key=lambda i: stages[i].size)
    for i, stage in enumerate(stages):
        stage.kind = "down" if i < lowest else "low" if i == lowest else "up"
    stages[0].kind, stages[-1].kind = "data", "head"
    skips = {(stage_of[a], stage_of[b]) for a, b in edges}
    return stages, sorted((a, b) for a, b in skips if b - a > 1)


def layer_name(module: nn.Module) -> str | None:
    """A layer's name in a diagram, None if it gets none; a block of one convolution is called after it."""
    name = type(module).__name__
    if any(word in name for word in SILENT):
        return None
    convs = [m for m in module.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    if name in NAMES or len(convs) != 1:
        return NAMES.get(name, name)
    kind, stride = "conv" if isinstance(convs[0], nn.Conv2d) else "up-conv", convs[0].stride[0]
    return "{} {}×{}".format(kind, *convs[0].kernel_size) + (f" /{stride}" if stride > 1 else "")


def summary(stage: Stage) -> str:
    """The stage's layers, one kind a line, repetitions counted: "max pool", "2 × BasicBlock"."""
    counted = [(name, len(list(group))) for name, group in itertools.groupby(stage.layers)]
    return "\n".join(f"{n} × {name}" if n > 1 else name for name, n in counted)


def receptive_field(model: nn.Module) -> int:
    """Side in pixels of what one output sees, for a plain chain of convolutions."""
    side, jump = 1, 1
    for conv in (m for m in model.modules() if isinstance(m, nn.Conv2d)):
        side, jump = side + (conv.kernel_size[0] - 1) * jump, jump * conv.stride[0]
    return side
