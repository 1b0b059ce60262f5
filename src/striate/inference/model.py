"""What the commands take for a network: a run folder, weights made elsewhere, or a bundle."""

from __future__ import annotations

from pathlib import Path

from striate import runs, weights
from striate.errors import RunError, did_you_mean
from striate.records import nearest
from striate.weights import Weights
from striate.weights.checkpoint import read_safetensors

Model = runs.Run | Weights | runs.Bundle


def open_model(model: Model | Path | str) -> Model:
    """Open a run folder, a checkpoint of one, published weights, or an export bundle.

    Raises:
        RunError: it is neither; or the run is damaged, or a loop of its own.
        WeightsError: the weights cannot be read, or nothing says what they expect of an image.
    """
    if isinstance(model, runs.Run):
        return runs.open_trained(model)
    if not isinstance(model, Path | str):
        return model
    path = Path(model)
    if (path / "tensors.safetensors").is_file():
        return _checkpoint(path)
    tensorflow = path.is_dir() and (path / "model.json").is_file()
    if path.is_file() or tensorflow or (not path.exists() and str(model) in weights.names()):
        return weights.open(model)
    if not path.exists() and (close := nearest(str(model), weights.names())):
        raise RunError(
            f"There is no run folder {path}, and there are no weights of that name."
            + did_you_mean(close)
        )
    return runs.open_bundle(path) if runs.is_bundle(path) else runs.open_trained(path)


def _checkpoint(path: Path) -> Weights:
    """Open a checkpoint of a run, RUN/checkpoints/STEP: its average weights, where it has some."""
    run = runs.open(path.resolve().parent.parent)
    file = path / "tensors.safetensors"
    saved = read_safetensors(file)
    kind = "average/" if any(name.startswith("average/") for name in saved) else "net/"
    tensors = {n.removeprefix(kind): value for n, value in saved.items() if n.startswith(kind)}
    return Weights(file, run.network(), tensors, run.contract())
