"""A GPU that is none: runs Python files as if there were one, and lists what CUDA would refuse.

    python -m tests.pretend_cuda PROFILE CAPABILITY notebooks/py/03_unet_finetune.py ...

PROFILE: whose recipes, made tiny. CAPABILITY: 8.9 (an L4, bf16) or 7.5 (a T4, fp16). More in docs/training.md.
"""

import contextlib
import runpy
import sys
import traceback
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import patch

import torch
from torch.overrides import TorchFunctionMode

from g2g.profiles import PROFILES, RECIPES, repo_root

# They may take tensors of two devices, and their result is where the first one is
FIRST = {"copy_", "_foreach_copy_", "__deepcopy__", "__set__", "backward", "_has_compatible_shallow_copy_type"}


def shrink(recipes: str) -> None:
    """Make `smoke` 20 photos, with a profile's recipes, of which each training is two steps long, or four."""
    PROFILES["smoke"] = replace(PROFILES["smoke"], n_train=20, n_test=8)
    short = {"batch_size": 6, "steps_per_epoch": 2}
    RECIPES["smoke"] = {name: replace(r, epochs=1 + r.d_epochs, **short) for name, r in RECIPES[recipes].items()}


def is_cuda(x) -> bool:
    """Whether a tensor is marked, or whether a device, or its name, is a GPU."""
    if isinstance(x, torch.Tensor):
        return x.layout == torch.strided and getattr(x.untyped_storage(), "is_pretended", False)
    return str(x).startswith("cuda")


def tensors(tree) -> list[torch.Tensor]:
    """The tensors in nested arguments."""
    parts = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list | tuple) else ()
    return [tree] if isinstance(tree, torch.Tensor) else [tensor for part in parts for tensor in tensors(part)]


def place(x, on_gpu, inputs=()):
    """`x` on the GPU or not: a copy where it is the memory of one of `inputs`, which lies elsewhere."""
    if is_cuda(x) == on_gpu or x.layout != torch.strided:
        return x
    if any(x.untyped_storage()._cdata == one.untyped_storage()._cdata for one in inputs):
        x = x.clone()
    x.untyped_storage().is_pretended = on_gpu
    return x


def where() -> str:
    """The project's line that called torch."""
    root, frames = f"{repo_root()}/", [f for f in reversed(traceback.extract_stack()) if f.filename != __file__]
    ours = [f for f in frames if f.filename.startswith(root) and "site-packages" not in f.filename]
    return f"{ours[0].filename.removeprefix(root)}:{ours[0].lineno}" if ours else "outside of the project"


class Generator(torch.Generator):
    """A generator of the CPU that says it is where it was asked to be."""

    device = torch.device("cpu")

    def __new__(cls, device="cpu"):
        placed = super().__new__(cls)
        placed.device = torch.device(device)
        return placed


class Watch(TorchFunctionMode):
    """Sees each call of torch, and puts into `refused` what CUDA would refuse, and where."""

    def __init__(self):
        self.refused = set()

    def __torch_function__(self, function, _, args=(), kwargs=None):
        name, kwargs, first = getattr(function, "__name__", ""), dict(kwargs or {}), args[0] if args else None
        if name == "__get__":
            attribute, value = function.__self__.__name__, function(first)
            if attribute in ("device", "is_cuda") and is_cuda(first):
                return torch.device("cuda", 0) if attribute == "device" else True
            return place(value, is_cuda(first)) if attribute == "grad" and value is not None else value
        if isinstance(first, torch.Tensor) and name in ("to", "cuda", "cpu", "type_as", "pin_memory"):
            return self._move(name, *args, **kwargs)
        asked, generator = kwargs.get("device"), kwargs.get("generator")
        kwargs |= {"device": "cpu"} if is_cuda(asked) else {}
        inputs = tensors((first if name == "__deepcopy__" else args, kwargs))
        follows = inputs[:1] if name in FIRST | {"__getitem__", "__setitem__"} else inputs
        on_gpu = is_cuda(asked) if asked is not None else any(map(is_cuda, follows))
        if on_gpu and name in ("numpy", "__array__", "__dlpack__"):
            self.refused.add(("a NumPy array of a CUDA tensor", where()))
        if generator is not None and is_cuda(generator.device) != on_gpu:
            self.refused.add((f"{name} with a generator of the other device", where()))
        if name not in FIRST and self._mixed(name, args, inputs):
            self.refused.add((f"{name} of tensors on CUDA and on the CPU", where()))
        result = function(*args, **kwargs)
        if isinstance(result, torch.Tensor) and (asked is not None or all(result is not one for one in inputs)):
            return place(result, on_gpu, inputs)
        [place(one, on_gpu or is_cuda(one)) for one in tensors(result)]
        return result

    def _move(self, name, tensor, *args, **kwargs):
        args = [kwargs.pop("device"), *args] if "device" in kwargs else args
        places = [one for one in args if isinstance(one, torch.Tensor | torch.device | str)]
        target = {"cuda": True, "cpu": False}.get(name, is_cuda([tensor, *places][-1]))
        args = ["cpu" if isinstance(one, torch.device | str) else one for one in args if name in ("to", "type_as")]
        return place(tensor.to(*args, **kwargs) if args or kwargs else tensor, target, [tensor])

    def _mixed(self, name, args, inputs):
        if name in ("__getitem__", "__setitem__"):  # an index on the CPU is moved to the GPU, but not back
            target, key, *value = args
            inputs = [] if not tensors(key) else [target, *tensors(value)] if is_cuda(target) else inputs
        return len({is_cuda(x) for x in inputs if x.ndim or name in ("cat", "stack")}) == 2  # it takes single numbers


@contextlib.contextmanager
def pretended_cuda(capability=(8, 9)):
    """A context in which torch says that it has a GPU of this compute capability; yields the `Watch`."""
    autocast, load = torch.autocast.__init__, torch.load

    def autocast_on_cpu(self, device_type, dtype=None, **options):  # in bfloat16, for float16 is slow on a CPU
        autocast(self, "cpu", dtype and torch.bfloat16, **options)

    def load_and_place(*args, map_location=None, **options):
        loaded = load(*args, map_location="cpu", **options)
        return [place(one, is_cuda(map_location)) for one in tensors(loaded)] and loaded

    answers = {"is_available": True, "get_device_capability": capability, "get_device_name": "a GPU that is none"}
    answers |= {"current_device": 0, "is_bf16_supported": True, "synchronize": None}
    answers |= {"get_device_properties": SimpleNamespace(name="a GPU that is none", total_memory=15 * 2**30)}
    answers = {name: lambda *_, answer=answer: answer for name, answer in answers.items()}
    with (
        patch.multiple(torch.cuda, **answers),
        patch.multiple(torch.accelerator, current_accelerator=lambda **_: None),
        patch.multiple(torch.autocast, __init__=autocast_on_cpu),
        patch.multiple(torch, load=load_and_place, Generator=Generator),
        Watch() as watch,
    ):
        yield watch


if __name__ == "__main__":
    _, profile, capability, *files = sys.argv
    shrink(profile)
    with patch.dict("os.environ", G2G_PROFILE="smoke"), pretended_cuda(tuple(map(int, capability.split(".")))) as watch:
        [runpy.run_path(file, run_name="__main__") for file in files]
    sys.exit("\n".join(f"CUDA would refuse {what}: {line}" for what, line in watch.refused) or 0)
