"""Photo files of any kind, read so that their numbers are sRGB and written with what belongs to them."""

import glob
import io
import math
import os
import re
import warnings
from itertools import chain, count
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from g2g.files import save_atomic

SUFFIXES = set(".jpg .jpeg .jpe .png .webp .tif .tiff .bmp .gif .ppm .pgm .pnm .jp2 .avif .tga".split())
# Formats that hold 24-bit colour, and how to write them well; what comes in another one goes out as PNG.
# JPEG in 4:4:4: halving the colour planes would smear the colour at the very edges it was fitted to. TIFF not
# compressed: Pillow leaves that to libtiff, which cannot write EXIF.
FORMATS = {
    "JPEG": (".jpg .jpeg .jpe", {"quality": 95, "subsampling": 0}),
    "PNG": (".png", {"compress_level": 4}),
    "WEBP": (".webp", {"quality": 95}),
    "TIFF": (".tif .tiff", {"compression": "raw"}),
    "BMP": (".bmp", {}),
    "JPEG2000": (".jp2", {}),
    "AVIF": (".avif", {"quality": 90}),
}
EARLIER = re.compile(r"-(color|compare)(-\d+)?$")  # how the names of results end
MAX_MEGAPIXELS = 150
ORIENTATION, EXIF_IFD, COLOR_SPACE = 0x0112, 0x8769, 0xA001
# TIFF tags that say how the pixels lay in the old file: wrong in the new one
LAYOUT_TAGS = {
    *range(254, 260),
    262,
    266,
    273,
    *range(277, 280),
    284,
    317,
    320,
    *range(322, 326),
    330,
    338,
    339,
    347,
    *range(512, 522),
    *range(529, 533),
    34675,
}


def read_photo(photo, max_megapixels: float = MAX_MEGAPIXELS) -> tuple[Image.Image, Image.Image | None, dict]:
    """A photo upright and in sRGB, 8 bits per channel, mode L or RGB; its alpha (L) or None; its metadata.

    The metadata is a dict for `Image.info`: EXIF without orientation, XMP, texts, resolution, and an sRGB
    profile if the photo had a profile. What cannot be kept is a warning. Arguments and errors as in
    `colorize.colorize`. The photo keeps its `format`.
    """
    if isinstance(photo, (str, os.PathLike)):
        # Pillow warns at 89 megapixels and refuses at 179; here the caller's own limit decides
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            with Image.open(photo, formats=_formats()) as file:
                if (megapixels := file.width * file.height / 1e6) > max_megapixels:
                    raise ValueError(
                        f"{file.width} x {file.height} pixels are {megapixels:.0f} megapixels, the limit is "
                        f"{max_megapixels:g}. It takes about {1 + megapixels * 0.012:.1f} GiB of memory; "
                        f"where there is as much, --max-megapixels {math.ceil(megapixels)} allows it"
                    )
                return _prepare(file, in_place=True)
        finally:
            Image.MAX_IMAGE_PIXELS = before
    if not isinstance(photo, Image.Image):
        array = np.asarray(photo)
        if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,), (4,)):
            raise ValueError(
                "photo: expected path, PIL image or a uint8 array (H,W), (H,W,3) or (H,W,4), "
                f"got {array.dtype} {array.shape}"
            )
        photo = Image.fromarray(array)
    return _prepare(photo, in_place=False)


def _formats():
    Image.init()
    return [name for name in Image.ID if name != "EPS"]  # which would go to Ghostscript, a program to run


