"""What an error costs: the losses of chapters 2, 4 and 10, of normalized L (B,1,H,W) and ab (B,2,H,W).

A loss is a function of the prediction, the ground truth, and whatever else it needs of L and the discriminator D.
"""

import functools

import torch
import torch.nn.functional as F
from torch import nn

from g2g.lab import denormalize, lab_to_rgb
from g2g.metrics import LPIPS


def l1(pred_ab, ab, *_):
    """Mean absolute error. The best prediction under it is the median of the possible colors."""
    return F.l1_loss(pred_ab, ab)


def mse(pred_ab, ab, *_):
    """Mean squared error. The best prediction under it is the mean of the possible colors."""
    return F.mse_loss(pred_ab, ab)


def huber(pred_ab, ab, *_):
    """Squared for errors below 0.05, which is 5.5 CIE units, and linear beyond (Huber 1964)."""
    return F.huber_loss(pred_ab, ab, delta=0.05)


def perceptual(pred_ab, ab, L, *_):
    """L1 between VGG-16's features of the two pictures, four layers added (Johnson et al. 2016)."""
    pairs = zip(perceptual_features(L, pred_ab), perceptual_features(L, ab), strict=True)
    return sum(F.l1_loss(x, y) for x, y in pairs)


def perceptual_features(L, ab):
    """VGG-16's relu1_2, relu2_2, relu3_3 and relu4_3 of the picture, which is at least 32 px a side.

    Colors beyond sRGB are not clipped, for a clipped color has no gradient.
    """
    network = _lpips(L.device).net
    rgb = lab_to_rgb(denormalize(L.float(), ab.float()), clip=False)
    return list(network.net(network.scaling_layer(2 * rgb - 1)))[:4]


_lpips = functools.cache(LPIPS)  # whose VGG-16 it is; one for each device


def feature_matching(pred_ab, ab, L, D):
    """L1 between what D's inner layers compute of the two (Wang et al. 2018, who add it to the adversarial term)."""
    pairs = zip(discriminator_features(D, L, pred_ab), discriminator_features(D, L, ab), strict=True)
    return sum(F.l1_loss(x, y.detach()) for x, y in pairs)


def discriminator_features(D, L, ab):
    """The output of each LeakyReLU of a `g2g.models.PatchGAN`."""
    x, features = torch.cat([L, ab], dim=1), []
    for layer in D.layers:
        x = layer(x)
        if isinstance(layer, nn.LeakyReLU):
            features.append(x)
    return features


LOSSES = {loss.__name__: loss for loss in (l1, mse, huber, perceptual, feature_matching)}


def discriminator_loss(D, L, real_ab, fake_ab):
    """BCE of D on real pictures (label 1) and generated ones (label 0), halved as in pix2pix (Isola et al. 2017).

    Detaches `fake_ab`: D's step does not reach G. A D that cannot tell them apart scores ln 2 = 0.693.
    """
    real = D(L, real_ab)
    fake = D(L, fake_ab.detach())
    loss_real = F.binary_cross_entropy_with_logits(real, torch.ones_like(real))
    loss_fake = F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
    return 0.5 * (loss_real + loss_fake)


def gradient_penalty(D, L, real_ab):
    """R1 (Mescheder et al. 2018): the squared gradient norm of D on real samples, averaged over photos.

    The gradient is that of the mean logit of a photo with respect to its ab. It is computed in float32 under mixed
    precision, too: in float16 the second backward pass through batch norm overflows to NaN.
    """
    with torch.autocast(L.device.type, enabled=False):
        ab = real_ab.detach().float().requires_grad_()
        logits = D(L.float(), ab).mean((1, 2, 3))
        (gradient,) = torch.autograd.grad(logits.sum(), ab, create_graph=True)
        return gradient.square().sum((1, 2, 3)).mean()


def generator_loss(D, L, pred_ab, real_ab, lambda_l1=100.0, loss=l1, adversarial=1.0):
    """pix2pix's generator loss: adversarial * BCE(D(L, G(L)), 1) + lambda_l1 * loss (L1 there).

    Returns (total, adversarial term, the other term), the terms without their weights.
    """
    logits = D(L, pred_ab)
    adversarial_term = F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
    term = loss(pred_ab, real_ab, L, D)
    return adversarial * adversarial_term + lambda_l1 * term, adversarial_term, term
