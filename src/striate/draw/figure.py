"""A figure: a list of a few shapes, rendered as SVG text or, through Pillow, as a PNG.

Coordinates are in points from the top left; a PNG has two pixels a point and is drawn at four, then
averaged, since Pillow's own lines have no soft edges.
"""

from __future__ import annotations

import base64
import io
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from striate.errors import UsageError
from striate.files import atomic_write

INK, MUTED, GRID, PAPER = "#1f2937", "#6b7280", "#e5e7eb", "#ffffff"
BLUE, PALE_BLUE, ORANGE = "#2563eb", "#d3e0fc", "#e8590c"
ADDED = "#fdeadd"  # behind the part of a range that was not in it at first
STROKES = (BLUE, ORANGE, "#0f766e", "#7c3aed", "#6b7280", "#be185d")  # of lines, in turn

Pixels = npt.NDArray[np.uint8]
Point = tuple[float, float]
Anchor = Literal["start", "middle", "end"]

_DENSITY = 2  # pixels a point in a PNG
_OVER = 2  # drawn this much larger, then averaged
_SCALE = _DENSITY * _OVER
_WIDE_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial Unicode.ttf", "arial.ttf")


# -- shapes ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Polyline:
    points: tuple[Point, ...]
    stroke: str | None
    width: float
    fill: str | None

    def svg(self) -> str:
        points = " ".join(f"{x:.2f},{y:.2f}" for x, y in self.points)
        return (
            f'<polyline points="{points}" fill="{self.fill or "none"}" stroke='
            f'"{self.stroke or "none"}" stroke-width="{self.width:g}" stroke-linejoin="round"/>'
        )

    def paint(self, canvas: Image.Image) -> None:
        draw = ImageDraw.Draw(canvas)
        points = [(x * _SCALE, y * _SCALE) for x, y in self.points]
        if self.fill and len(points) > 2:
            draw.polygon(points, fill=self.fill)
        if self.stroke:
            draw.line(points, self.stroke, max(1, round(self.width * _SCALE)), joint="curve")


@dataclass(frozen=True)
class _Rectangle:
    x: float
    y: float
    width: float
    height: float
    fill: str

    def svg(self) -> str:
        return (
            f'<rect x="{self.x:.2f}" y="{self.y:.2f}" width="{self.width:.2f}" '
            f'height="{self.height:.2f}" fill="{self.fill}"/>'
        )

    def paint(self, canvas: Image.Image) -> None:
        left, top = round(self.x * _SCALE), round(self.y * _SCALE)
        right = round((self.x + self.width) * _SCALE) - 1
        bottom = round((self.y + self.height) * _SCALE) - 1
        if right >= left and bottom >= top:
            ImageDraw.Draw(canvas).rectangle((left, top, right, bottom), self.fill)


@dataclass(frozen=True)
class _Circle:
    x: float
    y: float
    radius: float
    fill: str

    def svg(self) -> str:
        return (
            f'<circle cx="{self.x:.2f}" cy="{self.y:.2f}" r="{self.radius:g}" fill="{self.fill}"/>'
        )

    def paint(self, canvas: Image.Image) -> None:
        box = [
            (centre + sign * self.radius) * _SCALE
            for sign in (-1, 1)
            for centre in (self.x, self.y)
        ]
        ImageDraw.Draw(canvas).ellipse(box, self.fill)


@dataclass(frozen=True)
class _Text:
    x: float
    y: float
    text: str
    size: float
    fill: str
    anchor: Anchor
    upright: bool

    def svg(self) -> str:
        turn = f' transform="rotate(-90 {self.x:.2f} {self.y:.2f})"' if self.upright else ""
        return (
            f'<text x="{self.x:.2f}" y="{self.y:.2f}" font-size="{self.size:g}" fill="{self.fill}" '
            f'text-anchor="{self.anchor}"{turn}>{escape(self.text)}</text>'
        )

    def paint(self, canvas: Image.Image) -> None:
        text, font = _lettering(self.text, self.size * _SCALE)
        ascent, descent = font.getmetrics()
        length = math.ceil(font.getlength(text))
        mask = Image.new("L", (length + 2, ascent + descent))
        ImageDraw.Draw(mask).text((0, 0), text, fill=255, font=font)
        before = {"start": 0, "middle": length / 2, "end": length}[self.anchor]
        if self.upright:
            mask = mask.transpose(Image.Transpose.ROTATE_90)
            corner = (self.x * _SCALE - ascent, self.y * _SCALE - mask.height + before)
        else:
            corner = (self.x * _SCALE - before, self.y * _SCALE - ascent)
        canvas.paste(self.fill, (round(corner[0]), round(corner[1])), mask)


