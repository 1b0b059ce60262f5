"""What this installation is made of, and what in it will bite, named before it does.

Each mismatch is a small function of facts it is handed, so that all can be tested without breaking
a machine. Versions are read from installed metadata: torchvision built for another torch is found
without importing it, which is the step that fails.
"""

from __future__ import annotations

import os
import platform
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Literal

import torch

import striate
from striate.files import cache_folder
from striate.ops.machine import Machine, machine
from striate.records import Record

Version = Callable[[str], str | None]

_PACKAGES = (
    *("torch", "torchvision", "numpy", "numba", "pillow", "simplejpeg", "safetensors", "msgspec"),
    *("typer", "rich"),
)


class Mismatch(Record, frozen=True, kw_only=True):
    """One thing that will bite.

    Args:
        what: which two things do not fit.
        severity: `fail` stops commands, `warn` makes them slower or surprising.
        found: what is here.
        meaning: what will happen.
        fix: what to do.
    """

    what: str
    severity: Literal["fail", "warn"]
    found: str
    meaning: str
    fix: str


class Environment(Record, frozen=True, kw_only=True):
    """Versions, machine, folders and mismatches.

    Args:
        verdict: `pass`, or the worst severity found.
        striate: its version.
        python: its version.
        packages: versions by name; those not installed are absent.
        machine: device, threads, vector width.
        folders: where striate reads and writes, by use.
        mismatches: what will bite.
    """

    verdict: Literal["pass", "warn", "fail"]
    striate: str
    python: str
    packages: dict[str, str]
    machine: Machine
    folders: dict[str, str]
    mismatches: tuple[Mismatch, ...]


def environment(runs_folder: Path | str = "runs") -> Environment:
    """Describe this installation and look for what will bite.

    Args:
        runs_folder: where runs would be written.
    """
    computer = machine()
    folders = {"runs": str(Path(runs_folder).absolute()), "cache": str(cache_folder())}
    if os.environ.get("STRIATE_DATA"):
        folders["data"] = os.environ["STRIATE_DATA"]
    found = (
        *too_old(_requirements(), _version),
        *torchvision_for_another_torch(_requires("torchvision"), _version),
        *threads_unlike_cores(computer.threads, computer.cores, os.environ),
        *gpu_out_of_reach(Path("/dev/nvidia0").exists(), torch.cuda.is_available(), computer.cuda),
        *gpu_too_new(*_architectures()),
        *numba_cache(Path(striate.__file__).parent, os.environ),
        *unwritable(Path(runs_folder)),
        *data_folder(os.environ),
    )
    severities = {each.severity for each in found}
    return Environment(
        verdict="fail" if "fail" in severities else "warn" if severities else "pass",
        striate=striate.__version__,
        python=platform.python_version(),
        packages={name: version for name in _PACKAGES if (version := _version(name))},
        machine=computer,
        folders=folders,
        mismatches=found,
    )


# -- what can be wrong -----------------------------------------------------------------------------


def too_old(requirements: Mapping[str, str], version: Version) -> Iterator[Mismatch]:
    """Find packages older than striate needs; `requirements` gives the least version by name."""
    for name, least in requirements.items():
        found = version(name)
        if found is None or _numbers(found) < _numbers(least):
            yield Mismatch(
                what=f"{name} and striate",
                severity="fail",
                found=f"{name} {found}" if found else f"no {name}",
                meaning=f"striate needs {name} {least} or later.",
                fix=f'pip install "{name}>={least}"',
            )


def torchvision_for_another_torch(pins: Mapping[str, str], version: Version) -> Iterator[Mismatch]:
    """Find a torchvision that was built for another torch than the one installed."""
    built_for, found = pins.get("torch"), version("torch")
    if built_for and found and _numbers(built_for) != _numbers(found):
        yield Mismatch(
            what="torchvision and torch",
            severity="warn",
            found=f"torchvision {version('torchvision')} for torch {built_for}, torch {found}",
            meaning=(
                "Importing torchvision will fail (operator torchvision::nms does not exist) or "
                "crash. striate does not use it; your own code may."
            ),
            fix="Install both together from one index: pip install -U torch torchvision",
        )


def threads_unlike_cores(
    threads: int, cores: int, variables: Mapping[str, str]
) -> Iterator[Mismatch]:
    """Find torch computing with more or fewer threads than there are CPUs to use."""
    name = next(
        (each for each in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if variables.get(each)), ""
    )
    if threads == cores or (not name and threads * 2 == cores):  # without hyper-threads
        return
    why = f"{name}={variables[name]}" if name else f"torch chose {threads}"
    more = threads > cores
    yield Mismatch(
        what="threads and cores",
        severity="warn",
        found=f"threads={threads} ({why}), usable CPUs: {cores}",
        meaning=(
            "More threads than CPUs wait for each other: expect training to be several times "
            "slower."
            if more
            else f"Training uses {threads} of {cores} CPUs; results depend on the number of "
            "threads in their last bits."
        ),
        fix=f"export OMP_NUM_THREADS={cores}" if more or not name else f"unset {name}",
    )


