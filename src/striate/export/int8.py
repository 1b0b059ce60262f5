"""An ONNX export in whole numbers of 8 bits: static, calibrated on training images.

Convolutions and linear layers alone are quantised, each filter by its own scale; the preprocessing
stays as exact as it is. What that costs in accuracy is for the proof to say.

Source: Jacob et al., "Quantization and Training of Neural Networks", CVPR 2018, by onnxruntime.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from striate import progress
from striate.contract import Contract
from striate.errors import MissingExtra
from striate.export.graph import onnx
from striate.export.prove import Files, red_first

_KINDS = ("Conv", "Gemm")


def quantise(source: Path, target: Path, contract: Contract, files: Files) -> None:
    """Write an export again in 8 bits.

    Args:
        source: the ONNX model, preprocessing inside.
        target: the file to write.
        contract: the network's.
        files: training images, whose activations set the scales.

    Raises:
        MissingExtra: onnxruntime is not installed.
    """
    try:
        from onnxruntime import quantization
    except ImportError as error:
        raise MissingExtra("An export in 8 bits", "onnxruntime", "export") from error
    names = [node.name for node in onnx().load(source).graph.node if node.op_type in _KINDS]

    class Images(quantization.CalibrationDataReader):  # type: ignore[misc]
        """Training images, one at a time."""

        def __init__(self) -> None:
            places = range(len(files.names))
            self.left = iter(progress.track(places, "calibrating", "images"))

        def get_next(self) -> dict[str, Any] | None:
            """Return the next image as the model's input; None at the end."""
            index = next(self.left, None)
            if index is None:
                return None
            return {"pixels": red_first(files.samples, index, contract)[None]}

    root, level = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.ERROR)  # it advises to preprocess, which is done
    try:
        quantization.quantize_static(
            source,
            target,
            Images(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            nodes_to_quantize=names,
        )
    finally:
        root.setLevel(level)
