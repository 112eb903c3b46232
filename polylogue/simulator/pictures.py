"""Draws a scene and encodes it as PNG; the same arguments always give the same bytes."""

from __future__ import annotations

import io
import math
import random
import struct
import zlib
from typing import TYPE_CHECKING

from polylogue.simulator import scenes

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

SOURCE = "Drawn by the Polylogue simulator; no model was involved."
Points = list[tuple[float, float]]


def _polygon(x: float, y: float, radius: float, corners: int, turn: float = -90.0) -> Points:
    angles = (math.radians(turn + 360 * corner / corners) for corner in range(corners))
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]


def _star(x: float, y: float, radius: float) -> Points:
    outer, inner = _polygon(x, y, radius, 5), _polygon(x, y, radius * 0.4, 5, -54)
    return [point for pair in zip(outer, inner, strict=True) for point in pair]


def _heart(x: float, y: float, radius: float) -> Points:
    steps = (2 * math.pi * step / 90 for step in range(90))
    return [
        (
            x + radius * math.sin(t) ** 3,
            y
            - radius * (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 16,
        )
        for t in steps
    ]


def _draw_thing(
    draw: ImageDraw.ImageDraw,
    shape: str,
    place: tuple[float, float, float],
    *,
    fill: scenes.Colour,
    ground: scenes.Colour,
) -> None:
    x, y, r = place
    match shape:
        case "circle":
            draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)
        case "square":
            side = r * 0.85
            draw.rectangle((x - side, y - side, x + side, y + side), fill=fill)
        case "rectangle":
            draw.rectangle((x - r, y - r * 0.55, x + r, y + r * 0.55), fill=fill)
        case "ellipse":
            draw.ellipse((x - r, y - r * 0.6, x + r, y + r * 0.6), fill=fill)
        case "triangle":
            draw.polygon(_polygon(x, y + r * 0.15, r, 3), fill=fill)
        case "diamond":
            draw.polygon([(x, y - r), (x + r * 0.7, y), (x, y + r), (x - r * 0.7, y)], fill=fill)
        case "pentagon":
            draw.polygon(_polygon(x, y, r, 5), fill=fill)
        case "hexagon":
            draw.polygon(_polygon(x, y, r, 6), fill=fill)
        case "star":
            draw.polygon(_star(x, y, r), fill=fill)
        case "heart":
            draw.polygon(_heart(x, y, r), fill=fill)
        case "ring":
            draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)
            draw.ellipse((x - r * 0.6, y - r * 0.6, x + r * 0.6, y + r * 0.6), fill=ground)
        case "cross":
            draw.rectangle((x - r, y - r * 0.3, x + r, y + r * 0.3), fill=fill)
            draw.rectangle((x - r * 0.3, y - r, x + r * 0.3, y + r), fill=fill)
        case "moon":
            draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)
            draw.ellipse((x - r * 0.4, y - r * 1.1, x + r * 1.5, y + r * 0.8), fill=ground)
        case "sun":
            for dx, dy in _polygon(0, 0, 1, 12):
                line = (x + dx * r * 0.7, y + dy * r * 0.7, x + dx * r, y + dy * r)
                draw.line(line, fill=fill, width=max(1, round(r * 0.08)))
            draw.ellipse((x - r * 0.6, y - r * 0.6, x + r * 0.6, y + r * 0.6), fill=fill)
        case "tree":
            draw.rectangle((x - r * 0.12, y, x + r * 0.12, y + r), fill=scenes.COLOURS["brown"])
            draw.ellipse((x - r * 0.6, y - r, x + r * 0.6, y + r * 0.35), fill=fill)
        case "house":
            draw.rectangle((x - r * 0.7, y - r * 0.2, x + r * 0.7, y + r * 0.9), fill=fill)
            roof = scenes.COLOURS["red" if fill != scenes.COLOURS["red"] else "brown"]
            draw.polygon([(x - r * 0.9, y - r * 0.2), (x, y - r), (x + r * 0.9, y - r * 0.2)], fill=roof)
            draw.rectangle((x - r * 0.15, y + r * 0.35, x + r * 0.15, y + r * 0.9), fill=ground)
        case "flower":
            for px, py in _polygon(x, y, r * 0.6, 6):
                draw.ellipse((px - r * 0.38, py - r * 0.38, px + r * 0.38, py + r * 0.38), fill=fill)
            draw.ellipse((x - r * 0.3, y - r * 0.3, x + r * 0.3, y + r * 0.3), fill=scenes.COLOURS["gold"])
        case _:
            raise ValueError(f"no way to draw a {shape}")


