"""Photo files of any kind: read so that their numbers are sRGB, written with what belongs to them."""

import glob
import hashlib
import io
import math
import os
import re
import threading
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageChops, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError

from g2g.files import save_atomic
from g2g.profiles import repo_root

# Pillow alone does not decode .heic and .heif: they are found to be named among the failures, not passed over
SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .webp .tif .tiff .bmp .gif .ppm .pgm .pnm .jp2 .avif .tga .heic .heif".split()
)
MAX_MEGAPIXELS = 150
MIN_SIDE = 16  # pixels: less is an icon, not a photo
EARLIER = re.compile(r"-(color|compare)(-\d+)?$")  # how the names of results end
EXIF_IFD, GPS_IFD, COLOR_SPACE = 0x8769, 0x8825, 0xA001
# EXIF tags that describe the photo: title, maker, model, resolution, software, date, artist, copyright. Others say how
# pixels lay in the old file, or how to turn them.
KEPT_TAGS = {270, 271, 272, 282, 283, 296, 305, 306, 315, 33432, EXIF_IFD, GPS_IFD}
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))

Image.init()  # once here and not by several threads at a time
READABLE = [name for name in Image.ID if name != "EPS"]  # which would go to Ghostscript, a program to run
Image.MAX_IMAGE_PIXELS = None  # Pillow warns at 89 megapixels and refuses at 179; here the caller's limit decides
LARGE = 50e6  # pixels: larger photos are decoded one at a time, whatever the number of threads
_large = threading.Lock()


@dataclass(frozen=True)
class Item:
    """One photo: its `name` in the manifest, its file, and for a crop the box (left, top, right, bottom)."""

    name: str
    path: Path
    box: tuple[int, int, int, int] | None = None


def read_photo(photo, max_megapixels: float = MAX_MEGAPIXELS) -> tuple[Image.Image, Image.Image | None, dict]:
    """A photo upright and in sRGB, 8 bits per channel, mode L or RGB; its alpha (L) or None; its metadata.

    The metadata is a dict for `Image.info`: EXIF without orientation, resolution, and an sRGB profile if the photo
    had a profile. What cannot be kept is a warning. The photo keeps its `format`.

    Args:
        photo: a path, the bytes of a file as `io.BytesIO`, a PIL image, or a uint8 array (H,W), (H,W,3) or (H,W,4).
        max_megapixels: larger files are refused before they are decoded.

    Raises:
        ValueError: not a photo, too large, or values without a known white.
        OSError: a file that is missing, broken or of an unknown format.
    """
    if isinstance(photo, Image.Image):
        return _standardize(photo, in_place=False)
    if isinstance(photo, (str, os.PathLike, io.BytesIO)):
        with _open(photo, max_megapixels) as file:
            if file.width * file.height < LARGE:
                return _standardize(file, in_place=True)
            with _large:
                return _standardize(file, in_place=True)
    array = np.asarray(photo)
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,), (4,)):
        expected = "path, PIL image or a uint8 array (H,W), (H,W,3) or (H,W,4)"
        raise ValueError(f"photo: expected {expected}, got {array.dtype} {array.shape}")
    return _standardize(Image.fromarray(array), in_place=False)


def decode(item: Item, size: int) -> tuple[dict, np.ndarray | None]:
    """Read one photo and squash it to a square (bicubic, antialiased), transparency on white.

    Never raises for what is in the file.

    Returns:
        its facts (sha256; width and height when upright; skipped = why it is unusable, or "") and the pixels,
        uint8 (size, size, 3), or None if it is unusable.
    """
    facts = {"sha256": "", "width": None, "height": None, "skipped": ""}
    try:
        image = _read_item(item, facts).resize((size, size), Image.Resampling.BICUBIC)
        return facts, np.asarray(image.convert("RGB"))
    except UnidentifiedImageError:
        facts["skipped"] = "not an image that Pillow can read"
    except Exception as error:  # decoders given garbage raise anything: SyntaxError, struct.error, …
        facts["skipped"] = " ".join(str(error).split()) or type(error).__name__
    return facts, None


