"""Speed of the data's way, beside the common per-image way: writes the table in docs/benchmarks.md.

    python benchmarks/data_speed.py [--photos FOLDER] [--n 2000] [--size 256] [--batch 32] [--seconds 10]

Without --photos (or G2G_DATA) it makes 640×480 JPEG crops of the bundled photographs. The per-image way is a
PyTorch `Dataset` that opens, resizes, flips and converts one photo at a time with PIL and
`skimage.color.rgb2lab`, as most colorization code does, alone or with a worker process for each core. Both deliver
(L, ab) batches of the same photos and batch size, in turns; of three turns the median counts.
"""

import argparse
import dataclasses
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from fastcore.all import num_cpus
from PIL import Image

from g2g.data import dataloaders, prepare
from g2g.profiles import PROFILES, get_profile, repo_root
from g2g.sources import bundled
from report.publish import stamp


class PerImage(torch.utils.data.Dataset):
    """The per-image way."""

    def __init__(self, paths, size):
        self.paths, self.size = paths, size

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, i):
        from skimage.color import rgb2lab

        image = Image.open(self.paths[i]).convert("RGB")
        rgb = np.array(image.resize((self.size, self.size), Image.Resampling.BICUBIC))
        if torch.rand(()) < 0.5:
            rgb = rgb[:, ::-1]
        lab = torch.from_numpy(rgb2lab(rgb).astype("float32")).permute(2, 0, 1)
        return lab[:1] / 50 - 1, lab[1:] / 110


def steady(loader, seconds):
    """Photos per second of a loader from its third batch on, over as many epochs as fill `seconds`."""
    count, batch_number, began = 0, 0, None
    while began is None or time.perf_counter() - began < seconds:
        for batch in loader:
            batch_number += 1
            if batch_number == 3:
                began = time.perf_counter()
            elif batch_number > 3:
                count += len(batch[0])
                if time.perf_counter() - began > seconds:
                    break
    return count / (time.perf_counter() - began)


def epoch_seconds(loader):
    began = time.perf_counter()
    for _ in loader:
        pass
    return time.perf_counter() - began


def make_photos(folder, n):
    train, *_ = bundled(dataclasses.replace(PROFILES["smoke"], n_train=n))
    for item in train:
        with Image.open(item.path) as image:
            photo = image.convert("RGB").crop(item.box).resize((640, 480))
        photo.save(folder / f"{item.name}.jpg", quality=90)


