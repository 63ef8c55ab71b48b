"""sRGB to CIE L*a*b* and back (D65, 2°): batched, differentiable, on any device.

Formulas: IEC 61966-2-1 for sRGB, CIE 15 for L*a*b*; matrix and white point are those of `skimage.color`.
"""

import numpy as np
import torch

AB_SCALE = 110.0  # a* and b* of the sRGB gamut lie in -86…98 and -108…94
XYZ_FROM_RGB = [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
WHITE = [0.95047, 1.0, 1.08883]  # XYZ of D65
DELTA = 6 / 29  # the cube root of L*a*b* becomes a straight line below DELTA**3

_MATRIX = (np.array(XYZ_FROM_RGB) / np.array(WHITE)[:, None]).tolist()  # linear RGB -> XYZ relative to white
_INVERSE = np.linalg.inv(np.array(_MATRIX)).tolist()


def rgb_to_lab(rgb: torch.Tensor) -> torch.Tensor:
    """sRGB in [0, 1] to CIE Lab: L* in [0, 100], a* and b* within about ±110.

    Shapes (B,3,H,W) or (3,H,W), float32 or float64; the result has shape, dtype and device of the input.
    Gradients are finite everywhere, for black and for values outside [0, 1] too.

    Raises:
        ValueError: another shape or dtype.
    """
    _check(rgb, "rgb")
    x, y, z = (_f(t) for t in _mix(_MATRIX, _linearize(rgb).unbind(-3)))
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-3)


def lab_to_rgb(lab: torch.Tensor, clip: bool = True) -> torch.Tensor:
    """CIE Lab to sRGB; shapes and dtypes as in `rgb_to_lab`, which it inverts.

    With `clip` the result is forced into [0, 1] (gradient 0 outside of the gamut); without, colours that no
    screen can show come out below 0 or above 1, still with finite gradients.

    Raises:
        ValueError: another shape or dtype.
    """
    _check(lab, "lab")
    L, a, b = lab.unbind(-3)
    y = (L + 16) / 116
    z = y - b / 200
    z = z.clamp(min=0) if clip else z  # as skimage does for colours beyond blue's opposite
    xyz = [_f_inverse(t) for t in (y + a / 500, y, z)]
    rgb = _delinearize(torch.stack(_mix(_INVERSE, xyz), dim=-3))
    return rgb.clamp(0, 1) if clip else rgb


def normalize(lab: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """CIE Lab (…,3,H,W) to what the models see: L (…,1,H,W) = L*/50 - 1 and ab (…,2,H,W) = ab*/110."""
    _check(lab, "lab")
    return lab[..., :1, :, :] / 50 - 1, lab[..., 1:, :, :] / AB_SCALE


def denormalize(L: torch.Tensor, ab: torch.Tensor) -> torch.Tensor:
    """The inverse of `normalize`: L (…,1,H,W) and ab (…,2,H,W) to CIE Lab (…,3,H,W)."""
    if (
        L.ndim != ab.ndim
        or L.ndim not in (3, 4)
        or L.shape[-3] != 1
        or ab.shape[-3] != 2
        or (L.shape[:-3], L.shape[-2:]) != (ab.shape[:-3], ab.shape[-2:])
    ):
        raise ValueError(
            f"expected L (B,1,H,W) and ab (B,2,H,W) of one size, got {tuple(L.shape)} and {tuple(ab.shape)}"
        )
    return torch.cat([(L + 1) * 50, ab * AB_SCALE], dim=-3)


def to_rgb(L: torch.Tensor, ab: torch.Tensor) -> torch.Tensor:
    """Normalised L (B,1,H,W) and ab (B,2,H,W) to sRGB (B,3,H,W), clipped to [0, 1] for display."""
    return lab_to_rgb(denormalize(L, ab))


def photos_to_lab(photos, device=None) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8 photos (B,H,W,3), tensor or array, to normalised L (B,1,H,W) and ab (B,2,H,W) on `device`.

    The fast path of training: 256 possible values need no power function, so a table linearises sRGB.

    Raises:
        ValueError: another shape or dtype.
    """
    if not isinstance(photos, torch.Tensor):
        photos = np.asarray(photos)
    if photos.ndim != 4 or photos.shape[-1] != 3 or str(photos.dtype).removeprefix("torch.") != "uint8":
        raise ValueError(f"photos: expected uint8 (B,H,W,3), got {photos.dtype} {tuple(photos.shape)}")
    if not isinstance(photos, torch.Tensor):
        photos = torch.from_numpy(photos.transpose(0, 3, 1, 2).copy())  # a copy: the memory map is read-only
    else:
        photos = photos.permute(0, 3, 1, 2)
    photos = photos.to(device or photos.device).contiguous()
    n, _, h, w = photos.shape
    L, ab = (torch.empty(n, c, h, w, device=photos.device) for c in (1, 2))
    table = _TABLE.to(photos.device)
    step = 1 if photos.device.type == "cpu" else max(n, 1)  # photo by photo, the work stays in a CPU's cache
    for i in range(0, n, step):
        part = slice(i, i + step)
        linear = table.index_select(0, photos[part].flatten().int()).view(-1, 3, h, w)
        x, y, z = (_f(t) for t in _mix(_MATRIX, linear.unbind(1)))
        torch.mul(x.sub_(y), 500 / AB_SCALE, out=ab[part, 0])
        torch.mul(z.neg_().add_(y), 200 / AB_SCALE, out=ab[part, 1])
        torch.sub(y.mul_(116 / 50), 66 / 50, out=L[part, 0])
    return L, ab


def _check(x, name):
    if (
        not isinstance(x, torch.Tensor)
        or x.ndim not in (3, 4)
        or x.shape[-3] != 3
        or x.dtype not in (torch.float32, torch.float64)
    ):
        got = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, torch.Tensor) else type(x).__name__
        raise ValueError(f"{name}: expected a float32 or float64 tensor (B,3,H,W) or (3,H,W), got {got}")


def _mix(matrix, planes):
    # Plain sums: a matrix product would run in TF32 or bf16 on a GPU and lose the digits.
    return [row[0] * planes[0] + row[1] * planes[1] + row[2] * planes[2] for row in matrix]


# Below, a clamp inside keeps the branch that `where` drops from sending an infinite gradient back.
def _linearize(rgb):
    curve = ((rgb.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(rgb > 0.04045, curve, rgb / 12.92)


def _delinearize(linear):
    curve = 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear > 0.0031308, curve, 12.92 * linear)


def _f(t):
    # cube root above DELTA**3, its tangent below; `where` would cost more than the root
    high = t.clamp(min=DELTA**3)
    return high ** (1 / 3) + (t - high) / (3 * DELTA**2)


def _f_inverse(f):
    return torch.where(f > DELTA, f**3, 3 * DELTA**2 * (f - 4 / 29))


_TABLE = _linearize(torch.arange(256, dtype=torch.float64) / 255).float()
