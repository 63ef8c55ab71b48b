"""Photo files of any kind: read so that their numbers are sRGB, written with what belongs to them."""

import glob
import hashlib
import io
import itertools
import logging
import math
import os
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError
from PIL.ExifTags import IFD, Base

from g2g.files import save_atomic
from g2g.profiles import repo_root

# Pillow alone does not decode .heic and .heif: they are found to be named among the failures, not passed over
SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .webp .tif .tiff .bmp .gif .ppm .pgm .pnm .jp2 .avif .tga .heic .heif".split()
)
JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")
JPEG_SIDE = 65_500  # pixels, the limit of libjpeg
JPEG_EXIF = 65_533  # bytes, of one marker
MAX_MEGAPIXELS = 150
MIN_SIDE = 16  # pixels: less is an icon, not a photo
SOFTWARE = "Gray to Glory (g2g)"  # in the metadata of every result
# EXIF tags that describe the photo. Others say how pixels lay in the old file, or how to turn them.
WORDS = (Base.ImageDescription, Base.DocumentName, Base.Software, Base.DateTime, Base.Artist, Base.Copyright)
KEPT_TAGS = {*WORDS, 271, 272, 282, 283, 296, IFD.Exif, IFD.GPSInfo}  # also maker, model, resolution and its unit
NO_LONGER_TRUE = (Base.ColorSpace, Base.ExifImageWidth, Base.ExifImageHeight)  # they tell of the old file
OTHER_METADATA = {700: "XMP", 33723: "IPTC", "xmp": "XMP", "photoshop": "IPTC", "comment": "comment"}
DEEP = "it has more than 8 bits per channel, the result has 8"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

Image.init()  # once here and not by several threads at a time
READABLE = [name for name in Image.ID if name != "EPS"]  # which would go to Ghostscript, a program to run
Image.MAX_IMAGE_PIXELS = None  # Pillow warns at 89 megapixels and refuses at 179; here the caller's limit decides
logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong with a file is raised, too


@dataclass(frozen=True)
class Item:
    """One photo: its `name` in the manifest, its file, and for a crop the box (left, top, right, bottom)."""

    name: str
    path: Path
    box: tuple[int, int, int, int] | None = None


def read_photo(photo, max_megapixels=MAX_MEGAPIXELS) -> tuple[Image.Image, Image.Image | None, dict]:
    """A photo upright and in sRGB, 8 bits per channel, mode L or RGB; its alpha (L) or None; its metadata.

    The metadata is a dict for `Image.info`: EXIF without orientation, resolution, and an sRGB profile if the photo
    had a profile. What cannot be kept is a warning. The photo keeps its `format`.

    Args:
        photo: a path, the bytes of a file as `io.BytesIO`, a PIL image, or a uint8 array (H,W), (H,W,3) or (H,W,4).
        max_megapixels: larger files are refused before they are decoded.

    Raises ValueError for what is no photo, too large, or of a layout whose meaning is not known; OSError for a file
    that is missing, broken or of an unknown format.
    """
    if isinstance(photo, (str, os.PathLike)):
        with open(photo, "rb") as file:
            return _read_file(file, max_megapixels)
    if isinstance(photo, io.BytesIO):
        return _read_file(photo, max_megapixels)
    if not isinstance(photo, Image.Image):
        array = np.asarray(photo)
        if array.dtype != np.uint8 or array.shape[2:] not in ((), (3,), (4,)):
            expected = "path, PIL image or a uint8 array (H,W), (H,W,3) or (H,W,4)"
            raise ValueError(f"photo: expected {expected}, got {array.dtype} {array.shape}")
        photo = Image.fromarray(array)
    return _standardize(photo, in_place=False)


