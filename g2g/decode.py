"""One photo, whatever its format, as a small square of 8-bit RGB; or the reason why not."""

import hashlib
import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from g2g.sources import Item

MIN_SIDE = 16  # pixels: less is an icon, not a photo
# Named, because Pillow would otherwise hand a PostScript file with a photo's name to Ghostscript
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")
UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}  # EXIF 0x0112, how the camera was held: what undoes it


def decode(item: Item, size: int, fit: str = "squash") -> tuple[dict, np.ndarray | None]:
    """Read, decode and resize one photo (bicubic, antialiased); never raises for what is in the file.

    Returns:
        its facts (sha256, width and height when upright, chroma = mean CIE chroma, skipped = why it is
        unusable, or "") and the pixels, uint8 (size, size, 3), or None if it is unusable.
    """
    facts = {"sha256": "", "width": None, "height": None, "chroma": None, "skipped": ""}
    try:
        if not item.path.is_file():  # a pipe or a socket would block the read
            raise OSError("not a regular file" if item.path.exists() else "no such file")
        data = item.path.read_bytes()
        facts["sha256"] = hashlib.sha256(data + (repr(item.box).encode() if item.box else b"")).hexdigest()
        if not data:
            raise OSError("empty file")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow on odd metadata; what matters raises
            formats = [name for name in FORMATS if name in Image.OPEN]
            with Image.open(io.BytesIO(data), formats=formats) as image:
                image = to_rgb8(image)
        if item.box:
            image = image.crop(item.box)
        facts["width"], facts["height"] = image.size
        if min(image.size) < MIN_SIDE:
            raise OSError(f"only {image.width}×{image.height} px; each side needs at least {MIN_SIDE}")
        if fit == "crop":
            image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
        pixels = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))
        facts["chroma"] = round(mean_chroma(pixels), 4)
        return facts, pixels
    except UnidentifiedImageError:
        facts["skipped"] = "not an image that Pillow can read"
    except Exception as error:  # decoders given garbage raise anything: SyntaxError, struct.error, …
        facts["skipped"] = " ".join(f"{error}".split()) or type(error).__name__
    return facts, None


def to_rgb8(image: Image.Image) -> Image.Image:
    """Any Pillow image as 8-bit RGB, upright: EXIF rotation honoured, transparency on white, 16 bits scaled.

    Raises:
        OSError: the file is cut off, or a mode without a defined range (32-bit floating point).
    """
    image.load()
    turn = UPRIGHT.get(image.getexif().get(0x0112))
    if image.mode.startswith("I"):  # 16-bit gray, which Pillow's own conversion would clip at 255
        gray = np.asarray(image).astype(np.float64).clip(0, 65535) / 257
        image = Image.fromarray(gray.round().astype(np.uint8))
    elif image.mode == "F":
        raise OSError("32-bit floating point pixels: save it with 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    return image.transpose(Image.Transpose[turn]) if turn else image


def mean_chroma(pixels: np.ndarray) -> float:
    """Mean CIE chroma, the mean of sqrt(a*² + b*²), of a uint8 photo (H, W, 3)."""
    from g2g.lab import AB_SCALE, photos_to_lab

    total = 0.0
    # Bands of at most 32,768 values keep torch on the calling thread, one of several that decode
    for band in np.array_split(pixels, -(-pixels.size // 32768)):
        _, ab = photos_to_lab(band[None])
        total += ab.square().sum(dim=1).sqrt().sum().item()
    return total * AB_SCALE / (pixels.shape[0] * pixels.shape[1])


Image.init()  # once here and not by several threads at a time
