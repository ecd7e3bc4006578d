"""Building blocks of rendered scenes: colours, patterns and a camera. Colours are RGB, 0 .. 255."""

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Float, UInt8

Picture = UInt8[np.ndarray, "h w 3"]
Window = tuple[slice, slice]  # rows and columns of a picture
Colours = Callable[[np.random.Generator, int], Float[np.ndarray, "count 3"]]


def vivid_colours(random: np.random.Generator, count: int) -> Float[np.ndarray, "count 3"]:
    """Colours of any hue, with at least one strong and one weak channel."""
    colours = random.uniform(0, 1, (count, 3))
    low, high = colours.min(axis=1, keepdims=True), colours.max(axis=1, keepdims=True)
    weak, strong = random.uniform(0, 50, (count, 1)), random.uniform(190, 255, (count, 1))
    return (weak + (strong - weak) * (colours - low) / (high - low)).astype(np.float32)


def dull_colours(random: np.random.Generator, count: int) -> Float[np.ndarray, "count 3"]:
    """Greys of any brightness with a tint."""
    return (random.uniform(30, 215, (count, 1)) + random.uniform(-30, 30, (count, 3))).astype(np.float32)


def standing_out(
    colours: Float[np.ndarray, "n 3"], distances: Float[np.ndarray, "n m"], enough: float
) -> Float[np.ndarray, "3"]:
    """The first colour at a distance of `enough` from nearly all (7/8) of the colours behind it, or else the best one.

    `distances` are from each colour to each colour behind it.
    """
    least = np.sort(distances, axis=1)[:, distances.shape[1] // 8]
    good = np.flatnonzero(least >= enough)
    return colours[good[0] if len(good) else np.argmax(least)]


def window_of(points: Float[np.ndarray, "n 2"], size: tuple[int, int]) -> Window:
    """The part of a picture of `size` (height, width) that a polygon with these vertices (x, y) can touch."""
    left, top = np.clip(np.floor(points.min(axis=0)).astype(int) - 1, 0, (size[1] - 1, size[0] - 1)).tolist()
    right, bottom = np.clip(np.ceil(points.max(axis=0)).astype(int) + 1, (left + 1, top + 1), size[::-1]).tolist()
    return slice(top, bottom), slice(left, right)


def background(
    random: np.random.Generator, size: tuple[int, int], finest: float, colours: Colours = dull_colours
) -> Picture:
    """A pattern of two `colours` under clouds, of `size` (height, width), with no detail finer than `finest` pixels."""
    first, second = colours(random, 2)
    weight = random.uniform(0.08, 0.3) * pattern(random, *size, finest)
    cloud = random.uniform(0, 18) * clouds(random, *size, finest)
    # Channel by channel: numpy is several times slower if the innermost axis has only three entries.
    channels = [low + (high - low) * (0.5 + weight) + cloud for low, high in zip(first, second, strict=True)]
    return cv2.merge([np.clip(channel, 0, 255).astype(np.uint8) for channel in channels])


def pattern(random: np.random.Generator, height: int, width: int, finest: float) -> Float[np.ndarray, "h w"]:
    """A gradient, clouds, stripes or checks, -1 .. 1, with no detail finer than `finest` pixels."""
    patterns = (gradient, clouds, _stripes, _checks)
    return patterns[random.integers(len(patterns))](random, height, width, finest)


def gradient(random: np.random.Generator, height: int, width: int, finest: float) -> Float[np.ndarray, "h w"]:
    """A ramp in a random direction, -1 .. 1."""
    slope = ramp(random.uniform(0, 2 * np.pi), height, width)
    return slope / max(np.abs(slope).max(), finest)


def clouds(random: np.random.Generator, height: int, width: int, finest: float) -> Float[np.ndarray, "h w"]:
    """Smooth noise, -1 .. 1, of one random scale."""
    spacing = np.exp(random.uniform(np.log(finest), np.log(max(finest, height, width) / 2 + finest)))
    grid = random.uniform(-1, 1, (int(height / spacing) + 2, int(width / spacing) + 2)).astype(np.float32)
    return np.clip(cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC), -1, 1)


def _stripes(random: np.random.Generator, height: int, width: int, finest: float) -> Float[np.ndarray, "h w"]:
    wave = _wave(random.uniform(0, 2 * np.pi), random.uniform(2, 10) * finest, height, width)
    return np.clip(wave * random.uniform(1, 6), -1, 1)


def _checks(random: np.random.Generator, height: int, width: int, finest: float) -> Float[np.ndarray, "h w"]:
    angle, period = random.uniform(0, 2 * np.pi), random.uniform(2, 6) * finest
    waves = _wave(angle, period, height, width) * _wave(angle + np.pi / 2, period, height, width)
    return np.clip(waves * random.uniform(1, 4), -1, 1)


def _wave(angle: float, period: float, height: int, width: int) -> Float[np.ndarray, "h w"]:
    return np.sin(ramp(angle, height, width) * np.float32(2 * np.pi / period))


def ramp(angle: float, height: int, width: int) -> Float[np.ndarray, "h w"]:
    """Each pixel's distance from the middle, in pixels, along the direction of `angle` (radians)."""
    down = (np.arange(height, dtype=np.float32) - height / 2) * np.float32(np.sin(angle))
    right = (np.arange(width, dtype=np.float32) - width / 2) * np.float32(np.cos(angle))
    return down[:, None] + right


def camera(picture: Picture, random: np.random.Generator) -> Picture:
    """Adds what a camera adds: slight blur, noise and a change of brightness."""
    if random.random() < 0.4:
        picture = cv2.GaussianBlur(picture, (5, 5), random.uniform(0.4, 0.9))
    grain = random.integers(0, 256, picture.shape[:2], np.uint8)  # ten times faster than normal noise
    strength, gain = random.uniform(0, 0.1), random.uniform(0.8, 1.12)
    brightness = random.uniform(-12, 12) - 127.5 * strength
    return cv2.addWeighted(picture, gain, cv2.merge([grain] * 3), strength, brightness)
