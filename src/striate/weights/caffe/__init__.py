"""Caffe models: the tensors of a `.caffemodel`, the network of the prototxt beside it.

All generations of the format are read. Caffe's batch normalisation keeps sums and the weight they
were summed with; its Scale becomes part of it.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from striate.contract import Contract
from striate.design import BatchNorm, Network
from striate.design.centred import MEAN_IMAGE, centred
from striate.design.pointing import Text
from striate.design.prototxt import parse_named
from striate.design.prototxt.message import Message, read_message
from striate.errors import WeightsError
from striate.weights.caffe.wire import Stored, blob, stored_layers
from striate.weights.published import classes_named, contract_named


def read_caffe(
    path: Path, network: Network | None = None
) -> tuple[dict[str, Tensor], Network, Contract | None, tuple[str, ...]]:
    """Read a Caffe model: tensors, network, contract (of 1000 classes), notes.

    Args:
        path: the `.caffemodel`; the prototxt is looked for beside it, by its name, as
            `deploy.prototxt`, or the only one there.
        network: what it is for; the prototxt's unless given, but layer names are always its.

    Raises:
        WeightsError: it is damaged, has no prototxt, or blobs that are not its layers'.
        NotationError: the prototxt cannot be read; points at the place.
    """
    place = _prototxt(path)
    text = place.read_text(encoding="utf-8", errors="replace")
    paper, names = parse_named(text, phase="TEST", name=path.stem, source=str(place))
    try:
        layers = stored_layers(memoryview(path.read_bytes()))
    except WeightsError as error:
        raise WeightsError(f"{path} is no whole Caffe model: {error}.") from error
    if not layers:
        raise WeightsError(
            f"{path} is no Caffe model, or one without weights; expected the .caffemodel that "
            "Caffe's training left."
        )
    tensors: dict[str, Tensor] = {}
    shapes = {each.name: each.shape for each in paper.parameters()}
    norms = {layer.name: layer for layer in paper.layers if isinstance(layer, BatchNorm)}
    unread = []
    for layer in layers:
        if layer.name not in names:
            unread.append(layer.name)
            continue
        ours = names[layer.name]
        if ours in norms and len(layer.blobs) == 3:
            tensors |= _statistics(norms[ours], layer)
        else:
            tensors |= _blobs(ours, layer, shapes, path)
    notes: tuple[str, ...] = ()
    notes += (
        (f"Left out, as the network has no such layer: {', '.join(unread)}.",) if unread else ()
    )
    contract, image = _transform(text, paper, place)
    if image is not None and network is None:
        tensors[MEAN_IMAGE] = torch.from_numpy(image)
        paper = centred(paper, "mean_image")
        contract = None if contract is None else contract.replace(mean_image=MEAN_IMAGE)
        notes += ("The mean image is the first layer, mean_image.",)
    return tensors, network or paper, contract, notes


def _prototxt(path: Path) -> Path:
    beside = sorted(path.parent.glob("*.prototxt"))
    for wanted in (f"{path.stem}.prototxt", f"{path.stem}_deploy.prototxt", "deploy.prototxt"):
        if path.parent / wanted in beside:
            return path.parent / wanted
    likely = [each for each in beside if "solver" not in each.name]
    deploys = [each for each in likely if "deploy" in each.name]
    chosen = deploys if len(deploys) == 1 else likely
    if len(chosen) != 1:
        raise WeightsError(
            f"Expected the network of {path.name} beside it as {path.stem}.prototxt, received "
            f"{', '.join(each.name for each in beside) or 'no prototxt'}."
        )
    return chosen[0]


def _blobs(
    name: str, layer: Stored, shapes: dict[str, tuple[int, ...]], path: Path
) -> dict[str, Tensor]:
    """Return weight and bias, in the shape the network has them where their axes agree."""
    made = {}
    if len(layer.blobs) > 2:
        raise WeightsError(
            f"{path}: expected a weight and a bias in {layer.name!r}, received "
            f"{len(layer.blobs)} blobs."
        )
    for part, (shape, values) in zip(("weight", "bias"), layer.blobs, strict=False):
        key = f"{name}.{part}"
        wanted = shapes.get(key, shape)
        if len(values) != int(np.prod(shape, dtype=np.int64)):
            raise WeightsError(
                f"{path}: {layer.name!r} says {shape} and holds {len(values):,} numbers."
            )
        same = [s for s in shape if s != 1] == [s for s in wanted if s != 1]
        made[key] = torch.from_numpy(values.reshape(wanted if same else shape))
    return made


def _statistics(norm: BatchNorm, layer: Stored) -> dict[str, Tensor]:
    """Return mean and variance: sums divided by the weight they were summed with, 0 for none.

    And how many batches have that weight, so that training goes on as Caffe's would.
    """
    mean, variance, weight = (torch.from_numpy(each.values) for each in layer.blobs)
    summed = float(weight[0]) if weight.numel() else 0.0
    scale = 1 / summed if summed else 0.0
    return {
        f"{norm.name}.running_mean": mean * scale,
        f"{norm.name}.running_var": variance * scale,
        f"{norm.name}.num_batches_tracked": torch.tensor(_batches(summed, norm.momentum)),
    }


def _batches(weight: float, momentum: float) -> int:
    """Return n of weight = 1 + f + ... + f^(n - 1), f = 1 - momentum; many where it is full."""
    if not 0.0 < momentum < 1.0:
        return max(0, round(weight))
    left = max(1 - weight * momentum, 1e-9)  # f^n; below that a batch's share is the momentum
    return max(0, round(math.log(left) / math.log(1 - momentum)))


def _transform(
    text: str, network: Network, place: Path
) -> tuple[Contract | None, np.ndarray | None]:
    """Return what the prototxt says that images go through, for ImageNet's classes.

    Beside it a mean image, cut to the middle as Caffe cuts it, which a contract has no pixels for.
    """
    known = classes_named("imagenet")
    if network.classes != len(known) or network.input_shape[0] != 3:
        return None, None
    contract = contract_named("caffe", known)
    for layer in read_message(Text(text, str(place))).fields:
        if layer.name not in ("layer", "layers") or not isinstance(layer.value, Message):
            continue
        if not layer.value.has("transform_param"):
            continue
        param = layer.value.message("transform_param")
        scale, mean = param.number("scale", 1.0), param.numbers("mean_value")
        contract = contract.replace(scale=scale)
        if not mean and param.has("mean_file"):
            image = _mean_file(place.parent / Path(param.string("mean_file")).name, network)
            if image is None:
                continue
            if image.ndim == 3:
                return contract.replace(mean=(0.0, 0.0, 0.0)), image * np.float32(scale)
            mean = image.tolist()
        mean = mean or [0.0, 0.0, 0.0]
        return contract.replace(mean=tuple(mean * 3 if len(mean) == 1 else mean)), None
    return contract, None


def _mean_file(path: Path, network: Network) -> np.ndarray | None:
    """Return a mean image (channels, height, width), or a mean a channel; None where it is gone.

    It is cut to the middle of the network's input; one that is smaller is taken by its channels.

    Raises:
        WeightsError: it is damaged, or has other channels.
    """
    if not path.is_file():
        return None
    channels, *size = network.input_shape
    try:
        shape, values = blob(memoryview(path.read_bytes()))
        image = values.reshape(shape[-3:])
    except (WeightsError, ValueError) as error:
        raise WeightsError(f"{path} is no whole mean image: {error}.") from error
    if len(image) != channels:
        raise WeightsError(f"{path}: expected {channels} channels, received shape {shape}.")
    if any(have < want for have, want in zip(image.shape[1:], size, strict=True)):
        return np.asarray(image.mean((1, 2)))
    top, left = ((have - want) // 2 for have, want in zip(image.shape[1:], size, strict=True))
    return np.ascontiguousarray(image[:, top : top + size[0], left : left + size[1]])