def draw(prompt: str, seed: int, width: int, height: int) -> Image.Image:
    """The scene of the prompt: things in a grid, moved and sized a little by the seed."""
    from PIL import Image, ImageDraw

    scene = scenes.read(prompt, seed)
    chance = random.Random(seed)  # noqa: S311 - a picture, not a secret
    # Drawn at twice the size and reduced, or edges would be jagged; large pictures do without.
    scale = 2 if width * height <= 1024 * 1024 else 1
    ground = scenes.COLOURS[scene.background]
    image = Image.new("RGB", (width * scale, height * scale), ground)
    pen = ImageDraw.Draw(image)
    columns = max(1, round(math.sqrt(len(scene.things) * width / height)))
    rows = math.ceil(len(scene.things) / columns)
    columns = math.ceil(len(scene.things) / rows)
    cell_w, cell_h = width * scale / columns, height * scale / rows
    for place, thing in enumerate(scene.things):
        row, column = divmod(place, columns)
        in_row = min(columns, len(scene.things) - row * columns)
        left = (width * scale - in_row * cell_w) / 2
        radius = min(cell_w, cell_h) * chance.uniform(0.3, 0.4)
        x = left + (column + 0.5) * cell_w + chance.uniform(-0.05, 0.05) * cell_w
        y = (row + 0.5) * cell_h + chance.uniform(-0.05, 0.05) * cell_h
        _draw_thing(pen, thing.shape, (x, y, radius), fill=scenes.COLOURS[thing.colour], ground=ground)
    if scale > 1:
        image = image.resize((width, height), Image.Resampling.BOX)
    return image


def compact(prompt: str, seed: int, width: int, height: int) -> bytes:
    """The drawing as an ordinary, well compressed PNG that says where it comes from."""
    from PIL import PngImagePlugin

    about = PngImagePlugin.PngInfo()
    about.add_text("Source", SOURCE)
    about.add_text("Software", "Polylogue simulator")
    out = io.BytesIO()
    draw(prompt, seed, width, height).save(out, "PNG", pnginfo=about, compress_level=6)
    return out.getvalue()


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))


def bulky(prompt: str, seed: int, size: int) -> bytes:
    """The drawing in a wide frame of noise, stored uncompressed: at least `size` bytes, quickly."""
    from PIL import Image

    side = max(16, math.isqrt(size // 3) + 1)
    chance = random.Random(seed)  # noqa: S311 - a picture, not a secret
    # Row by row: one call for the whole would hold the interpreter, and every stream with it, for up to a second.
    noise = b"".join(chance.randbytes(side * 3) for _ in range(side))
    image = Image.frombytes("RGB", (side, side), noise)
    inner = max(8, min(side // 2, 1024))
    image.paste(draw(prompt, seed, inner, inner), ((side - inner) // 2, (side - inner) // 2))
    # Written by hand because Pillow tries five filters on every row, which takes seconds for noise.
    pixels, stride = memoryview(image.tobytes()), side * 3
    rows = b"".join(
        part for row in range(side) for part in (b"\0", pixels[row * stride : (row + 1) * stride])
    )
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)),
            _png_chunk(b"tEXt", b"Source\0" + SOURCE.encode("ascii")),
            _png_chunk(b"IDAT", zlib.compress(rows, 0)),
            _png_chunk(b"IEND", b""),
        )
    )
