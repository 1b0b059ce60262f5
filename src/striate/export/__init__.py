"""Export: a bundle, an ONNX model with the preprocessing inside, and the proof on real files."""

from striate.export.bundle import ExportResult, export
from striate.export.onnx_model import to_onnx
from striate.export.prove import Difference, Files, Proof, onnx_session, pick, prove

__all__ = [
    "Difference",
    "ExportResult",
    "Files",
    "Proof",
    "export",
    "onnx_session",
    "pick",
    "prove",
    "to_onnx",
]