def decode(item: Item, size: int) -> tuple[dict, np.ndarray | None]:
    """Read one photo and squash it to a square (bicubic, antialiased), transparency on white.

    Returns its facts (sha256; width and height when upright; skipped = why it is unusable, or "") and the pixels,
    uint8 (size, size, 3), or None. Never raises for what is in the file.
    """
    facts = {"sha256": "", "width": None, "height": None, "skipped": ""}
    try:
        image = _read_item(item, facts).resize((size, size), Image.Resampling.BICUBIC)
        return facts, np.asarray(image.convert("RGB"))
    except Exception as error:  # decoders given garbage raise anything: SyntaxError, struct.error, …
        return facts | {"skipped": " ".join(str(error).split()) or type(error).__name__}, None


def _read_item(item, facts):
    if not item.path.is_file():  # a pipe or a socket would block the read
        raise OSError("not a regular file" if item.path.exists() else "no such file")
    data = item.path.read_bytes()
    facts["sha256"] = hashlib.sha256(data + (repr(item.box).encode() if item.box else b"")).hexdigest()
    if not data:
        raise OSError("empty file")
    if source_of(io.BytesIO(data)) is not None:
        raise ValueError("its colors were predicted by g2g, as its metadata says")
    image = on_white(*read_photo(io.BytesIO(data))[:2])
    image = image.crop(item.box) if item.box else image
    facts["width"], facts["height"] = image.size
    if min(image.size) < MIN_SIDE:
        raise OSError(f"only {image.width}×{image.height} px; each side needs at least {MIN_SIDE}")
    return image


def on_white(photo: Image.Image, alpha: Image.Image | None) -> Image.Image:
    """What is seen of a photo on white paper: values below full transparency count no more."""
    return Image.composite(photo, Image.new(photo.mode, photo.size, "white"), alpha) if alpha else photo


def _read_file(file, max_megapixels):
    start = file.read(12)
    file.seek(0)
    if start[:4] in TIFF:
        return _read_tiff(file, max_megapixels)
    try:
        image = Image.open(file, formats=READABLE)
    except UnidentifiedImageError as error:
        remedy = "; HEIC: save it as JPEG, with ImageMagick by `magick photo.heic photo.jpg`"
        hint = remedy if start[4:8] == b"ftyp" else ""
        raise UnidentifiedImageError(f"not an image that Pillow can read{hint}") from error
    with image:
        _check_size(*image.size, max_megapixels)
        return _standardize(image, in_place=True)


def _check_size(width, height, max_megapixels):
    megapixels = width * height / 1e6
    if megapixels > max_megapixels:
        raise ValueError(
            f"{width} x {height} pixels are {megapixels:.0f} megapixels, the limit is {max_megapixels:g}; "
            f"--max-megapixels {math.ceil(megapixels)} allows it, with {1 + megapixels * 0.012:.1f} GiB of memory"
        )


def _read_tiff(file, max_megapixels):
    """The largest image that is no thumbnail, the first of equals."""
    import tifffile  # a fifth of a second, for TIFF only

    with tifffile.TiffFile(file) as tiff:
        first = tiff.pages[0]
        if len(tiff.pages) > 1:
            _warn(f"only one of its {len(tiff.pages)} pages was colored")
        pages = [page for main in tiff.pages for page in (main, *(main.pages or ()))]  # with their sub-images
        whole = [page for page in pages if not page.is_reduced and not page.is_mask]
        page = max(whole or pages, key=lambda page: page.imagewidth * page.imagelength)
        _check_size(page.imagewidth, page.imagelength, max_megapixels)
        if page is first and _pillow_is_right(page):
            with Image.open(file, formats=["TIFF"]) as image:
                return _standardize(image, in_place=True)
        image = _decoded_page(page)
        image.format = "TIFF"
        image.info["icc_profile"] = page.iccprofile or first.iccprofile
        if not tiff.is_bigtiff:  # of which Pillow cannot read the tags alone
            file.seek(0)
            image.getexif().load_from_fp(file)
        return _standardize(image, in_place=True)


