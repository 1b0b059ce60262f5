"""Writing the bundle: weights, network, contract, checksums, and a program that was proved."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from safetensors.torch import save_file

from striate import __version__, inference, progress, runs
from striate import data as sources
from striate.contract import Contract
from striate.data import Dataset
from striate.data.decode import to_channels
from striate.design import Network
from striate.errors import DataError, UsageError
from striate.export.int8 import quantise
from striate.export.onnx_model import to_onnx
from striate.export.prove import Exported, Files, Proof, answer_of, onnx_session, pick, prove
from striate.export.torch_program import to_torch, torch_session
from striate.files import atomic_folder, atomic_write, sha256
from striate.inference import Model
from striate.layers import Net
from striate.records import Record, from_json, to_json
from striate.runs import BundleInfo
from striate.weights import fit
from striate.weights.checkpoint import read_safetensors
from striate.wording import quoted

Form = Literal["onnx", "torch", "safetensors"]

_CALIBRATION = 200  # training images, of which activations' ranges are taken
_INT8 = "model_int8.onnx"


class ExportResult(Record, frozen=True, kw_only=True):
    """The document of `export`.

    Args:
        bundle: the folder.
        network: its name.
        form: onnx; torch, a torch.export program; or safetensors: weights, network and contract
            alone.
        contract: the contract's digest.
        bytes: of all files.
        proof: on real files; None where there is no image to prove it on.
        int8: what the model in 8 bits costs, measured in the same way; None unless asked for.
        notes: what a reader should know.
    """

    bundle: str
    network: str
    form: Form
    contract: str
    bytes: int
    proof: Proof | None
    int8: Proof | None = None
    notes: tuple[str, ...] = ()


def export(
    model: Model | Path | str,
    *,
    to: Form = "onnx",
    int8: bool = False,
    out: Path | str | None = None,
    on: str | Dataset | None = None,
    count: int = 500,
    overwrite: bool = False,
) -> ExportResult:
    """Write an export bundle, and prove it on real files.

    Args:
        model: a run folder, weights, or a bundle.
        to: `onnx` or `torch`, with the preprocessing inside the graph, or `safetensors`.
        int8: write the ONNX model in 8 bits, too, calibrated on training images.
        out: the bundle's folder; `exports/NAME` unless given.
        on: data to prove it on; a run's own validation or test part unless given.
        count: how many images, at most.
        overwrite: take the place of a bundle already there.

    Raises:
        DesignError: a layer that cannot be exported; names it.
        UsageError: a contract that cannot be; 8 bits without training images.
        RunError: something is at `out` already.
        MissingExtra: onnx or onnxruntime is not installed.
    """
    opened = inference.open_model(model)
    net, contract = inference.load(opened), opened.contract()
    place = Path(out) if out is not None else Path("exports") / net.network.name
    files, notes = _files(opened, on, count)
    training = _training(opened, on, to) if int8 else None
    replaced = overwrite and place.exists() and runs.is_bundle(place)
    with atomic_folder(place, replace=replaced) as folder:
        _write(folder, net, contract)
        answer = _program(folder, net, contract, to)
        proof = None if files is None else prove(net, contract, answer, files)
        small: Proof | None = None
        if training is not None:
            quantise(folder / "model.onnx", folder / _INT8, contract, training)
            if files is not None:
                small = prove(net, contract, onnx_session(folder / _INT8), files)
        for name, each in (("proof", proof), ("proof_int8", small)):
            if each is not None:
                (folder / f"{name}.json").write_bytes(to_json(each, indent=2) + b"\n")
        info = BundleInfo(
            name=net.network.name,
            striate=__version__,
            source=str(opened.path),
            contract=contract.digest,
            checksums={each.name: sha256(each) for each in sorted(folder.iterdir())},
        )
        (folder / "bundle.json").write_bytes(to_json(info, indent=2) + b"\n")
    return ExportResult(
        bundle=str(place),
        network=net.network.name,
        form=to,
        contract=contract.digest,
        bytes=sum(each.stat().st_size for each in place.iterdir()),
        proof=proof,
        int8=small,
        notes=notes,
    )


def _write(folder: Path, net: Net, contract: Contract) -> None:
    held = {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}
    atomic_write(folder / "model.safetensors", lambda place: save_file(held, place))
    (folder / "network.json").write_bytes(to_json(net.network, indent=2) + b"\n")
    (folder / "contract.json").write_bytes(to_json(contract, indent=2) + b"\n")


def _program(folder: Path, net: Net, contract: Contract, to: Form) -> Exported:
    """Write what is exported; returns it, read back from its file."""
    if to == "onnx":
        (folder / "model.onnx").write_bytes(to_onnx(net, contract))
        return onnx_session(folder / "model.onnx")
    if to == "torch":
        to_torch(net, contract, folder / "model.pt2")
        return torch_session(folder / "model.pt2")
    return _reopened(folder)


def _reopened(folder: Path) -> Exported:
    """Return a bundle's own weights, network and contract, read from their files, as a function."""
    paper = from_json(Network, (folder / "network.json").read_bytes(), "network.json")
    contract = from_json(Contract, (folder / "contract.json").read_bytes(), "contract.json")
    again = fit(paper, read_safetensors(folder / "model.safetensors"), "model.safetensors")
    return lambda pixels: answer_of(again, contract, to_channels(pixels, contract.channels))


def _training(model: Model, on: str | Dataset | None, to: Form) -> Files:
    """Return training images to calibrate on: a run's own, else the training part of `on`.

    Raises:
        UsageError: there are none, or the export is no ONNX model.
    """
    if to != "onnx":
        raise UsageError(f"8 bits are written to ONNX models only, received --to {to}.")
    if isinstance(model, runs.Run):
        images = inference.find_images(model, None, "train")
        own = Dataset(images.data, images.data, images.classes, {"train": images.samples})
        return pick(own, model.contract(), _CALIBRATION)
    dataset = sources.open(on) if isinstance(on, str) else on
    if dataset is None or "train" not in dataset.parts:
        raise UsageError(
            "8 bits are calibrated on training images: expected --on DATA with a train part, "
            f"received {'none' if dataset is None else ', '.join(dataset.parts)}."
        )
    own = Dataset(dataset.name, dataset.spec, dataset.classes, {"train": dataset.parts["train"]})
    return pick(own, model.contract(), _CALIBRATION)


def _files(
    model: Model, on: str | Dataset | None, count: int
) -> tuple[Files | None, tuple[str, ...]]:
    """Return the images to prove it on: those given, or a run's own that it was not trained on."""
    contract = model.contract()
    if on is not None:
        dataset = sources.open(on) if isinstance(on, str) else on
        return pick(dataset, contract, count), ()
    if isinstance(model, runs.Run):
        parts: tuple[Literal["validation", "test"], ...] = ("validation", "test")
        for part in parts:
            try:
                images = inference.find_images(model, None, part)
            except DataError:
                continue
            own = Dataset(images.data, images.data, images.classes, {"test": images.samples})
            return pick(own, contract, count), ()
    name = quoted(model.path)
    note = f"Not proved: no images were given. Prove it with: striate export {name} --on DATA"
    progress.say(f"Note: {note}")
    return None, (note,)
