"""The proof: real files, from bytes to label, through the network and through its export.

Random tensors prove nothing about preprocessing, which is where exports go wrong. Here both paths
start at the same decoded pixels of real images; one below full agreement, and the files are named.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch

from striate import data, progress
from striate.contract import Contract
from striate.data import Dataset, FileSamples, Samples
from striate.data.decode import Decoding, decode_as, to_channels
from striate.errors import DataError, MissingExtra
from striate.inference import metrics
from striate.layers import Net
from striate.randomness import stream
from striate.records import Record

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

LIMIT = 1e-3  # of any probability


class Exported(Protocol):
    """An export that answers: (height, width, 3) uint8 -> probabilities of the classes."""

    def __call__(self, pixels: Pixels) -> Floats:
        """Return the probabilities of one image: (classes,)."""


class Difference(Record, frozen=True, kw_only=True):
    """A file that the two paths answer differently.

    Args:
        file: its path, or the sample's name.
        network: the network's answer, by class id.
        exported: the export's.
        difference: the largest between two probabilities.
    """

    file: str
    network: str
    exported: str
    difference: float


class Proof(Record, frozen=True, kw_only=True):
    """What the comparison found.

    Args:
        n: files.
        agreement: share with the same label, 0 to 1.
        accuracy, exported_accuracy: of both, where the labels are known.
        largest: difference between two probabilities over all files.
        milliseconds, exported_milliseconds: a file, decoding apart, one at a time.
        differing: the files that differ in label, or by more than a thousandth.
        verdict: pass, or fail.
    """

    n: int
    agreement: float
    accuracy: float | None
    exported_accuracy: float | None
    largest: float
    milliseconds: float
    exported_milliseconds: float
    differing: tuple[Difference, ...]
    verdict: str


class Files(NamedTuple):
    """Images to prove an export on.

    Args:
        names: of them.
        samples: them.
        outputs: what each label stands for among the network's outputs; None without labels.
    """

    names: list[str]
    samples: Samples
    outputs: tuple[int, ...] | None


def onnx_session(path: Path) -> Exported:
    """Return an ONNX export as a function of pixels, run by onnxruntime on the CPU.

    Raises:
        MissingExtra: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra("Proving an ONNX export", "onnxruntime", "export") from error
    options: Any = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    session: Any = onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"]
    )

    def answer(pixels: Pixels) -> Floats:
        (found,) = session.run(["probabilities"], {"pixels": pixels[None]})
        return np.asarray(found[0], np.float64)

    return answer


def pick(dataset: Dataset, contract: Contract, count: int, seed: int = 0) -> Files:
    """Return up to `count` images of some data: of its validation part, its test part, or all.

    Raises:
        DataError: there is none.
    """
    part = next(
        (dataset.parts[name] for name in ("validation", "test", "all", "train")
         if name in dataset.parts and len(dataset.parts[name])), None,
    )  # fmt: skip
    if part is None:
        raise DataError(f"There is no image to prove an export on in {dataset.spec}.")
    order = stream(seed, "proof").permutation("images", len(part))[:count]
    chosen = part.subset(np.sort(order))
    known = {one.id for one in contract.classes}
    labelled = all(one.id in known for one in dataset.classes)
    outputs = contract.match(dataset.classes) if labelled else None
    return Files(list(chosen.ids), chosen, outputs)


def red_first(samples: Samples, index: int, contract: Contract) -> Pixels:
    """Return an image as every decoder gives it: upright, (height, width, 3) uint8, red first."""
    if isinstance(samples, FileSamples):
        return to_channels(decode_as(samples.paths[index], Decoding.of(contract)), "rgb")
    return samples.pixels(index, contract.replace(channels="rgb", mean=(0.0,) * 3, std=(1.0,) * 3))


def prove(net: Net, contract: Contract, exported: Exported, files: Files) -> Proof:
    """Compare a network with its export over real images.

    Args:
        net: the network.
        contract: its own.
        exported: the other path.
        files: the images.
    """
    ours, theirs, right, times = [], [], [], np.zeros(2)
    for index in progress.track(range(len(files.names)), "proving", "images"):
        pixels = red_first(files.samples, index, contract)
        began = time.perf_counter()
        ours.append(answer_of(net, contract, to_channels(pixels, contract.channels)))
        between = time.perf_counter()
        theirs.append(exported(pixels))
        times += (between - began, time.perf_counter() - between)
        if files.outputs is not None:
            right.append(files.outputs[int(files.samples.labels[index])])
    a, b = np.stack(ours), np.stack(theirs)
    apart = np.abs(a - b).max(axis=1)
    same = a.argmax(1) == b.argmax(1)
    n = len(files.names)
    differing = np.flatnonzero(~same | ~(apart <= LIMIT))
    milliseconds = 1000 * times / n
    return Proof(
        n=n,
        agreement=float(same.mean()),
        accuracy=float((a.argmax(1) == right).mean()) if right else None,
        exported_accuracy=float((b.argmax(1) == right).mean()) if right else None,
        largest=float(apart.max()),
        milliseconds=round(float(milliseconds[0]), 3),
        exported_milliseconds=round(float(milliseconds[1]), 3),
        differing=tuple(
            Difference(
                file=files.names[at],
                network=contract.classes[int(a[at].argmax())].id,
                exported=contract.classes[int(b[at].argmax())].id,
                difference=float(apart[at]),
            )
            for at in differing.tolist()
        ),
        verdict="fail" if len(differing) else "pass",
    )


def answer_of(net: Net, contract: Contract, pixels: Pixels) -> Floats:
    """Return the probabilities of an image in the contract's channels: (classes,)."""
    image = torch.from_numpy(data.prepare(pixels, contract))[None]
    with torch.inference_mode():
        scores = net(image).float().numpy()
    return np.asarray(metrics.probabilities(scores, contract.output)[0], np.float64)
