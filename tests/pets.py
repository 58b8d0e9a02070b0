"""A small set of one's own images: folders of noise in two classes, and archives of them."""

import io
import shutil
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int = 0, size=(32, 32)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


def saved(image: Image.Image, kind: str = "png", **options) -> bytes:
    image.save(file := io.BytesIO(), kind, **options)
    return file.getvalue()


def folder(at: Path, train: int = 3, test: int = 2) -> Path:
    """Three training and two test images of each of two classes, or as many as is said."""
    top = at / "pets"
    for part, count in (("train", train), ("test", test)):
        for i, name in enumerate(("cat", "dog")):
            (top / part / name).mkdir(parents=True)
            for j in range(count):
                picture(10 * i + j + count).save(top / part / name / f"{j}.png")
    return top


def pack(top: Path, kind: str = "zip") -> Path:
    return Path(shutil.make_archive(str(top), kind, top))