def _pillow_is_right(page):
    """Pillow knows all compressions, but not what every tag means: those of 8 bits, and of 16 without more."""
    if page.photometric in (0, 1) and page.samplesperpixel > 1:
        return False
    if page.bitspersample <= 8:
        return True
    plain = page.photometric in (1, 2) and page.planarconfig == 1 and "MaxSampleValue" not in page.tags
    return plain and page.bitspersample == 16 and page.dtype == "uint16"


def _decoded_page(page):
    mode = {0: "L", 1: "L", 2: "RGB", 5: "CMYK"}.get(page.photometric)
    kind = "none" if page.dtype is None else page.dtype.kind
    if not mode or kind == "i":
        what = getattr(page.photometric, "name", page.photometric)
        raise ValueError(f"TIFF of a layout that is not known ({what}, {page.bitspersample} bits, type {kind})")
    try:
        values = page.asarray()
    except (ValueError, NotImplementedError) as error:  # the latter: 12 bits, packed
        remedy = "save it with 8 or 16 bits, without compression"
        raise ValueError(f"TIFF with {page.bitspersample} bits cannot be read ({error}): {remedy}") from error
    if page.planarconfig == 2 and page.samplesperpixel > 1:  # one plane after the other
        values = np.moveaxis(values, 0, -1)
    values = values.reshape(page.imagelength, page.imagewidth, page.samplesperpixel)
    white = 2**page.bitspersample - 1
    largest = np.max(page.tags.valueof("MaxSampleValue", default=white))
    if largest in (1023, 4095, 16383):  # 10, 12 or 14 bits; others only tell the brightest pixel
        white = largest
    if page.bitspersample > 8:
        _warn(DEEP)
    planes = [_eight_bit(values[..., band], white) for band in range(page.samplesperpixel)]
    if page.photometric == 0:  # white is zero
        planes[0] = ImageOps.invert(planes[0])
    if mode != "CMYK":
        mode += {(1,): "a", (2,): "A"}.get(page.extrasamples[:1], "")  # alpha, multiplied into the colors or not
    if len(planes) > len(mode):
        _warn("further channels, infrared say, were left out")
    return Image.merge(mode, planes[: len(mode)]).convert(mode.replace("a", "A"))


def _standardize(image, in_place):
    if 0 in image.size:
        raise ValueError(f"photo: no pixels in it, its size is {image.size}")
    if getattr(image, "is_animated", False) and image.format not in ("MPO", "TIFF"):  # MPO: a camera's, with previews
        _warn(f"only the first of its {image.n_frames} frames was colored")
    if image.mode.startswith(("I", "F")) or any(";16" in str(tile) for tile in getattr(image, "tile", ())):
        _warn(DEEP)
    image.load()
    format, exif = image.format, _exif(image)
    image = ImageOps.exif_transpose(image, in_place=in_place) or image
    profile, gamma = image.info.get("icc_profile"), image.info.get("gamma", 1 / 2.2)
    info = {"exif": exif} if exif else {}
    if image.info.get("dpi"):
        info["dpi"] = image.info["dpi"]
    image, alpha = _eight_bits(image)
    if profile:  # numbers mean colors only through it, and Lab is computed from sRGB
        image = _to_srgb(image, profile)
        info["icc_profile"] = SRGB.tobytes()
    elif format == "PNG" and gamma > 0 and abs(gamma - 1 / 2.2) > 0.01:
        light = (np.arange(256) / 255) ** (1 / gamma)
        encoded = np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)  # sRGB's curve
        image = image.point((255 * encoded).round().tolist() * len(image.mode))
    if image.mode == "CMYK":
        image = image.convert("RGB")
    image.format = format
    return image, alpha, info