def gpu_out_of_reach(card: bool, reachable: bool, cuda: str | None) -> Iterator[Mismatch]:
    """Find an NVIDIA card that this torch cannot use."""
    if card and not reachable:
        yield Mismatch(
            what="graphics card and torch",
            severity="warn",
            found="an NVIDIA card, and " + (f"torch for CUDA {cuda}" if cuda else "torch for CPUs"),
            meaning="Training will run on the CPU.",
            fix=(
                "Update the NVIDIA driver, or install a torch built for an older CUDA."
                if cuda
                else "Install torch with CUDA: see pytorch.org/get-started"
            ),
        )


def gpu_too_new(card: str | None, built_for: tuple[str, ...]) -> Iterator[Mismatch]:
    """Find a card (`sm_90`) that torch has no kernels for; minor versions are upward compatible."""
    if card is None or not built_for:
        return
    own = _architecture(card)
    if any(major == own[0] and minor <= own[1] for major, minor in map(_architecture, built_for)):
        return
    if any(each.startswith("compute_") for each in built_for):  # compiled when first needed
        return
    kernels = [each for each in built_for if each.startswith("sm_")]
    yield Mismatch(
        what="graphics card and torch",
        severity="fail",
        found=f"a card of architecture {card}, kernels for {', '.join(kernels)}",
        meaning="The first operation on the card will fail (no kernel image is available).",
        fix="Install a torch built for this card, or pass --device cpu.",
    )


def numba_cache(package: Path, variables: Mapping[str, str]) -> Iterator[Mismatch]:
    """Find that compiled kernels cannot be kept, so that every start compiles them again."""
    chosen = variables.get("NUMBA_CACHE_DIR")
    places = [Path(chosen)] if chosen else [package, Path.home() / ".cache" / "numba"]
    if any(_can_write(place) for place in places):
        return
    yield Mismatch(
        what="numba's cache",
        severity="warn",
        found=f"{' and '.join(map(str, places))} cannot be written to",
        meaning="Every start compiles the kernels again, which takes several seconds.",
        fix="export NUMBA_CACHE_DIR=<a folder you can write to>",
    )


def unwritable(runs_folder: Path) -> Iterator[Mismatch]:
    """Find that runs cannot be written."""
    if not _can_write(runs_folder):
        yield Mismatch(
            what="the runs folder",
            severity="warn",
            found=f"{runs_folder.absolute()} cannot be written to",
            meaning="`striate train` will stop before it starts.",
            fix="Change to a folder you can write to, or pass --out.",
        )


def data_folder(variables: Mapping[str, str]) -> Iterator[Mismatch]:
    """Find that STRIATE_DATA points nowhere."""
    folder = variables.get("STRIATE_DATA")
    if folder and not Path(folder).is_dir():
        yield Mismatch(
            what="STRIATE_DATA",
            severity="warn",
            found=f"{folder} is not a folder",
            meaning="Named data sets will be downloaded instead of read from there.",
            fix="export STRIATE_DATA=<the folder that holds mnist/, cifar10/, ...>, or unset it.",
        )


# -- facts -----------------------------------------------------------------------------------------


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _requirements() -> dict[str, str]:
    """Return the least version of each package striate cannot do without, from its metadata."""
    found = {"torch": "2.11"}  # where striate runs from its source, without metadata
    for text in _declared("striate"):
        match = re.fullmatch(r"([\w.-]+)\s*>=\s*([\w.]+)", text.strip())
        if match:
            found[match[1]] = match[2]
    return found


def _requires(name: str) -> dict[str, str]:
    """Return what a package pins exactly, by name."""
    matches = (re.match(r"([\w.-]+)\s*\(?==\s*([\w.]+)", text) for text in _declared(name))
    return {match[1]: match[2] for match in matches if match}


def _declared(name: str) -> list[str]:
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []


def _numbers(version: str) -> tuple[int, ...]:
    """Return the release numbers of a version, without trailing zeros: 2.13.0+cpu -> (2, 13)."""
    release = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(part) for part in release[0].split(".")] if release else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _architectures() -> tuple[str | None, tuple[str, ...]]:
    if not torch.cuda.is_available():
        return None, ()
    major, minor = torch.cuda.get_device_capability()
    return f"sm_{major}{minor}", tuple(torch.cuda.get_arch_list())


def _architecture(name: str) -> tuple[int, int]:
    """Split an architecture's name into major and minor version: sm_90a -> (9, 0)."""
    match = re.fullmatch(r"sm_(\d+)(\d)[a-z]?", name)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _can_write(folder: Path) -> bool:
    """Tell whether a file can be made in a folder, or the folder be made; leaves nothing behind."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            return True
    except OSError:
        return False
