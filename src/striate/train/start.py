"""Training that begins with somebody's weights instead of random ones.

What is on paper decides what moves: a layer that is not trainable is left as it is, batch
normalisation with its statistics, and each layer has its own share of the rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from striate import inference, runs
from striate.data.whitening import Whitening
from striate.errors import WeightsError
from striate.files import sha256
from striate.inference import Model
from striate.layers import Net
from striate.train.recipe import Start


def start_from(model: Model | Path | str, anew: Sequence[str] = ()) -> Start:
    """Return the start that a run's chosen weights, or published ones, are.

    Args:
        model: a run folder, or weights.
        anew: layers to draw at random all the same.
    """
    opened = inference.open_model(model)
    named = not isinstance(model, Path | str) or Path(model).exists()
    place = str(Path(opened.path).resolve()) if named else str(model)
    return Start(path=place, identity=_identity(opened), anew=tuple(anew))


def begin(net: Net, start: Start | None, whitening: Whitening | None = None) -> Net:
    """Give a net the values it starts with, but for the layers that are drawn anew.

    Args:
        net: with random values.
        start: somebody's weights.
        whitening: what was measured on the training images, for the first layers.

    Raises:
        RunError, WeightsError: they are gone, are others than the recipe says, or do not fit.
    """
    if whitening is not None:
        own = net.state_dict()
        with torch.no_grad():
            for name, value in whitening.tensors().items():
                own[name].copy_(value)
    if start is None:
        return net
    opened = inference.open_model(start.path)
    if _identity(opened) != start.identity:
        raise WeightsError(
            f"{start.path} is not what the recipe starts from: expected the sha256 "
            f"{start.identity[:16]}, received {_identity(opened)[:16]}."
        )
    given = inference.load(opened).state_dict()
    mine = {
        name: value
        for name, value in net.state_dict().items()
        if name.rpartition(".")[0] not in start.anew
    }
    wrong = [
        f"{name} (expected {tuple(value.shape)}, received "
        f"{tuple(given[name].shape) if name in given else 'nothing'})"
        for name, value in mine.items()
        if name not in given or given[name].shape != value.shape
    ]
    if wrong:
        raise WeightsError(f"{start.path} does not fit {net.network.name}: {', '.join(wrong)}.")
    with torch.no_grad():
        for name, value in mine.items():
            value.copy_(given[name])
    return net


def _identity(model: Model) -> str:
    return sha256(model.weights) if isinstance(model, runs.Run) else model.identity
