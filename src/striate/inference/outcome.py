"""A network's answers to a set of images, and the one loop that collects them.

Validation during training, the test figure at its end and the `evaluate` command all go through
`measure`, so they cannot disagree about mode, order or what counts as right.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import nn

from striate import progress
from striate.errors import DataError
from striate.inference import metrics
from striate.layers import undisturbed

Meaning = Literal["logits", "probabilities", "distances"]


class _Batch(Protocol):
    """What `data.Batch` has and this room reads."""

    @property
    def images(self) -> torch.Tensor: ...
    @property
    def labels(self) -> Any: ...
    @property
    def indices(self) -> Any: ...


@dataclass(frozen=True)
class Outcome:
    """A network's answers, sorted by the images' place in the data.

    Args:
        indices: each image's place in its samples, ascending: (images,).
        outputs: the network's numbers: (images, classes), float32.
        labels: the right output of each image: (images,).
        meaning: what the outputs are.
    """

    indices: npt.NDArray[np.int64]
    outputs: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    meaning: Meaning = "logits"

    def __len__(self) -> int:
        return len(self.labels)

    def relabelled(self, outputs: tuple[int, ...]) -> Outcome:
        """Return it with label k standing for output `outputs[k]` (see `Contract.match`)."""
        return replace(self, labels=np.asarray(outputs, np.int64)[self.labels])

    @cached_property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """(images, classes), rows summing to 1."""
        return metrics.probabilities(self.outputs, self.meaning)

    @cached_property
    def losses(self) -> npt.NDArray[np.float64]:
        """Each image's cross-entropy in nats: (images,)."""
        return metrics.surprise(self.outputs, self.labels, self.meaning)

    @cached_property
    def ranks(self) -> npt.NDArray[np.int64]:
        """How many classes stand before the right one, 0 for a right answer: (images,)."""
        scores = -self.outputs if self.meaning == "distances" else self.outputs
        return metrics.rank(scores, self.labels)

    @cached_property
    def answers(self) -> npt.NDArray[np.int64]:
        """The output each image is classified as: (images,)."""
        likeliest = (
            self.outputs.argmin(1) if self.meaning == "distances" else self.outputs.argmax(1)
        )
        return np.asarray(likeliest, np.int64)

    @property
    def loss(self) -> float:
        """Mean cross-entropy, in nats."""
        return float(self.losses.mean())

    @property
    def accuracy(self) -> float:
        """Share of images classified correctly, 0 to 1."""
        return float((self.ranks == 0).mean())


def measure(
    net: nn.Module,
    batches: Iterable[_Batch],
    *,
    device: torch.device | str = "cpu",
    meaning: Meaning = "logits",
    what: str = "evaluating",
    total: int | None = None,
) -> Outcome:
    """Collect a network's answers to every image, in eval mode and without gradients.

    The network is left as it was found, also after an error. When torch.distributed runs several
    processes, each passes its own share of the images and all get the whole outcome.

    Args:
        net: classifies (batch, channels, height, width) into (batch, classes).
        batches: an epoch of a `data.Loader` that neither shuffles nor augments.
        device: where `net` is.
        meaning: what the outputs are, as the contract says.
        what: what a progress bar calls it.
        total: how many images this process will see, where it is known.

    Raises:
        DataError: there is no image.
    """
    indices, outputs, labels = [], [], []
    with undisturbed(net), torch.inference_mode():
        net.eval()
        for batch in progress.track(batches, what, "images", total, _rows):
            if len(batch.labels):
                outputs.append(net(batch.images.to(device)).float().cpu().numpy())
                labels.append(np.asarray(batch.labels, np.int64))
                indices.append(np.asarray(batch.indices, np.int64))
    shares = _from_all_processes([indices, outputs, labels])
    columns = [np.concatenate(column) if column else None for column in _joined(shares)]
    places, values, truths = columns
    if places is None or values is None or truths is None:
        raise DataError("Expected at least one image to evaluate on, received none.")
    order = np.argsort(places, kind="stable")
    return Outcome(places[order], values[order], truths[order], meaning)


def _rows(batch: _Batch) -> int:
    return len(batch.labels)


def _joined(shares: list[list[list[Any]]]) -> list[list[Any]]:
    """Turn one list of columns a process into one list of pieces a column."""
    return [sum(pieces, []) for pieces in zip(*shares, strict=True)]


def _from_all_processes(own: list[list[Any]]) -> list[list[list[Any]]]:
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return [own]
    shares: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(shares, own)
    return shares
