"""What training minimises: whatever changes the arithmetic of a step is an objective.

An objective is a record in the recipe, so resume, replay and the run folder know it. Its loss is
summed, not averaged, over the rows at hand: the step divides by the size of the global batch, so
that micro-batches and processes of different sizes add up to the same gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from striate.contract import Affine
from striate.design import Network
from striate.design.layer import Answer
from striate.randomness import Stream, stream
from striate.records import Family, expect
from striate.train.processes import Processes

Forward = Callable[[Tensor], Tensor | Mapping[str, Tensor]]


class Rows(NamedTuple):
    """The rows of the global batch that an objective has in hand.

    Args:
        images: (rows, channels, height, width), normalised.
        labels: (rows,), class indices.
        offset: position of the first row in the batch cut over all processes.
        address: numbers of the step and of the micro-batch within it.
        seed: the run's; with the address it determines all that an objective draws.
        processes: those that hold the other rows.
        normalisation: how the images were made of 8-bit levels, by channel.
    """

    images: Tensor
    labels: Tensor
    offset: int
    address: tuple[int, int]
    seed: int
    processes: Processes
    normalisation: Affine = Affine((1 / 255,), (0.0,))

    def to_pixels(self, images: Tensor) -> Tensor:
        """Return normalised images as pixels of 0 to 1, of the same shape."""
        slope, offset = self._by_channel(images)
        return ((images - offset) / (255.0 * slope)).clamp(0, 1)

    def from_pixels(self, pixels: Tensor) -> Tensor:
        """Return pixels of 0 to 1 as the network takes them, of the same shape."""
        slope, offset = self._by_channel(pixels)
        return (pixels * 255.0) * slope + offset

    def _by_channel(self, images: Tensor) -> tuple[Tensor, Tensor]:
        slope, offset = (
            torch.tensor(each, dtype=images.dtype, device=images.device)[:, None, None]
            for each in self.normalisation
        )
        return slope, offset

    def stream(self) -> Stream:
        """Return the micro-batch's randomness, the same in every process."""
        return stream(self.seed, "mix", *self.address)


class Objective(Family, frozen=True, kw_only=True):
    """What training minimises."""

    family: ClassVar[str] = "objective"
    answer: ClassVar[Answer] = "logits"  # what it takes a network's outputs for

    def check(self, classes: int) -> None:
        """Refuse data of a number of classes that does not fit.

        Raises:
            ContractError: it does not.
        """

    def fitted(self, labels: npt.NDArray[np.int64]) -> Self:
        """Return the objective with what it takes from the training images' labels."""
        return self

    def loss(self, forward: Forward, network: Network, rows: Rows) -> Tensor:
        """Run the network forward and return the loss, summed over the rows: a scalar.

        Args:
            forward: the network in training mode; a dict of outputs where it has several.
            network: its record, which holds the loss weight of each output.
            rows: images and labels.
        """
        raise NotImplementedError("left to each kind of objective")

    @property
    def probe_images(self) -> int:
        """How many images of the validation part `count_robust` wants at each epoch's end."""
        return 0

    def count_robust(self, forward: Forward, network: Network, rows: Rows) -> Tensor:
        """Return how many rows are right: clean, after one step, after more; and of how many.

        Only asked of an objective that wants `probe_images`.
        """
        raise NotImplementedError("left to each objective that wants `probe_images`")


