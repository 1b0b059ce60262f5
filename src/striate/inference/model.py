"""What the commands take where they take a network: a run folder, or weights made elsewhere."""

from __future__ import annotations

from pathlib import Path

from striate import runs, weights
from striate.weights import Weights

Model = runs.Run | Weights


def open_model(model: Model | Path | str) -> Model:
    """Open a run folder, or published weights by file or name.

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
    return runs.open(path)
