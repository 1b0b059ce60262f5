"""Adversarial training: each batch is attacked before the network learns from it.

One step from a random start is enough (and as cheap as two ordinary steps), until suddenly it is
not: the network learns to look right along that one step only, and its robustness against more
steps is gone within an epoch. So every epoch ends with a probe by more steps, the weights are
chosen by it, and the collapse is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from striate.data import Loader
from striate.design import Network
from striate.layers import Net, undisturbed
from striate.randomness import stream
from striate.records import expect
from striate.train.ascent import ascend
from striate.train.objective import Forward, Rows, Softmax
from striate.train.step import Step

_PROBE_STEPS = 10
_ROBUST = 0.1  # accuracy under more steps that a network has to have had to lose it
_PATIENCE = 5  # epochs after which it should have had


class Adversarial(Softmax, frozen=True, kw_only=True):
    """Cross-entropy on images moved, within a box of pixels, to where it is large.

    min over weights of max over |d| <= eps of loss(x + d)

    Args:
        eps: side of the box, in full pixels: 8/255 for photographs, 0.3 for MNIST.
        steps: of the attack. One is fast adversarial training, seven are Madry's.
        step: length of each, in full pixels; 1.25 eps for one step, 2.5 eps / steps for several,
            unless given.
        ramp: steps of training over which the box, and the attack's steps with it, grow to their
            full size; a network that meets seven steps of the full box at once may learn nothing.
        random: start at a random point of the box, also beyond the range of pixels: on black paper
            half of a start that was cut off would be no start. Without it one step collapses.
        probe: images of the validation part on which each epoch's end is probed.

    Source: Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR
    2018; Wong, Rice, Kolter, "Fast is better than free", ICLR 2020 (one step; catastrophic
    overfitting, section 5.4).
    """

    eps: float = 8 / 255
    steps: int = 1
    step: float | None = None
    ramp: int = 0
    random: bool = True
    probe: int = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        expect(0 < self.eps <= 1, "0 < eps <= 1 (full pixels)", eps=self.eps)
        expect(self.steps >= 1, "steps of at least 1", steps=self.steps)
        expect(self.step is None or self.step > 0, "a step above 0", step=self.step)
        expect(self.ramp >= 0, "a ramp of at least 0 steps", ramp=self.ramp)
        expect(self.probe >= 1, "a probe of at least 1 image", probe=self.probe)

    @property
    def length(self) -> float:
        """The length of a step, in full pixels."""
        if self.step is not None:
            return self.step
        return 1.25 * self.eps if self.steps == 1 else 2.5 * self.eps / self.steps

    @property
    def probe_images(self) -> int:
        """How many images of the validation part each epoch's end is probed on."""
        return self.probe

    def loss(self, forward: Forward, network: Network, rows: Rows) -> Tensor:
        """Return the cross-entropy of the attacked images, summed over the rows."""
        pixels = rows.to_pixels(rows.images)
        share = min(1.0, (rows.address[0] + 1) / self.ramp) if self.ramp else 1.0
        eps, start = share * self.eps, pixels
        if self.random:
            places = np.arange(rows.offset, rows.offset + len(pixels))
            chance = stream(rows.seed, "adversarial", *rows.address, places)
            drawn = chance.uniform("start", -eps, eps, tuple(pixels.shape[1:]))
            start = pixels + torch.from_numpy(drawn).to(pixels)

        def climb(moved: Tensor) -> Tensor:
            return self.cross_entropy(forward(rows.from_pixels(moved)), network, rows.labels)

        length = share * self.length
        moved = ascend(climb, pixels, start, eps=eps, step=length, steps=self.steps)
        return climb(moved)

    def count_robust(self, forward: Forward, network: Network, rows: Rows) -> Tensor:
        """Return how many rows are right: clean, after one step, after more; and of how many."""
        pixels, labels = rows.to_pixels(rows.images), rows.labels

        def climb(moved: Tensor) -> Tensor:
            return self.cross_entropy(forward(rows.from_pixels(moved)), network, labels)

        @torch.no_grad()
        def right(moved: Tensor) -> Tensor:
            outputs = forward(rows.from_pixels(moved))
            main = outputs if isinstance(outputs, Tensor) else next(iter(outputs.values()))
            return (main.argmax(1) == labels).sum()

        one, more = (
            ascend(climb, pixels, pixels, eps=self.eps, step=length, steps=steps)
            for length, steps in ((self.eps, 1), (2.5 * self.eps / _PROBE_STEPS, _PROBE_STEPS))
        )
        count = torch.tensor(len(labels), device=pixels.device)
        return torch.stack([right(pixels), right(one), right(more), count]).double()


class Robustness(NamedTuple):
    """How a net withstood attacks at an epoch's end.

    Args:
        clean, one_step, more_steps: accuracy on images as they are, and attacked.
    """

    clean: float
    one_step: float
    more_steps: float


def measure_robustness(step: Step, net: Net, loader: Loader) -> Robustness | None:
    """Attack the first images of the validation part; the same in all processes.

    Args:
        step: which knows the objective and how images are normalised.
        net: the net to attack.
        loader: of the validation part.

    Returns:
        None where the objective wants no probe.
    """
    objective, wanted = step.recipe.objective, step.recipe.objective.probe_images
    if not wanted:
        return None
    counts = torch.zeros(4, dtype=torch.float64, device=step.together.device)
    with undisturbed(net):
        net.eval()
        for index, batch in enumerate(loader.epoch(0)):
            rows = step.rows(batch, (0, index))
            counts += objective.count_robust(net, net.network, rows)
            wanted -= batch.total
            if wanted <= 0:
                break
    clean, one, more, total = step.together.sum(counts).tolist()
    return Robustness(clean / total, one / total, more / total)


def collapsed(epochs: Sequence[Robustness]) -> bool:
    """Tell whether the last epoch shows catastrophic overfitting.

    One step is survived and more steps are not: the gap between them is over 20 points, and
    accuracy under more steps has fallen by half from its best, or has been next to nothing for
    epochs. An ordinary network survives neither, and one that has just begun is given time.

    Source: Wong, Rice, Kolter, ICLR 2020, section 5.4 (they stop where accuracy under a few steps
    falls by 20 points).
    """
    best, last = max(each.more_steps for each in epochs), epochs[-1]
    fallen = best >= _ROBUST and last.more_steps < 0.5 * best
    never = best < _ROBUST and len(epochs) >= _PATIENCE
    return last.one_step - last.more_steps > 0.2 and (fallen or never)
