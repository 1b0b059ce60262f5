"""Labels for image files, by the contract of the run that gives them."""

from __future__ import annotations

import glob
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from striate import data, progress
from striate.contract import Contract
from striate.errors import DataError, RunError
from striate.inference import metrics
from striate.inference.answering import answering
from striate.inference.model import Model, open_model
from striate.inference.monte_carlo import monte_carlo as draw
from striate.inference.weights import load
from striate.ops import choose_device, usable_cores
from striate.records import Record
from striate.wording import spelled

Pixels = npt.NDArray[np.float32]
Likely = npt.NDArray[np.float64]

_BATCH = 32


class Guess(Record, frozen=True, kw_only=True):
    """One class and its probability."""

    id: str
    label: str
    probability: float


class Doubts(Record, frozen=True, kw_only=True):
    """What dropout, left on, says of an answer; in nats but for the deviation.

    Args:
        draws: forward passes it is taken over.
        entropy: of the mean answer: all doubt there is.
        disagreement: the part of it that draws differ about.
        deviation: of the likeliest class's probability.
    """

    draws: int
    entropy: float
    disagreement: float
    deviation: float


class Prediction(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What a file shows.

    Args:
        file: its path, as found.
        id: the likeliest class.
        label: its name for readers.
        probability: what the network gives it.
        top: the likeliest classes, best first; the first is the one above.
        doubts: of the answer, where Monte Carlo draws were asked for.
    """

    file: str
    id: str
    label: str
    probability: float
    top: tuple[Guess, ...]
    doubts: Doubts | None = None


Ask = Callable[[Tensor], tuple[Likely, "list[Doubts | None]"]]


def predict(
    run: Model | Path | str,
    files: Iterable[Path | str],
    *,
    top: int = 5,
    device: str = "auto",
    strict: bool = False,
    monte_carlo: int = 0,
    seed: int = 0,
) -> tuple[Prediction, ...]:
    """Classify images.

    Args:
        run: a run folder, or weights (as `weights.open` takes them).
        files: images, folders (everything below them with an image's suffix), and globs.
        top: how many classes to name for each.
        device: auto, cpu, cuda or cuda:N.
        strict: a file that cannot be read is an error; otherwise it is left out, and said.
        monte_carlo: forward passes of each image with dropout left on, whose mean answers and
            whose spread says how sure it is; 0 asks once, without dropout.
        seed: of the draws.

    Raises:
        UsageError: Monte Carlo draws of a network without dropout.
        DataError: a path that is not there, no image among them, or none that can be read.
        RunError: the run has no weights yet.
    """
    opened = open_model(run)
    paths = find(files)
    chosen = choose_device(device)
    contract = opened.contract()
    if monte_carlo:
        ask = _doubting(load(opened, chosen), contract, monte_carlo, seed, chosen)
    else:
        ask = _sure(answering(opened, chosen, min(_BATCH, len(paths))), contract, chosen)
    found: list[Prediction] = []
    batch: list[tuple[Path, Pixels]] = []
    for path, image in progress.track(_read(paths, contract), "predicting", "images", len(paths)):
        if not isinstance(image, DataError):
            batch.append((path, image))
        elif strict:
            raise image
        else:
            progress.say(f"Skipped: {image}")
        if len(batch) == _BATCH:
            found += _classify(ask, contract, batch, top)
            batch = []
    found += _classify(ask, contract, batch, top)
    if not found:
        raise DataError(
            f"None of the files can be read as an image (tried {len(paths)}): --strict says what "
            "is wrong with the first."
        )
    return tuple(found)


def find(files: Iterable[Path | str]) -> tuple[Path, ...]:
    """Return the image files that paths, folders and globs stand for, in order, once each.

    A file named on its own is taken whatever its suffix; below a folder, hidden ones are not.

    Raises:
        DataError: one of them matches nothing; names it.
    """
    found: dict[Path, None] = {}
    for each in files:
        path = Path(each)
        if path.is_dir():
            matches = sorted(below for below in path.rglob("*") if _is_image(below, path))
            if not matches:
                raise DataError(
                    f"There is no image file in the folder {path}: expected names that end in "
                    ".jpg, .png or another of an image's."
                )
        elif path.is_file():
            matches = [path]
        elif path.exists():
            raise DataError(f"{spelled(path)} is no regular file; expected an image, or a folder.")
        else:
            matches = [Path(name) for name in sorted(glob.glob(str(each), recursive=True))]
            if not matches:
                raise DataError(f"There is no file, and no match for a pattern, {str(each)!r}.")
        found.update(dict.fromkeys(match for match in matches if match.is_file()))
    if not found:
        raise DataError("Expected at least one image file, received none.")
    return tuple(found)


def _is_image(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return not hidden and path.suffix.lower() in _suffixes() and path.is_file()


def _suffixes() -> frozenset[str]:
    Image.init()
    return frozenset(suffix for suffix, kind in Image.EXTENSION.items() if kind in Image.OPEN)


def _read(paths: Sequence[Path], contract: Contract) -> Iterator[tuple[Path, Pixels | DataError]]:
    """Decode and prepare in threads, a little ahead of the network; errors come as values."""

    def read(path: Path) -> tuple[Path, Pixels | DataError]:
        try:
            return path, data.prepare(data.decode(path, contract), contract)
        except DataError as error:
            return path, error

    waiting: deque[Future[tuple[Path, Any]]] = deque()
    with ThreadPoolExecutor(usable_cores()) as pool:
        for path in paths:
            waiting.append(pool.submit(read, path))
            if len(waiting) > 2 * _BATCH:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _classify(
    ask: Ask, contract: Contract, batch: Sequence[tuple[Path, Pixels]], top: int
) -> list[Prediction]:
    if not batch:
        return []
    likely, doubts = ask(torch.from_numpy(np.stack([image for _, image in batch])))
    return [
        prediction(path, row, contract, top).replace(doubts=each)
        for (path, _), row, each in zip(batch, likely, doubts, strict=True)
    ]


def _sure(net: nn.Module, contract: Contract, device: torch.device) -> Ask:
    """Return what asks a net once."""

    def ask(images: Tensor) -> tuple[Likely, list[Doubts | None]]:
        with torch.inference_mode():
            outputs = net(images.to(device)).float().cpu().numpy()
        _check_finite(outputs)
        return metrics.probabilities(outputs, contract.output), [None] * len(images)

    return ask


def _doubting(
    net: nn.Module, contract: Contract, draws: int, seed: int, device: torch.device
) -> Ask:
    """Return what asks a net with dropout several times."""

    def ask(images: Tensor) -> tuple[Likely, list[Doubts | None]]:
        found = draw(net, [images], draws=draws, seed=seed, meaning=contract.output, device=device)
        _check_finite(found.probabilities)
        columns = zip(found.entropy, found.disagreement, found.deviation, strict=True)
        return found.probabilities, [
            Doubts(draws=draws, entropy=float(e), disagreement=float(d), deviation=float(s))
            for e, d, s in columns
        ]

    return ask


def _check_finite(answers: npt.NDArray[np.floating[Any]]) -> None:
    if not np.isfinite(answers).all():
        raise RunError("The network's outputs are not finite: its weights are damaged.")


def prediction(
    file: Path | str, likely: npt.NDArray[np.float64], contract: Contract, top: int
) -> Prediction:
    """Name an image's likeliest classes.

    Args:
        file: what the image is called.
        likely: the probabilities, (classes,).
        contract: whose classes.
        top: how many to name.
    """
    best = np.argsort(-likely, kind="stable")[: max(top, 1)]
    guesses = tuple(
        Guess(
            id=contract.classes[index].id,
            label=contract.classes[index].label,
            probability=float(likely[index]),
        )
        for index in best
    )
    return Prediction(
        file=spelled(file),
        id=guesses[0].id,
        label=guesses[0].label,
        probability=guesses[0].probability,
        top=guesses,
    )
