"""Opening weights by name or file: the form is told by the content, the network by the tensors."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from striate import zoo
from striate.contract import Contract
from striate.design import Network
from striate.errors import UnknownName, WeightsError
from striate.records import from_json, nearest
from striate.weights.caffe import read_caffe
from striate.weights.checkpoint import read_checkpoint
from striate.weights.convnetjs import read_convnetjs
from striate.weights.drafts import draft, unknown
from striate.weights.forms import form_of
from striate.weights.identify import identify
from striate.weights.keras import read_keras
from striate.weights.onnx import read_onnx
from striate.weights.published import (
    Published,
    entry,
    find,
    names,
    recognise,
    usual_contract,
)
from striate.weights.weights import Weights


class Found(NamedTuple):
    """What a file holds.

    Args:
        form: of the file.
        tensors: by the names that the network gives them.
        network: where the file says it.
        contract: where the file says it.
        notes: what a user should know.
    """

    form: str
    tensors: dict[str, Tensor]
    network: Network | None = None
    contract: Contract | None = None
    notes: tuple[str, ...] = ()


def open(
    spec: Path | str,
    *,
    network: Network | str | None = None,
    contract: Contract | None = None,
    drafted: bool = False,
) -> Weights:
    """Open published weights.

    Args:
        spec: a registered name, or a file: a PyTorch checkpoint or safetensors; a Caffe model
            beside its prototxt; a Keras model as HDF5 or `.keras`; a TensorFlow.js model.json, its
            folder or a tar of it; an ONNX model; a ConvNetJS snapshot.
        network: what it is for, where the file leaves it open; a name of the zoo, or on paper.
        contract: what its images go through, where neither the file nor a published one says it;
            unless given, CONTRACT.json beside the file (`model.pth.contract.json`) is looked at.
        drafted: whether a contract is made up where nothing says it, to be put right by its owner.

    Raises:
        UnknownName: no file, and nothing published under that name.
        WeightsError: it cannot be read, is for no known network, or nothing says its contract.
        MissingExtra: its form needs a package that is not installed.

    Example:
        >>> entry("resnet18_torchvision").network
        'resnet18'
    """
    path = Path(spec)
    known = None
    if path.exists():
        known = recognise(path) if path.is_file() else None
    elif str(spec) in names():
        path, known = find(str(spec)), entry(str(spec))
    else:
        hint = "`striate weights` lists what is published."
        raise UnknownName("file or published network", str(spec), nearest(str(spec), names()), hint)
    paper = zoo.network(network) if isinstance(network, str) else network
    if paper is None and known is not None and known.network:
        paper = zoo.network(known.network)
    found = _read(path, paper)
    notes = found.notes
    paper = found.network if paper is None else paper
    if paper is None:
        paper, said = identify(found.tensors, str(path), path.name)
        notes += said
    meaning = contract or _beside(path)
    if meaning is None:
        meaning, said = _meaning(known, found, paper, path, drafted)
        notes += said
    meaning = sized(meaning, paper, path)
    return Weights(path, _fed(paper, meaning), found.tensors, meaning, known, notes)


def _read(path: Path, network: Network | None) -> Found:
    form = form_of(path)
    if form == "torch":
        return Found(form, read_checkpoint(path))
    if form == "caffe":
        return Found(form, *read_caffe(path, network))
    if form == "onnx":
        return Found(form, *read_onnx(path))
    if form == "keras":
        return Found(form, *read_keras(path, network))
    return Found(form, *read_convnetjs(path))


def _beside(path: Path) -> Contract | None:
    """Return the contract that a user has written down beside a file."""
    place = path.with_name(f"{path.name}.contract.json")
    if not place.is_file() or not place.stat().st_size:  # a shell makes it before it is written
        return None
    return from_json(Contract, place.read_bytes(), str(place))


def _meaning(
    known: Published | None, found: Found, network: Network, path: Path, drafted: bool
) -> tuple[Contract, tuple[str, ...]]:
    """Return what the publisher, the file, its like or nobody says, and notes on it."""
    if known is not None:
        return known.meaning(), ()
    if found.contract is not None:
        return found.contract, ()
    usual = usual_contract(found.form, network.name, network.classes)
    beside = f"{path.name}.contract.json beside it would be taken instead."
    if usual is not None:
        like = f"{usual.channels}, mean {usual.mean}, std {usual.std}"
        return usual, (f"Its contract is the usual one of its kind ({like}); {beside}",)
    if drafted:
        return draft(network, path), (
            "Nothing says its contract, which is a draft: put right its channels, scale, mean, "
            f"std, resize and classes, and keep it as {path.name}.contract.json.",
        )
    raise unknown(network, path)


def sized(contract: Contract, network: Network, path: Path) -> Contract:
    """Return a contract for the network's input, cut from the same resized image where it fits.

    Raises:
        WeightsError: the two differ in channels or classes.
    """
    channels, *size = network.input_shape
    if channels != contract.channel_count or network.classes != len(contract.classes):
        raise WeightsError(
            f"The contract of {path} does not fit {network.name}: expected {channels} channels and "
            f"{network.classes} classes, received {contract.channels!r} and "
            f"{len(contract.classes)} classes."
        )
    height, width = size
    if (height, width) == contract.size:
        return contract
    resize = contract.resize
    if contract.crop == "centre" and resize.size[0] >= height and resize.size[1] >= width:
        return contract.replace(size=(height, width))
    return contract.with_size((height, width))


def _fed(network: Network, contract: Contract) -> Network:
    return network if network.input_shape == contract.shape else network.with_input(contract.shape)