def _prepare(image, in_place):
    if 0 in image.size:
        raise ValueError(f"photo: no pixels in it, its size is {image.size}")
    if getattr(image, "is_animated", False) and image.format != "MPO":  # MPO: a camera's JPEG with previews
        _warn(f"only the first of its {image.n_frames} frames was coloured")
    if image.mode.startswith(("I", "F")) or any(";16" in str(tile) for tile in getattr(image, "tile", ())):
        _warn("it has more than 8 bits per channel, the result has 8")
    format, kept = image.format, ["xmp", "dpi", "comment", *getattr(image, "text", ())]
    image.load()
    exif = _exif(image)
    # Turns orientation into pixels, and drops it from XMP too, else a viewer would turn the result again.
    image = ImageOps.exif_transpose(image, in_place=in_place) or image
    info = {k: image.info[k] for k in kept if k in image.info and not k.startswith("Raw profile")}
    if exif:
        info["exif"] = exif

    profile, alpha = image.info.get("icc_profile"), None
    if image.mode.startswith(("I", "F")):
        image = _eight_bits(image)
    elif image.has_transparency_data:
        gray, image = image.mode in ("L", "LA", "La"), image.convert("RGBA")
        alpha, image = image.getchannel("A"), image.convert("L" if gray else "RGB")
    elif image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    if profile:
        # Numbers mean colours only through the profile. Lab is computed from sRGB, so a photo in another
        # space is converted first, and the result says that it is sRGB.
        image = _to_srgb(image, profile)
        info["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = image if image.mode in ("L", "RGB") else image.convert("RGB")
    image.format = format
    return image, alpha, info


def _exif(image):
    try:
        exif = Image.Exif()
        exif.load(image.getexif().tobytes())  # a copy; thumbnails, gray as they are, stay behind
        for tag in LAYOUT_TAGS | {ORIENTATION}:
            if tag in exif:
                del exif[tag]
        if EXIF_IFD in exif:
            exif.get_ifd(EXIF_IFD).pop(COLOR_SPACE, None)  # AdobeRGB, say; the profile tells what it is now
        return exif.tobytes() if len(exif) else b""
    except Exception as error:  # editors and cameras write EXIF that breaks any parser
        _warn(f"its EXIF metadata was left out, it cannot be read ({error})")
        return b""


def _eight_bits(image):
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if image.mode == "F" and 0 <= low and high <= 1:
        return Image.fromarray((values * 255 + 0.5).astype(np.uint8))
    if image.mode == "F" or low < 0 or high > 65535:  # also NaN
        raise ValueError(f"its values, {low} to {high}, have no known white: save it with 8 or 16 bits")
    return Image.fromarray(((np.arange(65536) + 128) // 257).astype(np.uint8)[values])


def _to_srgb(image, profile):
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if image.mode == "L" and source.profile.xcolor_space.strip() == "RGB":
            image = image.convert("RGB")  # gray saved with the profile of a colour photo
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), image.mode, "RGB")
        if image.mode != "CMYK":
            shape = (64, 64, 3)[: 3 if image.mode == "RGB" else 2]
            probe = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
            result = np.asarray(ImageCms.applyTransform(Image.fromarray(probe), transform)).astype(int)
            if abs(result - probe.reshape(64, 64, -1)).max() <= 1:
                return image  # sRGB already: every photo off the web; no rounding twice
        return ImageCms.applyTransform(image, transform)
    except (ImageCms.PyCMSError, OSError) as error:
        _warn(f"its colour profile cannot be used ({error}), so it was read as sRGB")
        return image


def _warn(text):
    warnings.warn(text, stacklevel=5)


def save_photo(image: Image.Image, path: str | Path) -> None:
    """Write a photo with the metadata in its `info`, whole or not at all; the suffix tells the format.

    Raises:
        ValueError: a suffix that is not in `FORMATS`. RuntimeError: it cannot be written.
    """
    path = Path(path)
    name, options = next(
        ((name, options) for name, (suffixes, options) in FORMATS.items() if path.suffix.lower() in suffixes.split()),
        (None, None),
    )
    if name is None:
        raise ValueError(f"{path.name}: expected a suffix for colour photos: .jpg, .png, .webp, .tif, …")
    options = options | {k: image.info[k] for k in ("exif", "xmp", "icc_profile", "dpi") if k in image.info}
    if name == "PNG":
        options["pnginfo"] = texts = PngImagePlugin.PngInfo()
        for key, value in image.info.items():
            if isinstance(value, str):
                texts.add_itxt(key, value)

    def write(part):
        with open(part, "w+b") as file:
            image.save(file, name, **options)

    save_atomic(write, path)


def new_path(source: Path, folder: Path, ending: str, format: str | None) -> Path:
    """NAME-ending.suffix in `folder`, for the source's format if that holds colour, else PNG.

    Never an existing file: where the name is taken, a number is put behind it, NAME-ending-2.jpg.
    """
    suffixes = FORMATS.get("JPEG" if format == "MPO" else format, FORMATS["PNG"])[0].split()
    suffix = source.suffix if source.suffix.lower() in suffixes else suffixes[0]
    paths = (folder / f"{source.stem}-{ending}{number}{suffix}" for number in chain([""], count(-2, -1)))
    return next(path for path in paths if not os.path.lexists(path))


def find_photos(paths) -> tuple[list[Path], list[str]]:
    """The photos that files, folders (searched recursively) and glob patterns mean; and what means nothing.

    In folders and patterns, hidden files and earlier results (NAME-color, NAME-compare) are passed over.
    """
    found, missing = {}, []
    for path in map(os.path.expanduser, map(str, paths)):
        if os.path.isfile(path):
            new = [Path(path)]
        else:
            folder = os.path.isdir(path)
            inside = Path(path).rglob("*") if folder else map(Path, glob.glob(path, recursive=True))
            new = [
                p
                for p in sorted(inside)
                if p.suffix.lower() in SUFFIXES and p.is_file() and p.name[0] != "." and not EARLIER.search(p.stem)
            ]
        if not new:
            missing.append(path)
        found |= {p.resolve(): p for p in new if p.resolve() not in found}
    return list(found.values()), missing