def _read_item(item, facts):
    if not item.path.is_file():  # a pipe or a socket would block the read
        raise OSError("not a regular file" if item.path.exists() else "no such file")
    data = item.path.read_bytes()
    box = repr(item.box) if item.box else ""
    facts["sha256"] = hashlib.sha256(data + box.encode()).hexdigest()
    if not data:
        raise OSError("empty file")
    image, alpha, _ = read_photo(io.BytesIO(data))
    if alpha:
        image.paste("white", mask=ImageChops.invert(alpha))
    if item.box:
        image = image.crop(item.box)
    facts["width"], facts["height"] = image.size
    if min(image.size) < MIN_SIDE:
        raise OSError(f"only {image.width}×{image.height} px; each side needs at least {MIN_SIDE}")
    return image


def _open(file, max_megapixels):
    image = Image.open(file, formats=READABLE)
    megapixels = image.width * image.height / 1e6
    if megapixels > max_megapixels:
        image.close()
        raise ValueError(
            f"{image.width} x {image.height} pixels are {megapixels:.0f} megapixels, the limit is {max_megapixels:g}. "
            f"To color it takes about {1 + megapixels * 0.012:.1f} GiB of memory; "
            f"if you have that much, --max-megapixels {math.ceil(megapixels)} allows it"
        )
    return image


def _standardize(image, in_place):
    if 0 in image.size:
        raise ValueError(f"photo: no pixels in it, its size is {image.size}")
    if getattr(image, "is_animated", False) and image.format != "MPO":  # MPO: a camera's JPEG with previews
        _warn(f"only the first of its {image.n_frames} frames was colored")
    if image.mode.startswith(("I", "F")) or any(";16" in str(tile) for tile in getattr(image, "tile", ())):
        _warn("it has more than 8 bits per channel, the result has 8")
    image.load()
    format, exif = image.format, _exif(image)
    image = ImageOps.exif_transpose(image, in_place=in_place) or image
    profile = image.info.get("icc_profile")
    info = {}
    if exif:
        info["exif"] = exif
    if "dpi" in image.info:
        info["dpi"] = image.info["dpi"]

    image, alpha = _eight_bits(image)
    if profile:  # numbers mean colors only through it, and Lab is computed from sRGB
        image = _to_srgb(image, profile)
        info["icc_profile"] = SRGB.tobytes()
    if image.mode == "CMYK":
        image = image.convert("RGB")
    image.format = format
    return image, alpha, info


def _exif(image):
    try:
        exif = Image.Exif()
        exif.load(image.getexif().tobytes())  # a copy; thumbnails, gray as they are, stay behind
        for tag in set(exif) - KEPT_TAGS:
            del exif[tag]
        if EXIF_IFD in exif:
            exif.get_ifd(EXIF_IFD).pop(COLOR_SPACE, None)  # AdobeRGB, say; the profile tells what it is now
        return exif.tobytes() if len(exif) else b""
    except Exception as error:  # editors and cameras write EXIF that breaks any parser
        _warn(f"its EXIF metadata was left out, it cannot be read ({error})")
        return b""


def _eight_bits(image):
    """The image in mode L, RGB or CMYK, and its alpha or None."""
    if image.mode.startswith(("I", "F")):
        return _scaled(np.asarray(image)), None
    if image.has_transparency_data:
        gray = image.mode in ("L", "LA", "La")
        if image.mode != "RGBA":  # else it would be one more copy
            image = image.convert("RGBA")
        return image.convert("L" if gray else "RGB"), image.getchannel("A")
    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return image, None


def _scaled(values):
    low, high = values.min(), values.max()
    if values.dtype.kind == "f" and 0 <= low and high <= 1:
        return Image.fromarray((values * 255 + 0.5).astype(np.uint8))
    if values.dtype.kind == "f" or low < 0 or high > 65535:  # also NaN
        raise ValueError(f"its values, {low} to {high}, have no known white: save it with 8 or 16 bits")
    table = ((np.arange(65536) + 128) // 257).astype(np.uint8)
    return Image.fromarray(table[values])


def _to_srgb(image, profile):
    try:
        if image.mode == "L" and _opened(profile).profile.xcolor_space.strip() == "RGB":
            image = image.convert("RGB")  # gray saved with the profile of a color photo
        transform = _transform(profile, image.mode)
        return ImageCms.applyTransform(image, transform) if transform else image
    except (ImageCms.PyCMSError, OSError) as error:
        _warn(f"its color profile cannot be used ({error}), so it was read as sRGB")
        return image


def _opened(profile):
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))


