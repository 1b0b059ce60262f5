"""Writing the bundle: weights, network, contract, checksums, and an ONNX model that was proved."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal

from safetensors.torch import save_file

from striate import __version__, inference, progress, runs
from striate import data as sources
from striate.data import Dataset
from striate.errors import DataError
from striate.export.onnx_model import to_onnx
from striate.export.prove import Files, Proof, onnx_session, pick, prove
from striate.files import atomic_folder, sha256
from striate.inference import Model
from striate.records import Record, to_json
from striate.runs import BundleInfo

Form = Literal["onnx", "safetensors"]


class ExportResult(Record, frozen=True, kw_only=True):
    """The document of `export`.

    Args:
        bundle: the folder.
        network: its name.
        form: onnx, or safetensors: weights, network and contract alone.
        contract: the contract's digest.
        bytes: of all files.
        proof: on real files; None where there is nothing to prove, or no image to prove it on.
        notes: what a reader should know.
    """

    bundle: str
    network: str
    form: Form
    contract: str
    bytes: int
    proof: Proof | None
    notes: tuple[str, ...] = ()


def export(
    model: Model | Path | str,
    *,
    to: Form = "onnx",
    out: Path | str | None = None,
    on: str | Dataset | None = None,
    count: int = 500,
    overwrite: bool = False,
) -> ExportResult:
    """Write an export bundle, and prove it on real files.

    Args:
        model: a run folder, weights, or a bundle.
        to: `onnx`, with the preprocessing inside the graph, or `safetensors`.
        out: the bundle's folder; `exports/NAME` unless given.
        on: data to prove it on; a run's own validation or test part unless given.
        count: how many images, at most.
        overwrite: take the place of a bundle already there.

    Raises:
        DesignError: a layer that cannot be exported; names it.
        UsageError: a contract that cannot be.
        RunError: something is at `out` already.
        MissingExtra: onnx or onnxruntime is not installed.
    """
    opened = inference.open_model(model)
    net, contract = inference.load(opened), opened.contract()
    place = Path(out) if out is not None else Path("exports") / net.network.name
    files, notes = _files(opened, on, count)
    content = to_onnx(net, contract) if to == "onnx" else None
    proof: Proof | None = None
    replaced = overwrite and place.exists() and runs.is_bundle(place)
    with atomic_folder(place, replace=replaced) as folder:
        save_file(
            {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()},
            folder / "model.safetensors",
        )
        (folder / "network.json").write_bytes(to_json(net.network, indent=2) + b"\n")
        (folder / "contract.json").write_bytes(to_json(contract, indent=2) + b"\n")
        if content is not None:
            (folder / "model.onnx").write_bytes(content)
            if files is not None:
                proof = prove(net, contract, onnx_session(folder / "model.onnx"), files)
                (folder / "proof.json").write_bytes(to_json(proof, indent=2) + b"\n")
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
        notes=notes,
    )


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
    name = shlex.quote(str(model.path))
    note = f"Not proved: no images were given. Prove it with: striate export {name} --on DATA"
    progress.say(f"Note: {note}")
    return None, (note,)
