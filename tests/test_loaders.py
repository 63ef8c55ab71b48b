"""Batches: complete, shuffled, flipped per photo, the same for one seed and epoch, never the test photos."""

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from g2g.data import Photos, batches, cropped, dataloaders
from g2g.lab import photos_to_lab

N, SIZE = {"train": 37, "valid": 6, "test": 5}, 32


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Photos of noise, each with its number in its lightness; there is no array to test on: it must not be read."""
    folder, rows = tmp_path_factory.mktemp("photos"), []
    for split, n in N.items():
        array = np.random.default_rng(n).integers(0, 40, (n, SIZE, SIZE, 3), dtype=np.uint8)
        array += 5 * np.arange(n, dtype=np.uint8)[:, None, None, None]
        if split != "test":
            array.tofile(folder / f"{split}.rgb")
        rows += [{"file": f"{split}{i}", "split": split, "skipped": "", "chroma": 9.0} for i in range(n)]
    return Photos(folder, SIZE, pd.DataFrame(rows), "0")


@pytest.fixture(scope="module")
def ground_truth(photos):
    """(L, ab) of each training photo, as stored and mirrored."""
    array = np.array(photos.train)
    return photos_to_lab(array), photos_to_lab(np.ascontiguousarray(array[:, :, ::-1]))


def epoch(loader, number=None):
    if number is not None:
        loader.epoch = number
    found = list(loader)
    return [torch.cat(part) for part in zip(*found, strict=True)]


def identify(L, ab, ground_truth):
    """(photo, mirrored?) of each item of an epoch; fails if one is neither a photo nor its mirror image."""
    known = torch.cat([torch.cat(planes, 1) for planes in ground_truth]).flatten(1)  # as stored, then mirrored
    found = torch.cat([L, ab], 1).flatten(1)
    distances = torch.cdist(found, known, compute_mode="donot_use_mm_for_euclid_dist")
    assert distances.amin(1).max() < 1e-3
    return [(index % N["train"], index // N["train"]) for index in distances.argmin(1).tolist()]


def test_an_epoch_has_every_photo_once_and_flips_some(photos, ground_truth):
    dls = dataloaders(photos, 8, device="cpu")
    found = identify(*epoch(dls.train), ground_truth)
    order, flips = zip(*found, strict=True)
    assert sorted(order) == list(range(37)) and list(order) != sorted(order)
    assert 8 < sum(flips) < 29
    in_batches = [flips[i : i + 8] for i in range(0, 32, 8)]
    assert any(0 < sum(flip) < 8 for flip in in_batches), "flips are drawn per photo, not per batch"


def test_order_and_flips_are_new_in_each_epoch_and_the_same_for_the_same(photos, ground_truth):
    dls = dataloaders(photos, 8, device="cpu")
    first, second = identify(*epoch(dls.train), ground_truth), identify(*epoch(dls.train), ground_truth)
    assert dls.train.epoch == 2 and first != second
    assert dict(first) != dict(second), "flips change too"
    assert identify(*epoch(dls.train, 0), ground_truth) == first
    assert identify(*epoch(dataloaders(photos, 8, device="cpu").train, 1), ground_truth) == second
    assert identify(*epoch(dataloaders(photos, 8, seed=1, device="cpu").train), ground_truth) != first
    dls.train.one_batch()
    assert dls.train.epoch == 1, "a look at one batch is no epoch"


def test_validation_comes_in_order_unflipped_as_batches_do(photos):
    expected = photos_to_lab(np.array(photos.valid))
    for found in (dataloaders(photos, 4, device="cpu").valid, batches(photos.valid, 4)):
        L, ab = epoch(found)
        assert torch.equal(L, expected[0]) and torch.equal(ab, expected[1]) and L.dtype == ab.dtype == torch.float32


@pytest.mark.parametrize("size, n, last", [(8, 5, 5), (36, 1, 36), (37, 1, 37), (100, 1, 37), (1, 37, 1), (12, 3, 12)])
def test_no_batch_of_one_unless_asked_for(photos, size, n, last):
    dls = dataloaders(photos, size, device="cpu")
    found = list(dls.train)
    assert len(found) == len(dls.train) == n and len(found[-1][0]) == last


def test_no_photos_is_an_error(photos):
    with pytest.raises(ValueError, match="no train photos"):
        dataloaders(Photos(photos.folder, SIZE, photos.manifest[:0], "0"), 8)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_gives_the_same_batches(photos):
    cpu, gpu = (dataloaders(photos, 8, device=name) for name in ("cpu", "cuda"))
    for one, two in zip(epoch(cpu.train, 2), epoch(gpu.train, 2), strict=True):
        assert two.device.type == "cuda" and torch.allclose(one, two.cpu(), atol=1e-5)


def test_a_crop_is_that_square_of_the_photo_enlarged():
    planes = torch.rand(3, 2, 32, 32)
    whole = cropped(planes, torch.ones(3), torch.rand(3, 2))
    assert torch.allclose(whole, planes, atol=1e-5)
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 0.5]])  # left above, right above, the middle
    quarters = cropped(planes, torch.full((3,), 0.5), corners)
    squares = (planes[0, :, :16, :16], planes[1, :, :16, 16:], planes[2, :, 8:24, 8:24])
    for result, square in zip(quarters, squares, strict=True):
        expected = F.interpolate(square[None], size=(32, 32), mode="bilinear")[0]
        assert torch.allclose(result[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], atol=1e-5)


@pytest.mark.parametrize("augmentation", [{"min_crop_side": 0.5}, {"sharpen": 2}])
def test_crops_and_sharpness_follow_from_seed_and_epoch_and_spare_validation(photos, augmentation):
    changed, again = (dataloaders(photos, 8, device="cpu", **augmentation) for _ in range(2))
    plain = dataloaders(photos, 8, device="cpu")
    L, ab = epoch(changed.train)
    assert L.shape[1:] == (1, photos.size, photos.size) and ab.shape[1] == 2
    assert all(map(torch.equal, (L, ab), epoch(again.train)))
    differs = (L - epoch(plain.train)[0]).abs().mean((1, 2, 3)) > 0.01
    assert 15 < differs.sum() and ("min_crop_side" in augmentation or differs.sum() < 37), "some stay as they are"
    assert not torch.equal(L, epoch(changed.train)[0]), "the next epoch has draws of its own"
    assert torch.equal(epoch(changed.valid)[0], epoch(plain.valid)[0])


def test_steps_make_a_short_epoch_of_other_photos_each_time(photos, ground_truth):
    dls = dataloaders(photos, 8, device="cpu", steps_per_epoch=2)
    assert len(dls.train) == 2 and len(dls.valid) == 1 and len(dls.loaders) == 2, "validation sees all its photos"
    drawn = [sorted(i for i, _ in identify(*epoch(dls.train), ground_truth)) for _ in range(3)]
    assert all(len(set(photos_of_one)) == 16 for photos_of_one in drawn) and drawn[0] != drawn[1] != drawn[2]
    assert len(dataloaders(photos, 8, device="cpu", steps_per_epoch=99).train) == 5, "there are no more than all"
