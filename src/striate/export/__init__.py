"""Export: a bundle, a program with the preprocessing inside, and the proof on real files."""

from striate.export.bundle import ExportResult, export
from striate.export.onnx_model import to_onnx
from striate.export.prove import Difference, Files, Proof, onnx_session, pick, prove
from striate.export.torch_program import to_torch, torch_session

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
    "to_torch",
    "torch_session",
]
