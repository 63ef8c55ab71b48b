"""Color as a distribution: bins of the ab plane, soft targets, class weights, and the U-Net that predicts it.

After Zhang, Isola & Efros 2016, "Colorful Image Colorization" (arXiv 1603.08511), sections 2.1 to 2.3. Bins are in CIE
units; Q is their number, 260.
"""

import functools

import torch
import torch.nn.functional as F
from torch import nn

from g2g import lab

GRID = 10  # distance of the bins, CIE units
NEIGHBORS, SIGMA = 5, 5.0  # a color is spread over so many bins, by a Gaussian of their distance, CIE units
STEP = 2  # CIE units between the colors whose soft targets stand in a table: searching per pixel would be slow
TEMPERATURE = 0.38
REBALANCING = 0.5  # of the pretrained palette: at 0.75 and 1, surfaces of any color get blotches


@functools.cache
def bins():
    """The points of a grid on the ab plane to which some color of sRGB is nearest: (Q,2), a* and b*.

    The colors tried are those on the surface of a cube of 52³: the ones inside add no bin. Zhang et al. list 313,
    some of them beyond what sRGB shows.
    """
    steps = torch.linspace(0, 1, 52, dtype=torch.float64)
    cube = torch.cartesian_prod(steps, steps, steps)
    surface = cube[((cube == 0) | (cube == 1)).any(dim=1)].T  # (3,N)
    _, a, b = lab.rgb_to_lab(surface[:, None])
    nearest = (torch.stack([a.flatten(), b.flatten()], dim=1) / GRID).round()
    return GRID * nearest.unique(dim=0).float()


SIDE = round(2 * lab.AB_SCALE / STEP) + 1  # colors along a side of that table


@functools.cache
def _table(device="cpu"):
    """Soft targets (SIDE²,Q) of the colors of a square grid of `STEP`, a* by a*; one copy on each device."""
    values = torch.linspace(-lab.AB_SCALE, lab.AB_SCALE, SIDE)
    distances = torch.cdist(torch.cartesian_prod(values, values), bins())
    nearest, which = distances.topk(NEIGHBORS, largest=False)
    # less the smallest distance, which changes no fraction: far from all bins the Gaussian itself would be 0
    closeness = torch.exp((nearest[:, :1] ** 2 - nearest**2) / (2 * SIGMA**2))
    fractions = closeness / closeness.sum(dim=1, keepdim=True)
    return torch.zeros_like(distances).scatter_(1, which, fractions).to(device)


def _row(ab):
    """For normalized ab (B,2,H,W) the row of the table (B,H,W)."""
    a, b = ((ab.clamp(-1, 1) + 1) / 2 * (SIDE - 1)).round().long().unbind(1)
    return a * SIDE + b


def soft_targets(ab):
    """Normalized ab (B,2,H,W) as fractions of the bins: (B,Q,H,W), sum 1 at each pixel; to the nearest 2 units."""
    return _table(ab.device)[_row(ab)].permute(0, 3, 1, 2)


def prior(photos):
    """How often each bin occurs in uint8 photos (N,S,S,3), at a quarter of their resolution: (Q,), sum 1."""
    table = _table()
    counts = torch.zeros(len(table), dtype=torch.float64)
    for _, ab in lab.batches(photos, 64):
        counts += torch.bincount(_row(F.avg_pool2d(ab, 4)).flatten(), minlength=len(table))
    frequencies = counts @ table.double()
    return (frequencies / frequencies.sum()).float()


def class_weights(prior, uniform=0.5):
    """What a mistake in each bin costs (Q,): rare colors more; 1 on average over the pixels of the photos.

    `uniform` of the uniform distribution is mixed into the prior (Q,) first; at 1, all bins cost the same.
    """
    weights = 1 / ((1 - uniform) * prior + uniform / len(prior))
    return weights / (prior * weights).sum()


def annealed_mean(logits, temperature=TEMPERATURE):
    """Logits (B,Q,H,W) to normalized ab (B,2,H,W): the mean of softmax(logits / T). T = 1 the mean, T → 0 the mode.

    Raises ValueError for a temperature outside of (0, 1], or not Q logits.
    """
    if not 0 < temperature <= 1:
        raise ValueError(f"temperature: expected above 0 (the likeliest color) to 1 (the mean), got {temperature}")
    if logits.shape[1] != len(bins()):
        raise ValueError(f"expected logits of {len(bins())} bins, got {logits.shape[1]}: weights of other bins?")
    probabilities = F.softmax(logits.float() / temperature, dim=1)
    return torch.einsum("bqhw,qc->bchw", probabilities, bins().to(probabilities)) / lab.AB_SCALE


def palette_loss(logits, ab, class_weights):
    """Cross-entropy of logits (B,Q,h,w) against the soft targets of ab (B,2,4h,4w), each bin counted by its weight.

    Zhang et al. weigh a pixel by its nearest bin. Weighing each bin's own term instead has a known optimum: the
    distribution times the weights, normalized, so that they can be divided out again.
    """
    targets = soft_targets(F.interpolate(ab, size=logits.shape[2:], mode="area"))
    return F.cross_entropy(logits.float(), targets, weight=class_weights)  # its log-softmax needs float32


class PaletteUnet(nn.Module):
    """A quarter U-Net that predicts a distribution over the bins at each pixel, and paints its annealed mean.

    `unet` is a `g2g.models.QuarterUnet`; all but its last layer is used, and changed by training.

    Attributes:
        class_weights: (Q,), those it was trained with.
        temperature: of the mean.
        rebalancing: 1 predicts as trained, as if rare colors were frequent; 0 divides the class weights out again.
    """

    def __init__(self, unet):
        super().__init__()
        self.unet = unet
        unet.head = nn.Conv2d(unet.head.in_channels, len(bins()), 1)
        self.register_buffer("class_weights", torch.ones(len(bins())))
        self.temperature = TEMPERATURE
        self.rebalancing = REBALANCING

    @property
    def encoder(self):
        return self.unet.encoder

    def logits(self, L):
        """L (B,1,H,W) to the logits of the bins (B,Q,H/4,W/4), as trained."""
        return self.unet.quarter(L)

    def loss(self, L, ab):
        """`palette_loss` of photos (B,1,H,W) and (B,2,H,W)."""
        return palette_loss(self.logits(L), ab, self.class_weights)

    def paint(self, logits, size):
        """Logits (B,Q,h,w), as trained, to ab (B,2,*size) by temperature and rebalancing."""
        logits = logits - (1 - self.rebalancing) * self.class_weights.log().view(1, -1, 1, 1)
        return F.interpolate(annealed_mean(logits, self.temperature), size=size, mode="bilinear")

    def forward(self, L):
        """L (B,1,H,W) to ab (B,2,H,W). Raises ValueError for another shape, below 32 px, or a wrong temperature."""
        return self.paint(self.logits(L), L.shape[2:])
