"""Making a run folder, finding one, and choosing a path for the next."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from striate.contract import Contract
from striate.errors import RunError, did_you_mean
from striate.files import Lock, atomic_folder
from striate.records import Record, digest, from_json, nearest, to_json
from striate.runs.run import VERSION, Run, RunInfo

if TYPE_CHECKING:
    from striate.design import Network

Document = Record | Mapping[str, Any]


def create(
    path: Path | str,
    *,
    network: Network,
    contract: Contract,
    recipe: Document,
    data: Document,
    env: Document,
    plan: Document,
    parent: str | None = None,
    overwrite: bool = False,
) -> Run:
    """Make a run folder, whole or not at all.

    Args:
        path: where it shall be.
        network: written to network.json.
        contract: written to contract.json.
        recipe: written to recipe.json, with everything resolved.
        data: written to data.json: the split.
        env: written to env.json: versions and devices.
        plan: written to plan.json.
        parent: the run that this one was forked from.
        overwrite: take the place of a run already there.

    Raises:
        RunError: something is there already (with `overwrite`: something that is no run, or a run
            in use), or the disk is full.
    """
    path = Path(path)
    documents = {
        "network.json": network,
        "contract.json": contract,
        "recipe.json": recipe,
        "data.json": data,
        "env.json": env,
        "plan.json": plan,
    }
    info = RunInfo(
        name=path.resolve().name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        parent=parent,
        digests={
            name: digest(documents[name])
            for name in ("network.json", "contract.json", "recipe.json")
        },
    )
    with _free(path, overwrite), atomic_folder(path, replace=path.exists()) as folder:
        for name, document in {**documents, "run.json": info}.items():
            (folder / name).write_bytes(to_json(document, indent=2) + b"\n")
        (folder / "history.jsonl").touch()
        (folder / "lock").touch()
        (folder / "checkpoints").mkdir()
        (folder / "figures").mkdir()
    return Run(path, info)


def open(path: Path | str) -> Run:
    """Open a run folder, whatever its state.

    Raises:
        RunError: there is none, it was written by a later striate (gives both format versions), or
            its network, contract or recipe has been changed.
        RecordError: its run.json is damaged.
    """
    path = Path(path)
    if not path.exists():
        raise RunError(f"There is no run folder {path}.{_meant(path)}")
    if not (path / "run.json").is_file():
        raise RunError(f"{path} is not a run folder: it has no run.json.{_held(path)}")
    text = (path / "run.json").read_bytes()
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
        version = msgspec.json.decode(text, type=dict[str, Any]).get("version")
        if isinstance(version, int) and version > VERSION:
            raise RunError(
                f"{path} is a run of format {version}; this striate reads up to {VERSION}: "
                "update it."
            )
    run = Run(path, from_json(RunInfo, text, str(path / "run.json")))
    run.check_digests()
    return run


def open_trained(run: Run | Path | str) -> Run:
    """Open a run for its weights or its data, which one of somebody's own loop does not have.

    Raises:
        RunError, RecordError: as `open` does; or it was watched only.
    """
    opened = run if isinstance(run, Run) else open(run)
    if opened.watched:
        raise watched_only(opened.path)
    return opened


def watched_only(run: Path) -> RunError:
    """Return what to say of a run of somebody's own loop to whoever wants more than its curves."""
    return RunError(
        f"{run} was watched in a loop of your own: it has no weights and no data; "
        "doctor, history and view work on it."
    )


def _meant(path: Path) -> str:
    """Name runs beside a place where there is none."""
    above = path.parent
    beside = sorted(each.parent.name for each in above.glob("*/run.json")) if path.name else []
    near = nearest(path.name, beside)
    return did_you_mean(tuple(str(above / name) for name in near))


def _held(path: Path) -> str:
    """Name the last run in a folder of runs."""
    below = sorted(path.glob("*/run.json"), key=lambda each: each.stat().st_mtime)
    return f" It holds some: name one, for example {below[-1].parent}." if below else ""


def new_path(out: Path | str, name: str) -> Path:
    """Return the next free `OUT/NAME-001`, `OUT/NAME-002`, ...; makes nothing."""
    out = Path(out)
    pattern = re.compile(re.escape(name) + r"-(\d+)")
    found = [pattern.fullmatch(each.name) for each in out.iterdir()] if out.is_dir() else []
    last = max((int(match[1]) for match in found if match), default=0)
    return out / f"{name}-{last + 1:03d}"


def check_free(path: Path | str, overwrite: bool = False) -> None:
    """Refuse what `create` would refuse to write to; changes nothing.

    Raises:
        RunError: as for `create`.
    """
    with _free(Path(path), overwrite):
        pass


@contextlib.contextmanager
def _free(path: Path, overwrite: bool) -> Iterator[None]:
    """Make sure that nothing is lost by writing to `path`, and hold a run that goes."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        yield
        return
    if not (path / "run.json").is_file():
        raise RunError(f"{path} is already there and is no run folder; choose another --out.")
    if not overwrite:
        raise RunError(
            f"{path} is already a run; choose another --out, or replace it with --overwrite."
        )
    with Lock(path / "lock"):
        yield