@lru_cache(maxsize=16)
def _transform(profile, mode):
    """What turns colors of a profile into sRGB; None if they are that already, as in most photos off the web."""
    transform = ImageCms.buildTransform(_opened(profile), SRGB, mode, "RGB")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    probe = Image.fromarray(noise).convert(mode)
    converted = np.asarray(ImageCms.applyTransform(probe, transform)).astype(int)
    same = np.abs(converted - np.asarray(probe.convert("RGB"))).max() <= 1 and mode != "CMYK"
    return None if same else transform


def _warn(text):
    warnings.warn(text, stacklevel=5)


def save_photo(image: Image.Image, path: str | Path) -> None:
    """Write a photo with the metadata in its `info`, whole or not at all: as PNG or, by any other suffix, as JPEG.

    Raises:
        RuntimeError: it cannot be written.
    """
    path = Path(path)
    options = {"quality": 95, "subsampling": 0}  # halved color planes would smear color over edges
    if path.suffix == ".png":
        options = {"compress_level": 4}
        caption = image.getexif().get(ExifTags.Base.ImageDescription)
        if caption:  # few readers of PNG look into EXIF
            options["pnginfo"] = PngImagePlugin.PngInfo()
            options["pnginfo"].add_itxt("Description", caption)
    format = "PNG" if path.suffix == ".png" else "JPEG"
    save_atomic(lambda part: image.save(part, format, **image.info, **options), path)


def claim_path(source: Path, folder: Path, ending: str, format: str | None) -> Path:
    """NAME-ending.jpg in `folder` for a JPEG (with its own suffix), NAME-ending.png, without loss, for all else.

    Made as an empty file, so that it is nobody else's: where the name is taken, a number is put behind it,
    NAME-ending-2.jpg. A long NAME is cut.
    """
    stem = source.stem
    if len(os.fsencode(stem)) > 200:  # file systems allow 255 bytes
        stem = os.fsencode(stem)[:200].decode(errors="ignore")
    suffix = ".png"
    if format in ("JPEG", "MPO"):  # MPO: a camera's JPEG with previews
        is_usual = source.suffix.lower() in (".jpg", ".jpeg", ".jpe", ".jfif")
        suffix = source.suffix if is_usual else ".jpg"
    path, number = folder / f"{stem}-{ending}{suffix}", 1
    while True:
        try:
            path.touch(exist_ok=False)
            return path
        except FileExistsError:
            number += 1
            path = folder / f"{stem}-{ending}-{number}{suffix}"


def photos_under(folder: str | Path) -> list[Path]:
    """Files in `folder` and below with a photo's suffix, sorted; links are followed, hidden names left out."""

    def left_out(error):
        _warn(f"{error.filename} is left out: {error.strerror}")

    found, seen = [], set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=left_out):
        if os.path.realpath(place) in seen:  # a link back to a folder above
            folders.clear()
            continue
        seen.add(os.path.realpath(place))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place, name) for name in names if not name.startswith(".")]
    return sorted(path for path in found if path.suffix.lower() in SUFFIXES)


def find_photos(paths) -> tuple[list[Path], list[str]]:
    """The photos that files, folders (searched recursively) and glob patterns mean; and what means nothing.

    In folders and patterns, hidden files and earlier results (NAME-color, NAME-compare) are passed over.
    """
    found, missing = {}, []
    for path in paths:
        path = os.path.expanduser(path)
        if os.path.isfile(path):
            new = [Path(path)]
        else:
            inside = photos_under(path) if os.path.isdir(path) else map(Path, sorted(glob.glob(path, recursive=True)))
            new = [p for p in inside if p.is_file() and p.suffix.lower() in SUFFIXES and not EARLIER.search(p.stem)]
        if not new:
            missing.append(path)
        for photo in new:
            found.setdefault(photo.resolve(), photo)
    return list(found.values()), missing


def gallery_photos(side: int) -> list[np.ndarray]:
    """The eight photographs of `data/gallery`, on which no profile trains, cut square: uint8 (side, side, 3)."""
    files = sorted((repo_root() / "data" / "gallery").glob("*.jpg"))
    return [np.asarray(ImageOps.fit(Image.open(file).convert("RGB"), (side, side))) for file in files]
