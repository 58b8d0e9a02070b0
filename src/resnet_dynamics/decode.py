"""One image file as pixels, or the reason why it cannot be used."""

from __future__ import annotations

import io
import re

import numpy as np

from .archives import show
from .synthetic import SIZE

__all__ = ["decoded"]

FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "PPM", "TIFF", "WEBP")  # Pillow's names; none of them runs a program
DEEP = re.compile(r";(12|16|32)[BLNRS]")  # of Pillow's raw modes; "BGR;16" has 16 bits for all three
_ORIENTATION = 0x0112  # the tag of EXIF


def decoded(content: bytes) -> np.ndarray:
    """Decode one image: uint8 [32, 32, 3].

    Upright, as its EXIF orientation has it; of several frames or pages the first one; gray, palettes, CMYK and
    transparency become RGB.

    Nothing that belongs to the whole process is changed, neither filters of warnings nor switches of Pillow, since
    other threads may do so at the same time. So what Pillow warns of, as of damaged EXIF, is seen.

    Raises:
        ValueError: why it cannot be used.
    """
    from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

    size, deep = None, ""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            size, deep = image.size, _deep(image)
            if size == (SIZE, SIZE) and not deep:  # else not decoded, it may be huge
                image.load()
                if ImageFile.LOAD_TRUNCATED_IMAGES:
                    raise ValueError("half an image would pass while PIL.ImageFile.LOAD_TRUNCATED_IMAGES=True: must be "
                                     "False")  # fmt: skip
                if image.getexif().get(_ORIENTATION, 1) != 1:
                    image = ImageOps.exif_transpose(image)
                if "transparency" in image.info:
                    image = image.convert("RGBA")
                return np.asarray(image.convert("RGB"))
    except UnidentifiedImageError as error:
        raise ValueError(f"cannot be read as an image (it is none of {', '.join(FORMATS)})") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error ...
        raise ValueError(f"cannot be read as an image ({show(error)})") from error
    if size != (SIZE, SIZE):
        raise ValueError(f"{size[0]} × {size[1]} pixels, must be {SIZE} × {SIZE}")
    raise ValueError(deep)


def _deep(image) -> str:
    """Say that a channel has more than 8 bits, or a sign, if so. Conversion would spoil them."""
    if found := _bits(image):
        return f"more than 8 bits a channel ({found}), must be 8"
    signs = set(_numbers(image.tag_v2.get(339, 1))) if image.format == "TIFF" else set()
    return f"signed values (SampleFormat {max(signs)}), must be unsigned" if signs - {1, 4} else ""  # 4: not said


def _bits(image) -> str:
    """Return what tells that a channel has more than 8 bits, or nothing."""
    if image.mode.startswith(("I", "F")):
        return f"mode {image.mode}"
    for codec, _, _, given in (tuple(tile)[:4] for tile in image.tile):
        raw, *rest = given if isinstance(given, tuple) else (given,)
        if isinstance(raw, str) and DEEP.search(raw):
            return f"mode {raw}"
        if codec.startswith("ppm") and rest[-1] > 255:
            return f"values up to {rest[-1]}"
    if image.format == "TIFF" and (most := max(_numbers(image.tag_v2.get(258, 1)))) > 8:  # in planes no mode tells it
        return f"BitsPerSample {most}"
    return ""


def _numbers(value) -> tuple:
    return value if isinstance(value, tuple) else (value,)
