"""Features off the shelf: what layers answer to images, as vectors, kept on disk.

A map of features becomes its mean over the places, as global pooling makes it. What was computed
once is read again, as long as network, weights, contract, layers and images are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from striate import inference, progress, runs
from striate.data import Loader, Samples
from striate.files import atomic_write, cache_folder, sha256
from striate.inference import Model
from striate.layers import undisturbed
from striate.records import digest

Floats = npt.NDArray[np.float32]

_PIXELS_A_BATCH = 1 << 20
_FORMAT = 2  # of what is kept; another one where features are computed otherwise


def features(
    model: Model,
    samples: Samples,
    layers: Sequence[str],
    *,
    device: torch.device | str = "cpu",
    keep: bool = True,
) -> dict[str, Floats]:
    """Return the features of images at some layers.

    Args:
        model: a run or weights.
        samples: the images; they go through the model's own contract.
        layers: names of layers.
        device: where to compute.
        keep: read from and write to the user's cache.

    Returns:
        For each layer (images, features), in the order of the samples.
    """
    weights = sha256(model.weights) if isinstance(model, runs.Run) else model.identity
    hashes = [samples.content_hash(index) for index in range(len(samples))]
    paper = digest(model.network())
    key = digest([_FORMAT, weights, paper, model.contract().digest, list(layers), hashes])
    path = cache_folder() / "features" / f"{key[:32]}.npz"
    if keep and path.is_file():
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as held:
                return {name: held[str(index)] for index, name in enumerate(layers)}
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            progress.say(f"{path} is damaged; its features are computed again.")
    found = _compute(model, samples, layers, torch.device(device))
    if keep:
        arrays = {str(index): found[name] for index, name in enumerate(layers)}

        def write(partial: Any) -> None:
            with open(partial, "wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]

        atomic_write(path, write)
    return found


def _compute(
    model: Model, samples: Samples, layers: Sequence[str], device: torch.device
) -> dict[str, Floats]:
    net = inference.load(model, device)
    contract = model.contract()
    height, width = contract.size
    loader = Loader(
        samples,
        contract,
        batch=max(1, min(256, _PIXELS_A_BATCH // (height * width))),
        seed=0,
        shuffle=False,
        workers=2,
    )
    found: dict[str, list[Floats]] = {name: [] for name in layers}

    def listen(name: str) -> Any:
        def hear(module: Any, inputs: Any, output: Tensor) -> None:
            vectors = output.float().flatten(2).mean(2) if output.ndim > 2 else output.float()
            found[name].append(vectors.cpu().numpy())

        return hear

    with undisturbed(net), torch.inference_mode(), ExitStack() as stack:
        net.eval()
        for name in layers:
            hook = net.get_submodule(name).register_forward_hook(listen(name))
            stack.callback(hook.remove)
        for batch in progress.track(
            loader.epoch(0), "computing features", "images", len(samples), lambda b: len(b.labels)
        ):
            net(batch.images.to(device))
    return {name: np.concatenate(parts) for name, parts in found.items()}
