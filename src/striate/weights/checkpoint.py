"""PyTorch checkpoints and safetensors: the state dict in them, wherever it is kept.

Checkpoints are read by torch's weights-only loader, which knows tensors and plain containers and
calls nothing else.
"""

from __future__ import annotations

import argparse
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, serialization

from striate.errors import WeightsError
from striate.weights.maps import ENTRIES, PREFIXES, TORCH

# Types of plain values that training scripts keep beside the weights: their options, and accuracies
# that came out of NumPy. Making them runs no code of the file's.
_SCALAR = np.float64(0).__reduce__()[0]
_PLAIN: list[Any] = [
    argparse.Namespace,
    np.dtype,
    *((_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *(type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8", "?")),
]

_MOST = 0.9  # of the names carry a wrapper's prefix; the others are of something beside it


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint, by today's names and without a wrapper's prefix.

    Raises:
        WeightsError: it is damaged, holds more than tensors and plain values, or no state dict.
    """
    return renamed(_state(_read(path), path))


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, as they are named there.

    Raises:
        WeightsError: it is damaged, or is none.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is no whole safetensors file ({error}).") from error


def _read(path: Path) -> Any:
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    try:
        if _program(path):
            raise WeightsError(
                f"{path} is a TorchScript program, not tensors: save its state dict, "
                "torch.save(torch.jit.load(...).state_dict(), ...), where you trust it."
            )
        with serialization.safe_globals(_PLAIN):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        what = f" ({wanted[1]})" if wanted else ""
        raise WeightsError(
            f"{path} holds more than tensors{what}, which could run code, or is no checkpoint. "
            "Save its state dict alone, torch.save(model.state_dict(), ...), where you trust it."
        ) from error
    except WeightsError:
        raise
    except Exception as error:  # torch's reader raises nearly anything on a damaged file
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        raise WeightsError(f"{path} is no whole checkpoint: {reason}.") from error


def _program(path: Path) -> bool:
    """Tell whether a file is TorchScript: a zip with code beside its tensors."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _state(found: Any, path: Path) -> dict[str, Tensor]:
    """Return the state dict of what was saved: itself, or one of its entries."""
    for _ in range(3):
        if not isinstance(found, Mapping):
            break
        inner = [key for key in ENTRIES if isinstance(found.get(key), Mapping)]
        tensors = {key: value for key, value in found.items() if isinstance(value, Tensor)}
        if tensors and not inner:  # beside a state dict they are accuracies and the like
            return tensors
        if not inner:
            break
        found = found[inner[0]]
    held = ", ".join(map(str, found)) if isinstance(found, Mapping) else type(found).__name__
    raise WeightsError(
        f"{path} holds no state dict: expected tensors by name, or an entry {', '.join(ENTRIES)}, "
        f"received {held[:200] or 'nothing'}."
    )


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors without the prefix that (nearly) all of them share, by today's names.

    Example:
        >>> list(renamed({"module.fc.weight": torch.zeros(1)}))
        ['fc.weight']
    """
    found = dict(tensors)
    stripped = True
    while stripped:
        stripped = False
        for prefix in PREFIXES:
            if sum(name.startswith(prefix) for name in found) > _MOST * len(found):
                bare = {name.removeprefix(prefix): value for name, value in found.items()}
                if len(bare) == len(found):
                    found, stripped = bare, True
    return {_today(name): value for name, value in found.items()}


def _today(name: str) -> str:
    for pattern, to in TORCH:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, to, name)
    return name