def _exif(image):
    """What of the EXIF describes the photo, as bytes; a warning names the metadata that is left out."""
    try:
        exif = Image.Exif()
        exif.load(image.getexif().tobytes())  # a copy; thumbnails, gray as they are, stay behind
        found = {name for key, name in OTHER_METADATA.items() if key in exif or image.info.get(key)}
        if set(getattr(image, "text", ())) - {"Description", "XML:com.adobe.xmp"}:
            found.add("text")
        if found:
            _warn(f"its {' and '.join(sorted(found))} metadata was left out; EXIF is kept")
        for tag in set(exif) - KEPT_TAGS:
            del exif[tag]
        for tag in NO_LONGER_TRUE:
            exif.get_ifd(IFD.Exif).pop(tag, None)
        return exif.tobytes() if len(exif) else b""
    except Exception as error:  # editors and cameras write EXIF that breaks any parser
        _warn(f"its EXIF metadata was left out, it cannot be read ({error})")
        return b""


def _eight_bits(image):
    """The image in mode L, RGB or CMYK, and its alpha or None."""
    if image.mode.startswith(("I", "F")):
        return _eight_bit(np.asarray(image), 65535), None
    if image.has_transparency_data:
        gray = image.mode in ("L", "LA", "La")
        if image.mode != "RGBA":  # else it would be one more copy
            image = image.convert("RGBA")
        return image.convert("L" if gray else "RGB"), image.getchannel("A")
    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return image, None


def _eight_bit(values, white):
    """An L image of the numbers of one channel: integers from 0 to `white`, at most 65535, or floats from 0 to 1."""
    low, high = values.min(), values.max()
    white = 1 if values.dtype.kind == "f" else white
    if not 0 <= low <= high <= white <= 65535:  # also NaN
        raise ValueError(f"its values, {low} to {high}, have no known white: save it with 8 or 16 bits")
    if white == 1:
        return Image.fromarray((values * 255 + 0.5).astype(np.uint8))
    table = (np.arange(white + 1) * (255 / white) + 0.5).astype(np.uint8)
    return Image.fromarray(table[values])


def _to_srgb(image, profile):
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if image.mode == "L" and source.profile.xcolor_space.strip() == "RGB":
            image = image.convert("RGB")  # gray saved with the profile of a color photo
        return ImageCms.profileToProfile(image, source, SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError) as error:
        _warn(f"its color profile cannot be used ({error}), so it was read as sRGB")
        return image


def _warn(text):
    warnings.warn(text, stacklevel=5)


def save_photo(image: Image.Image, path: str | Path) -> None:
    """Write a photo with the metadata in its `info`, whole or not at all: as PNG or, by any other suffix, as JPEG.

    Raises ValueError where a JPEG cannot hold it, RuntimeError where it cannot be written.
    """
    path, info = Path(path), dict(image.info)
    if path.suffix.lower() == ".png":
        format, options = "PNG", {"compress_level": 4}
        caption = image.getexif().get(Base.ImageDescription)
        if caption:  # few readers of PNG look into EXIF
            options["pnginfo"] = PngImagePlugin.PngInfo()
            options["pnginfo"].add_itxt("Description", caption)
    else:
        format, options = "JPEG", {"quality": 95, "subsampling": 0}  # halved color planes smear color over edges
        if not _fits_jpeg(image):
            limits = f"no transparency and at most {JPEG_SIDE:,} pixels a side"
            raise ValueError(f"{path.name}: a JPEG has {limits}, this is {image.mode}, {image.size}: choose .png")
        if len(info.get("exif") or b"") > JPEG_EXIF:
            _warn("its EXIF metadata is too long for a JPEG: only caption, software, date and author were kept")
            tags, kept = image.getexif(), Image.Exif()
            kept.update({tag: str(tags[tag])[:1000] for tag in WORDS if tag in tags})
            info["exif"] = kept.tobytes()
    save_atomic(lambda part: image.save(part, format, **info, **options), path)


def _fits_jpeg(image):
    return image.mode in ("L", "RGB") and max(image.size) <= JPEG_SIDE


