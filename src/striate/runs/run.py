"""One run folder, open: its documents, history, checkpoints and lock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from striate.contract import Contract
from striate.errors import RunError
from striate.files import Lock, atomic_write, sweep
from striate.records import Record, digest, from_json, to_json
from striate.runs.history import History
from striate.runs.scalars import Scalar, scalars

_RESTORE = "Restore the folder from a copy, or train again."

if TYPE_CHECKING:
    from striate.design import Network

VERSION = 1
OWN_LOOP: Final = "(a loop of its own)"
"""What recipe.json gives for the path of its data where a loop of one's own was watched."""

State = Literal["running", "finished", "interrupted", "failed"]


class RunInfo(Record, frozen=True, kw_only=True):
    """What `run.json` says.

    Args:
        version: of the folder's format.
        name: the folder's name at its creation.
        state: how far it came; a crash leaves `running` behind (see `Run.state`).
        created: ISO 8601, in UTC.
        parent: the run that this one was forked from.
        digests: sha256 of the network, contract and recipe, by file name.
    """

    version: int = VERSION
    name: str
    state: State = "running"
    created: str
    parent: str | None = None
    digests: dict[str, str]


class Run:
    """A run folder; make one with `runs.create`, get one with `runs.open`.

    Attributes:
        path: the folder.
        info: what run.json said when it was last read or written here.
    """

    def __init__(self, path: Path, info: RunInfo) -> None:
        self.path = path
        self.info = info
        self._history = History(path / "history.jsonl")

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {self.state})"

    @property
    def identity(self) -> str:
        """What ties weights and checkpoints to this run: a digest of all that fixes it."""
        return digest(self.info.digests)

    # -- state and lock

    @property
    def state(self) -> str:
        """The state as found now: `running` only while a process holds the lock, else `crashed`."""
        if self.info.state == "running" and not Lock.held(self.path / "lock"):
            return "crashed"
        return self.info.state

    def set_state(self, state: State) -> None:
        """Write the state into run.json."""
        self.info = self.info.replace(state=state)
        self.write_document("run.json", self.info)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for writing; what a killed writer left half done is removed.

        Raises:
            RunError: another process holds it (says which), or has put another run in its place.
        """
        with Lock(self.path / "lock"):
            now = from_json(RunInfo, self._read("run.json"), self._named("run.json"))
            if now.replace(state=self.info.state) != self.info:
                raise RunError(
                    f"{self.path} has been replaced by another run meanwhile: open it again."
                )
            self.info = now
            sweep(self.path)
            try:
                yield
            finally:
                self._history.write()

    # -- what the run was made of

    def network(self) -> Network:
        """Return the network, on paper."""
        from striate.design import Network

        return from_json(Network, self._read("network.json"), self._named("network.json"))

    def contract(self) -> Contract:
        """Return the contract."""
        return from_json(Contract, self._read("contract.json"), self._named("contract.json"))

    def recipe_document(self) -> dict[str, Any]:
        """Return recipe.json as plain values; `train.Recipe` decodes it."""
        return self.document("recipe.json")

    @property
    def watched(self) -> bool:
        """Whether it is of somebody's own loop (`doctor.Watch`), without weights and data."""
        choice = self.recipe_document().get("data")
        return isinstance(choice, Mapping) and choice.get("path") == OWN_LOOP

    def data_document(self) -> dict[str, Any]:
        """Return data.json: the split, by sample id and content hash."""
        return self.document("data.json")

    def plan(self) -> dict[str, Any]:
        """Return plan.json: how the arithmetic was done."""
        return self.document("plan.json")

    def document(self, name: str) -> dict[str, Any]:
        """Return one of the folder's JSON documents as plain values.

        Raises:
            RunError: it is missing, or is no JSON object.
        """
        try:
            document = msgspec.json.decode(self._read(name))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RunError(f"{self._named(name)} is damaged: {error}. {_RESTORE}") from error
        if not isinstance(document, dict):
            raise RunError(f"{self._named(name)} is damaged: it holds no JSON object. {_RESTORE}")
        return document

    def write_document(self, name: str, record: Record | Mapping[str, Any]) -> None:
        """Write a record or a dict as one of the folder's JSON documents, whole or not at all."""
        atomic_write(self.path / name, to_json(record, indent=2) + b"\n")

    # -- what the run made

    @property
    def weights(self) -> Path:
        """Where the weights chosen on the validation part are, or will be."""
        return self.path / "model.safetensors"

    @property
    def figures(self) -> Path:
        """The folder of pictures."""
        return self.path / "figures"

    def results(self) -> dict[str, Any] | None:
        """Return results.json, or None before there is one."""
        return self.document("results.json") if (self.path / "results.json").exists() else None

    def write_results(self, results: Record | Mapping[str, Any]) -> None:
        """Write results.json."""
        self.write_document("results.json", results)

    def checkpoints(self) -> list[tuple[int, Path]]:
        """Return the checkpoints as (step, folder), oldest first; unverified."""
        folder = self.path / "checkpoints"
        if not folder.is_dir():
            return []
        return sorted((int(each.name), each) for each in folder.iterdir() if each.name.isdecimal())

    # -- history

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add a line to the history, which reaches the file within a second or so, or at `sync`.

        `time` (Unix, in seconds) is added where it is missing; NaN and infinity become null.
        """
        self._history.append(entry)

    def sync(self) -> None:
        """Force every appended line to disk."""
        self._history.write(to_disk=True)

    def history(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return the history's lines in order, all or those of one kind.

        Lines that a resume has superseded are left out, and so is a line cut by a crash.
        """
        return self._history.read(kind)

    def scalars(self) -> list[Scalar]:
        """Return the numbers of the history, one a row: `pandas.DataFrame(run.scalars())`."""
        return list(scalars(self.history()))

    # --

    def check_digests(self) -> None:
        """Compare network, contract and recipe with what run.json says of them.

        Raises:
            RunError: one of them has been changed since; names it.
        """
        for name, expected in self.info.digests.items():
            if digest(self.document(name)) != expected:
                raise RunError(
                    f"{self._named(name)} is not the one this run was made with: its digest "
                    f"differs from the one in run.json. {_RESTORE}"
                )

    def _named(self, name: str) -> str:
        return str(self.path / name)

    def _read(self, name: str) -> bytes:
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise RunError(f"{self._named(name)} cannot be read: {error.strerror}.") from error
