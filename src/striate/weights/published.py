"""What is known of published files: where they are, what they hold, what they expect of an image.

All of it is data, in published.json: contracts by name, and each file with its network, class
names, contract, checksum, licence and the accuracy its authors state.
"""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.request
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import msgspec

from striate import progress
from striate.contract import Class, Contract
from striate.errors import UnknownName, WeightsError
from striate.files import atomic_write, cache_folder, sha256
from striate.records import Record, decode, nearest

_TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 1 << 20


class Published(Record, frozen=True, kw_only=True):
    """A published file.

    Args:
        name: it is called by.
        file: its name, as published.
        network: as the zoo spells it; empty where the file says it itself.
        classes: name of its class list; empty where it is not known.
        contract: name of its contract.
        source: who published it, and where.
        licence: as they state it.
        url: where it can be downloaded; empty where only a file will do.
        by_hand: how the file is made of what was published, where it has no address.
        sha256: its digest, or the beginning of it that the file's name carries.
        accuracy: as its authors state it.
        output: what the network's numbers are.
        size: (height, width) of the input, where it is not the contract's.
        short_side: what the short side is scaled to, where it is not the contract's.
    """

    name: str
    file: str
    network: str = ""
    classes: str
    contract: str
    source: str
    licence: str
    url: str = ""
    by_hand: str = ""
    sha256: str = ""
    accuracy: str = ""
    size: tuple[int, int] | None = None
    short_side: int | None = None

    def meaning(self) -> Contract:
        """Return the file's contract, with its class names."""
        found = contract_named(self.contract, classes_named(self.classes))
        if self.short_side is not None:
            edge = (self.short_side, self.short_side)
            found = found.replace(resize=found.resize.replace(size=edge), size=self.size)
        elif self.size is not None:
            found = found.with_size(self.size)
        return found

    def check(self, path: Path) -> None:
        """Compare a file with its checksum.

        Raises:
            WeightsError: it is another file; gives both digests.
        """
        if not self.sha256:
            return
        received = sha256(path)
        if not received.startswith(self.sha256):
            raise WeightsError(
                f"{path} is not what was published as {self.name}: expected the sha256 "
                f"{self.sha256}, received {received[: max(len(self.sha256), 16)]}."
            )


@cache
def _tables() -> dict[str, Any]:
    text = resources.files("striate.weights").joinpath("published.json").read_bytes()
    found: dict[str, Any] = msgspec.json.decode(text)
    return found


@cache
def _entries() -> dict[str, Published]:
    entries = {}
    for family in _tables()["families"]:
        shared = {key: value for key, value in family.items() if key != "files"}
        for each in family["files"]:
            one = decode(Published, {**shared, **each}, "published.json")
            entries[one.name] = one
    return entries


def names() -> tuple[str, ...]:
    """Return the names of published weights."""
    return tuple(_entries())


def entry(name: str) -> Published:
    """Return what is known under a name.

    Raises:
        UnknownName: nothing is; carries the nearest names.
    """
    if name not in _entries():
        hint = "`striate weights` lists all."
        raise UnknownName("published network", name, nearest(name, _entries()), hint)
    return _entries()[name]


def recognise(path: Path) -> Published | None:
    """Return the published file that a file's name says it is, once its checksum agrees.

    A file of that name with another content is not it: somebody's own `model.h5` is fine.
    """
    for one in _entries().values():
        if path.name == one.file and one.sha256 and sha256(path).startswith(one.sha256):
            return one
    return None


@cache
def classes_named(name: str) -> tuple[Class, ...]:
    """Return a class list that travels inside the package: `imagenet`, `cifar10`, `digits`."""
    text = resources.files("striate.weights").joinpath("classes", f"{name}.txt").read_text("utf-8")
    lines = (line.partition(" ") for line in text.splitlines())
    return tuple(Class(id=id, label=label) for id, _, label in lines)


def contract_named(name: str, classes: tuple[Class, ...]) -> Contract:
    """Return one of the contracts of published.json for a class list."""
    fields = _tables()["contracts"][name]
    document = [{"id": one.id, "label": one.label} for one in classes]
    found: Contract = decode(Contract, {**fields, "classes": document}, f"contract {name}")
    return found


def usual_contract(form: str, network: str, classes: int) -> Contract | None:
    """Return the contract that files of a form and network usually have, where one is known.

    Args:
        form: torch, keras, caffe or convnetjs.
        network: its name.
        classes: how many it tells apart.
    """
    for rule in _tables()["usual"]:
        known = classes_named(rule["classes"])
        if (
            rule["form"] == form
            and len(known) == classes
            and re.fullmatch(rule["network"], network, re.IGNORECASE)
        ):
            return contract_named(rule["contract"], known)
    return None


def places() -> tuple[Path, ...]:
    """Return the folders that files are looked for in, the first one first; they may not exist."""
    own = os.environ.get("STRIATE_DATA")
    return (*((Path(own, "weights"),) if own else ()), cache_folder() / "weights")


def whereabouts(name: str) -> Literal["on this machine", "downloadable", "by hand"]:
    """Tell where a published network is to be had from; its checksum is not looked at.

    Raises:
        UnknownName: nothing is published under this name here.
    """
    one = entry(name)
    if _held(one) is not None:
        return "on this machine"
    return "downloadable" if one.url else "by hand"


def find(name: str) -> Path:
    """Return the file of a published network, downloaded where it is nowhere on this machine.

    Looked for below `$STRIATE_DATA/weights`, then in the user's cache.

    Raises:
        UnknownName: nothing is published under this name here.
        WeightsError: it cannot be downloaded, or is not what was published.
    """
    one = entry(name)
    held = _held(one)
    if held is not None:
        one.check(held)
        return held
    if not one.url:
        raise WeightsError(_by_hand(one))
    target = places()[-1] / one.file
    progress.say(f"{name} is not on this machine; downloading it to {target}.")
    atomic_write(target, lambda partial: _download(one, partial, target))
    return target


def _held(one: Published) -> Path | None:
    """Return a published file on this machine, in the first place that has it."""
    found = (path for place in places() if place.is_dir() for path in sorted(place.rglob(one.file)))
    return next(found, None)


def _by_hand(one: Published) -> str:
    """Say what to do about a file that has no address: make it, or take another network's."""
    usual = ("resnet18_torchvision", "resnet20_cifar10")  # small, and of the same classes
    near = (_entries().get(name) for name in usual)
    like = next((each for each in near if each is not None and each.classes == one.classes), None)
    instead = f"{like.name} can be downloaded in its place; " if like else ""
    own = "" if os.environ.get("STRIATE_DATA") else " or $STRIATE_DATA/weights"
    return (
        f"{one.name} is not on this machine, and has no address to download it from "
        f"({one.source}): {instead}`striate weights` says what else is to be had. "
        f"Put {one.file} into {' or '.join(map(str, places()))}{own}. {one.by_hand}"
    ).strip()


def _download(one: Published, partial: Path, target: Path) -> None:
    try:
        with urllib.request.urlopen(one.url, timeout=_TIMEOUT) as answer:
            total = int(answer.headers.get("Content-Length") or 0) or None
            chunks = iter(lambda: answer.read(_CHUNK), b"")
            with partial.open("wb") as file:
                for chunk in progress.track(chunks, f"downloading {one.file}", "bytes", total, len):
                    file.write(chunk)
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise WeightsError(
            f"{one.name} is not on this machine, and {one.url} cannot be downloaded ({reason}). "
            f"Put the file at {target}."
        ) from error
    one.check(partial)
