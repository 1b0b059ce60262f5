"""What the commands take for a network: a run folder, weights made elsewhere, or a bundle."""

from __future__ import annotations

from pathlib import Path

from striate import runs, weights
from striate.weights import Weights

Model = runs.Run | Weights | runs.Bundle


def open_model(model: Model | Path | str) -> Model:
    """Open a run folder, published weights by file or name, or an export bundle.

    Raises:
        RunError: it is neither; or the run is damaged.
        WeightsError: the weights cannot be read, or nothing says what they expect of an image.
    """
    if not isinstance(model, Path | str):
        return model
    path = Path(model)
    tensorflow = path.is_dir() and (path / "model.json").is_file()
    if path.is_file() or tensorflow or (not path.exists() and str(model) in weights.names()):
        return weights.open(model)
    return runs.open_bundle(path) if runs.is_bundle(path) else runs.open(path)