class Softmax(Objective, frozen=True, kw_only=True):
    """Objectives on the cross-entropy of the softmax, with label smoothing.

    loss = -sum_k q_k log p_k, q_k = (1 - s) [k = label] + s / K.

    Args:
        label_smoothing: s, the share of each label that is spread over all K classes.

    Source: Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016, section 7.
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        smoothing = self.label_smoothing
        expect(0 <= smoothing < 1, "0 <= label_smoothing < 1", label_smoothing=smoothing)

    def cross_entropy(
        self, outputs: Tensor | Mapping[str, Tensor], network: Network, labels: Tensor
    ) -> Tensor:
        """Return the loss of logits (rows, classes) summed over rows, and over weighted outputs."""

        def one(logits: Tensor) -> Tensor:
            return functional.cross_entropy(
                logits.float(), labels, reduction="sum", label_smoothing=self.label_smoothing
            )

        return weighted(one, outputs, network)


class CrossEntropy(Softmax, frozen=True, kw_only=True):
    """Cross-entropy of the softmax against the labels."""

    def loss(self, forward: Forward, network: Network, rows: Rows) -> Tensor:
        """Return the cross-entropy summed over the rows."""
        return self.cross_entropy(forward(rows.images), network, rows.labels)


class DistanceLoss(Objective, frozen=True, kw_only=True):
    """The distance to the right class, against all distances: LeNet-5's.

    loss = y_label + log(exp(-garbage) + sum_k exp(-y_k))

    The second term pushes wrong classes away that are near; those farther than `garbage` are left
    alone, since the first term of its sum outweighs them. So it never collapses to all codes alike.

    Args:
        garbage: j, the distance of an image that is of no class.

    Source: LeCun et al., Proc. IEEE 1998, section II.C, equation 9 (maximum a posteriori). The
    paper gives no number for j.
    """

    answer: ClassVar[Answer] = "distances"

    garbage: float = 10.0

    def __post_init__(self) -> None:
        expect(self.garbage > 0, "a garbage distance above 0", garbage=self.garbage)

    def loss(self, forward: Forward, network: Network, rows: Rows) -> Tensor:
        """Return the loss summed over the rows, and over weighted outputs."""

        def one(distances: Tensor) -> Tensor:
            near = functional.pad(-distances.float(), (0, 1), value=-self.garbage)
            right = distances.float().gather(1, rows.labels[:, None])
            return right.sum() + near.logsumexp(1).sum()

        return weighted(one, forward(rows.images), network)


class Mixed(NamedTuple):
    """Rows with others mixed into them.

    Args:
        images: what the network sees.
        labels: of the images mixed in.
        share: of the row's own label in the loss; the rest is that of the other.
    """

    images: Tensor
    labels: Tensor
    share: float


class Mixing(Softmax, frozen=True, kw_only=True):
    """Cross-entropy on images mixed of two, against their labels in the same proportion.

    The partner of row i of the (micro-)batch is its row -1 - i.
    """

    def mix(self, rows: Rows) -> Mixed:
        """Return the rows, each with its partner mixed in."""
        raise NotImplementedError("left to each kind of mixing")

    def loss(self, forward: Forward, network: Network, rows: Rows) -> Tensor:
        """Return the mixed cross-entropy summed over the rows."""
        mixed = self.mix(rows)
        outputs = forward(mixed.images)
        own = self.cross_entropy(outputs, network, rows.labels)
        other = self.cross_entropy(outputs, network, mixed.labels)
        return mixed.share * own + (1 - mixed.share) * other


class Mixup(Mixing, frozen=True, kw_only=True):
    """Cross-entropy on weighted means of two images, against the same mean of their labels.

    x = w a + (1 - w) b, loss = w loss(a's label) + (1 - w) loss(b's label), w ~ Beta(alpha, alpha),
    one w a batch.

    Source: Zhang et al., "mixup", ICLR 2018.
    """

    alpha: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        expect(self.alpha > 0, "an alpha above 0", alpha=self.alpha)

    def mix(self, rows: Rows) -> Mixed:
        """Return the weighted means of each row and its partner."""
        share = _beta(rows.stream(), self.alpha)
        others, labels = _partners(rows)
        return Mixed(others.lerp(rows.images, share), labels, share)


class Cutmix(Mixing, frozen=True, kw_only=True):
    """Cross-entropy on images with a rectangle of another pasted in, labels mixed by area.

    The rectangle has the image's proportions and the share 1 - w of its area before clipping,
    w ~ Beta(alpha, alpha), one a batch.

    Source: Yun et al., "CutMix", ICCV 2019, section 3.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        expect(self.alpha > 0, "an alpha above 0", alpha=self.alpha)

    def mix(self, rows: Rows) -> Mixed:
        """Return each row with a rectangle of its partner."""
        height, width = rows.images.shape[-2:]
        chance = rows.stream()
        side = float((1.0 - _beta(chance, self.alpha)) ** 0.5)
        top, bottom = _span(float(chance.uniform("row")), side, height)
        left, right = _span(float(chance.uniform("column")), side, width)
        others, labels = _partners(rows)
        images = rows.images.clone()
        images[..., top:bottom, left:right] = others[..., top:bottom, left:right]
        return Mixed(images, labels, 1.0 - (bottom - top) * (right - left) / (height * width))


def weighted(
    one: Callable[[Tensor], Tensor], outputs: Tensor | Mapping[str, Tensor], network: Network
) -> Tensor:
    """Return a loss over all outputs of a network, each with its weight."""
    if isinstance(outputs, Tensor):
        return one(outputs)
    weights = {output.name: output.loss_weight for output in network.outputs}
    return torch.stack([weights[name] * one(each) for name, each in outputs.items()]).sum()


def _partners(rows: Rows) -> tuple[Tensor, Tensor]:
    """Return, for each row, image and label of the row mirrored in the whole batch."""
    images, labels = (
        rows.processes.gather_rows(rows.images),
        rows.processes.gather_rows(rows.labels),
    )
    first = len(images) - rows.offset - len(rows.images)
    mirrored = slice(first, first + len(rows.images))
    return images[mirrored].flip(0), labels[mirrored].flip(0)


def _beta(chance: Stream, alpha: float) -> float:
    return float(np.random.default_rng(chance.seed("beta")).beta(alpha, alpha))


def _span(centre: float, side: float, length: int) -> tuple[int, int]:
    half = round(side * length) / 2
    middle = centre * length
    return max(round(middle - half), 0), min(round(middle + half), length)