def own_profile(folder, options):
    return dataclasses.replace(
        get_profile("report"),
        source="folder",
        data_dir=folder,
        size=options.size,
        n_train=options.n,
        n_test=max(1, options.n // 4),
    )


def measure(folder, options):
    """What `report` prints; `rows`: workers of the per-image way, photos/s of it, of g2g, of g2g's hand-over."""
    before = peak_memory()
    began = time.perf_counter()
    photos = prepare(own_profile(folder, options))
    preparing = time.perf_counter() - began
    loader = dataloaders(photos, options.batch, device="cpu").train
    handed = dataloaders(photos, options.batch, device="cpu").train
    handed.augment = lambda photos, rng: photos  # uint8 photos, where they go to an accelerator
    first = epoch_seconds(loader)
    memory = peak_memory() - before
    paths = [folder / name for name in photos.files("train")]
    alone, helped = (per_image(paths, options, workers) for workers in (0, num_cpus()))
    first_per_image = epoch_seconds(helped)
    rows = []
    for way in (alone, helped):
        turns = [[steady(each, options.seconds) for each in (way, loader, handed)] for _ in range(3)]
        rows.append((way.num_workers, *(statistics.median(speeds) for speeds in zip(*turns, strict=True))))
    return {
        "n_all": len(photos.manifest),
        "n": len(paths),
        "preparing": preparing,
        "first": first,
        "first_per_image": first_per_image,
        "memory": memory,
        "rows": rows,
    }


def per_image(paths, options, workers):
    return torch.utils.data.DataLoader(PerImage(paths, options.size), options.batch, shuffle=True, num_workers=workers)


def peak_memory():
    """The most resident memory of this process so far, in MB (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def waiting_on_gpu(folder, options):
    """Seconds of a U-Net training step with a batch at hand and with the loader; None without a GPU."""
    if not torch.cuda.is_available():
        return None
    from torch.nn import functional as F

    from g2g.models import unet

    photos = prepare(own_profile(folder, options), progress=False)
    loader = dataloaders(photos, options.batch, device="cuda").train
    model = unet("full", "resnet18", None, options.size).cuda().train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)

    def train(batches):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for L, ab in batches:
            with torch.autocast("cuda", torch.bfloat16):
                loss = F.l1_loss(model(L), ab)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            loss.item()  # as a training loop that shows its loss does
        return (time.perf_counter() - began) / len(batches)

    fixed = [loader.one_batch()] * len(loader)
    train(fixed[:5])
    return train(fixed), train(loader)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, default=os.environ.get("G2G_DATA"))
    parser.add_argument("--n", type=int, default=2000, help="training photos")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10, help="of each timing")
    parser.add_argument("--note", default="", help="what to say about the photos")
    options = parser.parse_args()
    os.environ.setdefault("G2G_PLAIN", "1")
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["G2G_CACHE"] = str(Path(scratch) / "cache")  # a cold start
        folder = options.photos and Path(options.photos)
        if not folder:
            folder = Path(scratch) / "photos"
            folder.mkdir()
            make_photos(folder, options.n * 5 // 4)
        result = measure(folder, options)
        gpu = waiting_on_gpu(folder, options)
    write(report(result, gpu, options), "data_speed")


def write(text, name):
    """Print a section and put it between the markers `<!-- g2g:NAME -->` of docs/benchmarks.md."""
    print(text)
    stamp(repo_root() / "docs" / "benchmarks.md", name, text)
    print("written to docs/benchmarks.md")


def report(found, gpu, options):
    kind = options.note or ("own folder" if options.photos else "640×480 JPEG, crops of the bundled photographs")
    n_all, n, preparing = found["n_all"], found["n"], found["preparing"]
    machine = f"{num_cpus()} cores ({platform.machine()})"
    versions = f"Python {platform.python_version()}, torch {torch.__version__.split('+')[0]}"
    lines = [
        "## Data",
        "",
        f"`python benchmarks/data_speed.py`: {n:,} training photos at {options.size} px ({kind}), batches of "
        f"{options.batch}, {machine}, {versions}; median of three turns of {options.seconds:g} s each, all in one run.",
        "",
        "| workers of the per-image way | per image: PIL + skimage, photos/s | g2g to (L, ab) on the CPU, photos/s | "
        "times | g2g to the hand-over to an accelerator, photos/s | times |",
        "|---|---|---|---|---|---|",
    ]
    for workers, per_image, whole, handed in found["rows"]:
        lines.append(
            f"| {workers} | {per_image:,.0f} | {whole:,.0f} | {whole / per_image:.1f} | {handed:,.0f} | "
            f"{handed / per_image:.0f} |"
        )
    lines += [
        "",
        f"- Preparing: {n_all:,} photos in {preparing:.1f} s, {n_all / preparing:,.0f} photos/s.",
        f"- First epoch over {n:,} photos, their part of the preparation included: "
        f"{preparing * n / n_all + found['first']:.1f} s; the per-image way with {num_cpus()} workers: "
        f"{found['first_per_image']:.1f} s.",
        f"- Peak of resident memory that preparing and one epoch added, the mapped array included: "
        f"{found['memory']:,.0f} MB.",
    ]
    if gpu:
        at_hand, loaded = gpu
        lines.append(
            f"- Waiting for data on {torch.cuda.get_device_name()}: a U-Net step takes {at_hand * 1e3:.1f} ms "
            f"with a batch at hand and {loaded * 1e3:.1f} ms with the loader: {max(0.0, 1 - at_hand / loaded):.1%}."
        )
    else:
        lines.append("- Waiting for data on a GPU: not measured here (no GPU).")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
