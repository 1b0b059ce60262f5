"""An export bundle: a network with all it takes to use it, in one folder that nothing else is in.

bundle.json (what it is, and the checksum of every file), network.json, contract.json,
model.safetensors, and what was exported beside them: model.onnx with its proof.json.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from striate.contract import Contract
from striate.errors import RunError
from striate.files import sha256
from striate.records import Record, from_json

if TYPE_CHECKING:
    from striate.design import Network

BUNDLE_VERSION = 1


class BundleInfo(Record, frozen=True, kw_only=True):
    """What bundle.json says.

    Args:
        version: of the format.
        name: the network's.
        striate: the version that wrote it.
        source: the run or weights it was made from.
        contract: the contract's digest.
        checksums: sha256 of every other file, by name.
    """

    version: int = BUNDLE_VERSION
    name: str
    striate: str
    source: str
    contract: str
    checksums: dict[str, str]


class Bundle:
    """An export bundle, open; get one with `open_bundle`.

    Attributes:
        path: the folder.
        info: what bundle.json says.
    """

    def __init__(self, path: Path, info: BundleInfo) -> None:
        self.path, self.info = path, info

    def __repr__(self) -> str:
        return f"Bundle({str(self.path)!r})"

    @property
    def weights(self) -> Path:
        """Where the weights are."""
        return self.path / "model.safetensors"

    @property
    def identity(self) -> str:
        """The sha256 of the weights."""
        return self.info.checksums["model.safetensors"]

    def network(self) -> Network:
        """Return the network, on paper."""
        from striate.design import Network

        path = self.path / "network.json"
        return from_json(Network, path.read_bytes(), str(path))

    def contract(self) -> Contract:
        """Return the contract."""
        path = self.path / "contract.json"
        return from_json(Contract, path.read_bytes(), str(path))


def is_bundle(path: Path) -> bool:
    """Tell whether a folder is an export bundle."""
    return (path / "bundle.json").is_file()


def open_bundle(path: Path | str) -> Bundle:
    """Open a bundle, once every file in it is what was exported.

    Raises:
        RunError: there is none, it is of a later striate, or a file is missing or altered.
    """
    path = Path(path)
    if not is_bundle(path):
        raise RunError(
            f"{path} is no export bundle: it has no bundle.json; striate export RUN --out {path} "
            "makes one."
        )
    info = from_json(BundleInfo, (path / "bundle.json").read_bytes(), str(path / "bundle.json"))
    if info.version > BUNDLE_VERSION:
        raise RunError(
            f"{path} is a bundle of format {info.version}; this striate reads up to "
            f"{BUNDLE_VERSION}: update it, or export again."
        )
    for name, expected in info.checksums.items():
        place = path / name
        if not place.is_file():
            raise RunError(f"{place} is missing; export again.")
        if sha256(place) != expected:
            raise RunError(f"{place} is not what was exported: its sha256 differs; export again.")
    return Bundle(path, info)
