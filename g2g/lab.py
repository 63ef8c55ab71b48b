"""sRGB to CIE L*a*b* and back (D65, 2°): batched, differentiable, on any device.

Formulas: IEC 61966-2-1 for sRGB, CIE 15 for L*a*b*; matrix and white point are those of `skimage.color`.
Each function raises ValueError for another shape or dtype than its docstring names.
"""

import numpy as np
import torch
from torch import Tensor

AB_SCALE = 110.0  # a* and b* of the sRGB gamut lie in -86…98 and -108…94
NEAR_GRAY = 5.0  # CIE chroma below which a pixel or a photo counts as near-gray: where color begins to be noticed
XYZ_FROM_RGB = [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
WHITE = [0.95047, 1.0, 1.08883]  # XYZ of D65
DELTA = 6 / 29  # the cube root of L*a*b* becomes a straight line below DELTA**3
SLOPE = 3 * DELTA**2  # of that line

_FORWARD = np.array(XYZ_FROM_RGB) / np.array(WHITE)[:, None]  # linear RGB to XYZ relative to white
_INVERSE = np.linalg.inv(_FORWARD)


def rgb_to_lab(rgb):
    """sRGB in [0, 1], (B,3,H,W) or (3,H,W), float32 or float64, to CIE Lab: L* in [0, 100], a* and b* within ±110.

    Gradients are finite everywhere, for black and for values outside [0, 1] too.
    """
    _check(rgb, "rgb")
    return _linear_to_lab(_linearize(rgb))


def lab_to_rgb(lab, clip=True):
    """The inverse of `rgb_to_lab`, with finite gradients.

    With `clip` the result is forced into [0, 1], gradient 0 outside; without, colors that no screen can show come out
    below 0 or above 1.
    """
    _check(lab, "lab")
    L, a, b = lab.unbind(-3)
    y = (L + 16) / 116
    x = y + a / 500
    z = y - b / 200
    if clip:
        z = z.clamp(min=0)  # as skimage does for colors beyond blue's opposite
    xyz = [_f_inverse(plane) for plane in (x, y, z)]
    rgb = _delinearize(torch.stack(_mix(_INVERSE, xyz), -3))
    return rgb.clamp(0, 1) if clip else rgb


def normalize(lab):
    """CIE Lab (…,3,H,W) to what the models see: L (…,1,H,W) = L*/50 - 1 and ab (…,2,H,W) = ab*/110."""
    _check(lab, "lab")
    L, ab = lab.split([1, 2], -3)
    return L / 50 - 1, ab / AB_SCALE


def denormalize(L, ab):
    """The inverse of `normalize`: L (…,1,H,W) and ab (…,2,H,W) to CIE Lab (…,3,H,W)."""
    if L.shape[-3:-2] != (1,) or ab.shape != (*L.shape[:-3], 2, *L.shape[-2:]):
        raise ValueError(f"expected L (B,1,H,W) and ab (B,2,H,W) of one size, got {(*L.shape,)} and {(*ab.shape,)}")
    return torch.cat([(L + 1) * 50, ab * AB_SCALE], -3)


def to_rgb(L, ab):
    """Normalized L (B,1,H,W) and ab (B,2,H,W) to sRGB (B,3,H,W), clipped to [0, 1] for display."""
    return lab_to_rgb(denormalize(L, ab))


def photos_to_lab(photos, device=None):
    """uint8 photos (B,H,W,3), tensor or array, to normalized L (B,1,H,W) and ab (B,2,H,W) on `device`.

    The fast path of training: 256 possible values need no power function, so a table linearizes sRGB.
    """
    if not isinstance(photos, Tensor):
        photos = torch.from_numpy(np.array(photos))  # a copy: a memory map is read-only
    if photos.ndim != 4 or photos.shape[-1] != 3 or photos.dtype != torch.uint8:
        raise ValueError(f"photos: expected uint8 (B,H,W,3), got {photos.dtype} {tuple(photos.shape)}")
    photos = photos.to(device or photos.device).permute(0, 3, 1, 2).contiguous()
    table = _TABLE.to(photos.device)
    converted = []
    for part in photos.split(64):  # so that the memory of the steps between does not grow with their number
        linear = table.index_select(0, part.flatten().int()).view(part.shape)
        converted.append(normalize(_linear_to_lab(linear)))
    L, ab = zip(*converted, strict=True)
    return torch.cat(L), torch.cat(ab)


def batches(photos, batch_size=32, device="cpu"):
    """(L, ab) of an array of uint8 photos (N,H,W,3), in order, `batch_size` at a time."""
    for start in range(0, len(photos), batch_size):
        yield photos_to_lab(photos[start : start + batch_size], device)


def _check(x, name):
    if x.ndim not in (3, 4) or x.shape[-3] != 3 or x.dtype not in (torch.float32, torch.float64):
        expected = "a float32 or float64 tensor (B,3,H,W) or (3,H,W)"
        raise ValueError(f"{name}: expected {expected}, got {x.dtype} {tuple(x.shape)}")


def _linear_to_lab(linear):
    x, y, z = [_f(plane) for plane in _mix(_FORWARD, linear.unbind(-3))]
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -3)


def _mix(matrix, planes):
    # Plain sums: a matrix product would run in TF32 or bf16 on a GPU and lose the digits.
    first, second, third = planes
    return [a * first + b * second + c * third for a, b, c in matrix.tolist()]


# Below, a clamp inside keeps the branch that `where` drops from sending an infinite gradient back.
def _linearize(rgb):
    high = rgb.clamp(min=0.04045)
    curve = ((high + 0.055) / 1.055) ** 2.4
    return torch.where(rgb > 0.04045, curve, rgb / 12.92)


def _delinearize(linear):
    high = linear.clamp(min=0.0031308)
    curve = 1.055 * high ** (1 / 2.4) - 0.055
    return torch.where(linear > 0.0031308, curve, 12.92 * linear)


def _f(t):
    # cube root above DELTA**3, its tangent below; `where` would cost more than the root
    high = t.clamp(min=DELTA**3)
    return high ** (1 / 3) + (t - high) / SLOPE


def _f_inverse(f):
    return torch.where(f > DELTA, f**3, SLOPE * (f - 4 / 29))


_TABLE = _linearize(torch.arange(256, dtype=torch.float64) / 255).float()