def add_provenance(exif: bytes | None, by: str, source="") -> bytes:
    """The photo's EXIF with the words that its colors are predicted, its own caption behind them, and `source`.

    That is the name of the file it was made from, which `source_of` reads.
    """
    tags = Image.Exif()
    if exif:
        tags.load(exif)
    words = f"Colors predicted by {by}: a guess, not a record."
    tags[Base.Software] = SOFTWARE
    tags[Base.DocumentName] = to_ascii(source)
    tags[Base.ImageDescription] = f"{words} {tags.get(Base.ImageDescription, '')}".strip()
    return tags.tobytes()


def to_ascii(name: str) -> str:
    """A file's name in letters that EXIF can hold."""
    return os.fsencode(name).decode("ascii", "backslashreplace")


def source_of(file) -> str | None:
    """The name (escaped to ASCII) of the file that a result of `colorize` was made from; None: no result of it."""
    with suppress(Exception), Image.open(file, formats=["JPEG", "PNG"]) as image:
        exif = Image.Exif()
        exif.load(image.info.get("exif"))
        if exif.get(Base.Software) == SOFTWARE:
            return exif.get(Base.DocumentName, "")
    return None


def result_name(source: Path, ending: str, image: Image.Image) -> str:
    """NAME-ending.jpg for a JPEG (with its own suffix), NAME-ending.png, without loss, for all else.

    A long NAME is cut: file systems allow 255 bytes.
    """
    stem = source.stem
    while len(os.fsencode(stem)) > 200:
        stem = stem[:-1]
    suffix = ".png"
    if image.format in ("JPEG", "MPO") and _fits_jpeg(image):  # MPO: a camera's JPEG with previews
        suffix = source.suffix if source.suffix.lower() in JPEG_SUFFIXES else ".jpg"
    return f"{stem}-{ending}{suffix}"


def save_new_photo(image: Image.Image, path: Path) -> Path:
    """`save_photo` under a name that is nobody else's, which it returns: where `path` is taken, NAME-2 or more."""
    claimed = path
    for number in itertools.count(2):
        with suppress(FileExistsError):
            claimed.touch(exist_ok=False)
            break
        claimed = path.with_stem(f"{path.stem}-{number}")
    try:
        save_photo(image, claimed)
    except BaseException:  # Ctrl-C, too: the name is given back
        claimed.unlink()
        raise
    return claimed


def photos_under(folder: str | Path) -> list[Path]:
    """Files in `folder` and below with a photo's suffix, sorted; links are followed, hidden names left out."""

    def left_out(error):
        _warn(f"{error.filename} is left out: {error.strerror}")

    found, seen = [], set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=left_out):
        real = os.path.realpath(place)
        if real in seen:  # a link back to a folder above
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place, name) for name in names if not name.startswith(".")]
    return sorted(path for path in found if path.suffix.lower() in SUFFIXES)


def find_photos(paths) -> tuple[list[Path], list[str]]:
    """The photos that files, folders (searched recursively) and glob patterns mean; and what means nothing.

    In folders and patterns, hidden files and what `colorize` made, as its metadata says, are passed over.
    """
    found, missing = {}, []
    for path in paths:
        path = os.path.expanduser(path)
        if os.path.isfile(path):
            new = [Path(path)]
        else:
            inside = photos_under(path) if os.path.isdir(path) else map(Path, sorted(glob.glob(path, recursive=True)))
            new = [p for p in inside if p.is_file() and p.suffix.lower() in SUFFIXES and source_of(p) is None]
        if not new:
            missing.append(path)
        for photo in new:
            found.setdefault(photo.resolve(), photo)
    return list(found.values()), missing


def gallery_photo(name: str, side: int) -> np.ndarray:
    """A photograph of `data/gallery`, such as `meadow`, cut square: uint8 (side, side, 3). No profile trains on it."""
    photo = Image.open(repo_root() / "data" / "gallery" / f"{name}.jpg").convert("RGB")
    return np.asarray(ImageOps.fit(photo, (side, side)))


def gallery_photos(side: int) -> list[np.ndarray]:
    """All eight of them, by name."""
    files = sorted((repo_root() / "data" / "gallery").glob("*.jpg"))
    return [gallery_photo(file.stem, side) for file in files]