@dataclass(frozen=True)
class _Picture:
    x: float
    y: float
    width: float
    height: float
    pixels: Pixels

    def svg(self) -> str:
        packed = io.BytesIO()
        Image.fromarray(self.pixels).save(packed, "PNG")
        data = base64.b64encode(packed.getvalue()).decode()
        style = ' style="image-rendering:pixelated"' if self._enlarged() else ""
        return (
            f'<image x="{self.x:.2f}" y="{self.y:.2f}" width="{self.width:.2f}" height='
            f'"{self.height:.2f}"{style} href="data:image/png;base64,{data}"/>'
        )

    def paint(self, canvas: Image.Image) -> None:
        size = (max(1, round(self.width * _SCALE)), max(1, round(self.height * _SCALE)))
        rule = Image.Resampling.NEAREST if self._enlarged() else Image.Resampling.LANCZOS
        picture = Image.fromarray(self.pixels).convert("RGB").resize(size, rule)
        canvas.paste(picture, (round(self.x * _SCALE), round(self.y * _SCALE)))

    def _enlarged(self) -> bool:
        return self.width >= 2 * float(self.pixels.shape[1])


_Shape = _Polyline | _Rectangle | _Circle | _Text | _Picture


class Figure:
    """A picture of shapes; width, height and every coordinate are in points from the top left."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self._shapes: list[_Shape] = []

    def line(self, start: Point, end: Point, stroke: str = GRID, width: float = 1.0) -> None:
        """Draw a straight line."""
        self.polyline((start, end), stroke, width)

    def polyline(
        self,
        points: Sequence[Point],
        stroke: str | None = BLUE,
        width: float = 1.5,
        fill: str | None = None,
    ) -> None:
        """Draw a line through points, or (`fill`) the area they enclose."""
        if points:
            self._shapes.append(_Polyline(tuple(points), stroke, width, fill))

    def rectangle(self, x: float, y: float, width: float, height: float, fill: str) -> None:
        """Fill a rectangle."""
        self._shapes.append(_Rectangle(x, y, width, height, fill))

    def circle(self, centre: Point, radius: float, fill: str = BLUE) -> None:
        """Fill a circle."""
        self._shapes.append(_Circle(*centre, radius, fill))

    def text(
        self,
        at: Point,
        text: str,
        *,
        size: float = 11.0,
        fill: str = INK,
        anchor: Anchor = "start",
        upright: bool = False,
    ) -> None:
        """Write one line of text with its baseline at a point; `upright` reads from below."""
        printable = "".join(letter for letter in text if letter.isprintable())
        self._shapes.append(_Text(*at, printable, size, fill, anchor, upright))

    def image(self, x: float, y: float, width: float, height: float, pixels: Pixels) -> None:
        """Place an image, uint8 (height, width) or (height, width, 3), scaled to a rectangle.

        An enlarged image keeps its pixels visible.
        """
        pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
        self._shapes.append(_Picture(x, y, width, height, np.ascontiguousarray(pixels)))

    def svg(self) -> str:
        """Return the picture as SVG text."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width:g}" height='
            f'"{self.height:g}" viewBox="0 0 {self.width:g} {self.height:g}" font-family='
            f'"Aileron, Inter, Helvetica, Arial, sans-serif">'
        )
        paper = f'<rect width="100%" height="100%" fill="{PAPER}"/>'
        return "\n".join([head, paper, *(shape.svg() for shape in self._shapes), "</svg>\n"])

    def _repr_svg_(self) -> str:
        """Show the picture where a notebook's cell ends in it."""
        return self.svg()

    def raster(self) -> Image.Image:
        """Return the picture as an RGB image at two pixels a point."""
        size = (round(self.width * _SCALE), round(self.height * _SCALE))
        canvas = Image.new("RGB", size, PAPER)
        for shape in self._shapes:
            shape.paint(canvas)
        return canvas.reduce(_OVER)

    def save(self, path: Path | str) -> None:
        """Write the picture as .svg or .png, whole or not at all.

        Raises:
            UsageError: the path ends otherwise.
        """
        path = drawable(path)
        if path.suffix.lower() == ".svg":
            atomic_write(path, self.svg().encode())
        else:
            packed = io.BytesIO()
            self.raster().save(packed, "PNG")
            atomic_write(path, packed.getvalue())


def drawable(path: Path | str) -> Path:
    """Return a path that a picture can be saved to.

    Raises:
        UsageError: it ends neither in .svg nor in .png.
    """
    path = Path(path)
    if path.suffix.lower() not in (".svg", ".png"):
        raise UsageError(f"Expected a picture's path that ends in .png or .svg, received {path}.")
    return path


def text_width(text: str, size: float = 11.0) -> float:
    """Return the width of a line of text, in points."""
    shown, font = _lettering(text, size * _SCALE)
    return float(font.getlength(shown)) / _SCALE


def _lettering(text: str, size: float) -> tuple[str, ImageFont.FreeTypeFont]:
    """Return what can be shown of a text, and the font that shows it.

    Pillow's own font is the same on every machine but has no letters beyond ASCII; for those a font
    of the system serves, and where there is none the accents go and the rest becomes a "?".
    """
    if not text.isascii():
        wide = _system_font(round(size))
        if wide is not None:
            return text, wide
        bare = (
            each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each)
        )
        text = "".join(each if each.isascii() else "?" for each in bare)
    return text, _own_font(round(size))


@cache
def _own_font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("This Pillow was built without FreeType, which writes text.")
    return font


@cache
def _system_font(size: int) -> ImageFont.FreeTypeFont | None:
    for name in _WIDE_FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return None
