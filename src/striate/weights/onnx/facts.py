"""What an ONNX model says of its images in its metadata: pixel format, range, class names.

Source: ONNX, MetadataProps.md (Image.BitmapPixelFormat, Image.NominalPixelRange); class names as
exporters write them, a list or a map from number to name, under one of several keys.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from striate.contract import Class, Contract
from striate.design import Network

_FORMATS = {"gray8": "grey", "rgb8": "rgb", "bgr8": "bgr"}
# (scale, mean) that bring 0..255 to the range.
_RANGES = {
    "nominalrange_0_255": (1.0, 0.0),
    "normalized_0_1": (1 / 255, 0.0),
    "normalized_1_1": (2 / 255, 1.0),
}
_NAMES = ("classes", "class_names", "names", "labels")


def stated(facts: Mapping[str, str], network: Network, plain: Contract) -> Contract | None:
    """Return a plain contract with what the metadata says put in; nothing where that is not enough.

    Pixel range and format are needed, since a wrong guess of either goes unnoticed; classes without
    names keep their numbers.
    """
    scaled = _RANGES.get(facts.get("Image.NominalPixelRange", "").lower())
    channels = _FORMATS.get(facts.get("Image.BitmapPixelFormat", "").lower())
    if scaled is None or channels is None:
        return None
    count = network.input_shape[0]
    if count != (1 if channels == "grey" else 3):
        return None
    classes = class_names(facts, network.classes) or plain.classes
    return plain.replace(
        channels=channels, scale=scaled[0], mean=(scaled[1],) * count, classes=classes
    )


def class_names(facts: Mapping[str, str], count: int) -> tuple[Class, ...]:
    """Return the classes that the metadata names; none unless there are as many as outputs."""
    for key in _NAMES:
        try:
            said = ast.literal_eval(facts.get(key, ""))
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(said, dict) and all(str(each).isdecimal() for each in said):
            said = [said[each] for each in sorted(said, key=int)]
        if not isinstance(said, list | tuple) or len(said) != count:
            continue
        names = [str(each) for each in said]
        if len(set(names)) == count and all(names):
            return tuple(Class(id=each, label=each) for each in names)
    return ()
