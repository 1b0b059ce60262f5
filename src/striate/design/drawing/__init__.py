"""The drawing of a network: its graph laid out and written as SVG, without any external program."""

from striate.design.drawing.svg import drawing

__all__ = ["drawing"]
