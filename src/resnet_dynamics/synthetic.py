"""The built-in set of images: drawn shapes, the same bytes on every machine.

Uniform random numbers of a fixed seed, then only + - * / |x|, floor and sqrt in float32, which IEEE 754 rounds in one
way.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

__all__ = ["CLASSES", "DIGEST", "SIZE", "draw"]

SIZE = 32  # height and width of an image in pixels
OUTLINES = ("disk", "ring", "square", "triangle", "cross")
PATTERNS = ("stripes", "checks", "dots", "zigzag", "ripples")
CLASSES = OUTLINES + PATTERNS
DIGEST = "8e21f5d7dc4723e8"  # of what is drawn, as `datasets.Images` has it


def draw() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw 20,000 images to train and 2,000 to test, with labels: uint8 [N, 32, 32, 3], int64 [N], and both again.

    A plain shape belongs to the class of its outline, a patterned one (of any outline) to that of its pattern. Colors,
    size, place, angle, slope of the background, clutter and noise vary.
    """
    sets = []
    for split, n in enumerate((20_000, 2_000)):
        labels = np.arange(n) % len(CLASSES)
        chunks = np.split(labels, n // 50)  # small enough for the processor's cache
        with ThreadPoolExecutor() as pool:
            drawn = pool.map(_draw, chunks, [[split, i] for i in range(len(chunks))])
        sets += [np.concatenate(list(drawn)), labels]
    return tuple(sets)


def _draw(labels: np.ndarray, seed: list[int]) -> np.ndarray:
    """Draw one image for each label: uint8 [n, 32, 32, 3]."""
    n, rng = len(labels), np.random.default_rng(seed)

    def uniform(low: float, high: float, *shape: int) -> np.ndarray:  # [n, 1, 1] or [n, *shape]
        return low + (high - low) * rng.random((n, *(shape or (1, 1))), dtype=np.float32)

    def color(saturation: float, value: float) -> np.ndarray:  # RGB of any hue [n, 3, 1, 1]
        hue, shift = uniform(0, 6, 1, 1, 1), np.array([0, 4, 2], np.float32).reshape(3, 1, 1)
        ramp = np.clip(np.abs((hue + shift) % 6 - 3) - 1, 0, 1)
        return uniform(value, 1, 1, 1, 1) * (1 - uniform(saturation, 1, 1, 1, 1) * (1 - ramp))

    def place(smallest: float, largest: float, spread: float) -> tuple:
        """A frame of its own for each image: x, y [n, 32, 32] and its unit in pixels."""
        unit, t = uniform(smallest, largest), uniform(-0.4, 0.4)  # t = tan(angle / 2): ±44 degrees
        cos, sin = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
        y, x = np.mgrid[-15.5:16, -15.5:16].astype(np.float32)
        x, y = x - uniform(-spread, spread), y - uniform(-spread, spread)
        return (cos * x + sin * y) / unit, (cos * y - sin * x) / unit, unit

    def outline(kind: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Distance from the outline in units of the frame, negative inside."""
        r, u, v = np.sqrt(x * x + y * y), np.abs(x), np.abs(y)
        disk, ring, square = r - 0.9, np.abs(r - 0.72) - 0.24, np.maximum(u, v) - 0.8
        triangle = np.maximum(y - 0.55, 0.866 * u - 0.5 * y - 0.55)
        cross = np.minimum(np.maximum(u - 0.95, v - 0.32), np.maximum(v - 0.95, u - 0.32))
        return np.stack([disk, ring, square, triangle, cross])[kind, range(n)]

    def pattern(kind: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """One ink where it is below 1/2, the other where it is above; the period is 1."""
        p, q, r = _wave(x), _wave(y), np.sqrt(x * x + y * y)
        checks = 0.5 + 2 * (p - 0.5) * (q - 0.5)
        dots = 1.6 - 2 * np.sqrt((1 - p) * (1 - p) + (1 - q) * (1 - q))
        return np.stack([p, checks, dots, _wave(x + q), _wave(r)])[kind, range(n)]

    def any_kind() -> np.ndarray:
        return rng.integers(0, 5, n)

    # The background is a slope between two colors, with small shapes on it.
    x, y, _ = place(32, 48, 8)
    picture = _paint(color(0.1, 0.2), color(0.1, 0.2), x + 0.5)
    for _ in range(4):
        x, y, unit = place(2, 5, 15)
        picture = _paint(picture, color(0.2, 0.2), 0.5 - unit * outline(any_kind(), x, y))

    # The shape that counts: one slope of colors, or two colors in a pattern.
    x, y, unit = place(7, 12, 5)
    plain = labels < 5
    period = unit / uniform(5, 9)
    figure = pattern(np.where(plain, 0, labels - 5), x * period + uniform(0, 1), y * period)
    share = np.where(plain[:, None, None], 0.5 + 0.5 * x, 0.5 + 3 * (figure - 0.5))
    ink = _paint(color(0.3, 0.3), color(0.3, 0.3), share)
    picture = _paint(picture, ink, 0.5 - unit * outline(np.where(plain, labels, any_kind()), x, y))

    noise = uniform(-1, 1, 3, SIZE, SIZE) + uniform(-1, 1, 3, SIZE, SIZE)
    picture = np.clip(picture + uniform(0.02, 0.12, 1, 1, 1) * noise, 0, 1)
    return np.floor(255 * picture + 0.5).astype(np.uint8).transpose(0, 2, 3, 1)


def _wave(t: np.ndarray) -> np.ndarray:
    """A triangle wave: 0 at the integers, 1 halfway between them."""
    return 1 - np.abs(2 * (t - np.floor(t)) - 1)


def _paint(picture: np.ndarray, ink: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """Lay `ink` over `picture` where `cover` [n, 32, 32] is 1, mixed in between 0 and 1."""
    return picture + (ink - picture) * np.clip(cover, 0, 1)[:, None]
