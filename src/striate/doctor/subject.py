"""What preflight looks at, and what one check says of it."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from striate.layers import undisturbed
from striate.layers.dropout import Dropout, Noise
from striate.layers.elementwise import ChannelDropout
from striate.records import Record

Verdict = Literal["pass", "warn", "fail", "skip"]

NOISY = (Dropout, ChannelDropout, Noise, nn.modules.dropout._DropoutNd)
NORMALISING = (nn.modules.batchnorm._BatchNorm,)


class Check(Record, frozen=True, kw_only=True):
    """One check's document.

    Args:
        check: its name.
        measured: what was found.
        expected: what was expected, with its band.
        band: the values that pass, ends included; None where a yes or no was asked.
        verdict: pass, warn, fail, or skip where it could not be asked.
        meaning: what the measurement says.
        fix: what to do; empty when it passed.
    """

    check: str
    measured: float | None
    expected: str
    band: tuple[float | None, float | None] | None = None
    verdict: Verdict
    meaning: str
    fix: str = ""


@dataclass(frozen=True)
class Subject:
    """A network at its start, with some of the images it will be trained on.

    Args:
        net: any nn.Module from (n, channels, height, width) to (n, classes); left as it was found.
        images: training images as the network takes them, not augmented: (n, C, H, W).
        labels: (n,).
        classes: K.
        held_out: images and labels that are not among them; None skips what needs some.
        answer: what the outputs are.
        seed: of everything that a check draws.
        begun: whether the net holds trained weights already.
        anew: layers that hold random weights all the same, where others are trained.
        of_recipe: whether settings of `train` change it; checks name them only then.
        until: when to begin nothing more, by `time.monotonic`.
    """

    net: nn.Module
    images: Tensor
    labels: Tensor
    classes: int
    held_out: tuple[Tensor, Tensor] | None = None
    answer: str = "logits"
    seed: int = 0
    begun: bool = False
    anew: tuple[str, ...] = ()
    of_recipe: bool = False
    until: float = math.inf

    @contextmanager
    def quiet(self, training: bool = False) -> Iterator[nn.Module]:
        """Give the net in eval mode, or in training mode without dropout; restore it afterwards."""
        buffers = {name: value.clone() for name, value in self.net.named_buffers()}
        with undisturbed(self.net) as net, torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            net.train(training)
            calm(net)
            try:
                yield net
            finally:
                with torch.no_grad():
                    for name, value in self.net.named_buffers():
                        value.copy_(buffers[name])

    @cached_property
    def macs(self) -> float:
        """Multiply-adds of one image."""
        with self.quiet(training=True) as net, torch.no_grad(), FlopCounterMode(display=False) as c:
            net.requires_grad_(False)  # the counter would hook gradients that there are none of
            net(self.images[:2])
        return max(float(c.get_total_flops()) / 2 / max(len(self.images[:2]), 1), 1.0)

    def copy(self) -> nn.Module:
        """Return a copy of the net that a check may train."""
        return copy.deepcopy(self.net).requires_grad_(True)

    def losses(self, outputs: Any, labels: Tensor) -> Tensor:
        """Return each image's loss, (n,): cross-entropy, of negatives where they are distances.

        Where a network returns several outputs, those shaped as the main one count too.
        """
        main = main_output(outputs)
        alike = [each for each in tensors(outputs) if each.shape == main.shape]
        return torch.stack([self._losses(each, labels) for each in alike]).sum(0)

    def _losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        scores = outputs.float()
        if self.answer == "probabilities":
            return functional.nll_loss(scores.clamp_min(1e-30).log(), labels, reduction="none")
        scores = -scores if self.answer == "distances" else scores
        return functional.cross_entropy(scores, labels, reduction="none")

    def right(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Return which images are classified as labelled, (n,)."""
        best = outputs.argmin(1) if self.answer == "distances" else outputs.argmax(1)
        return best == labels


def main_output(outputs: Any) -> Tensor:
    """Return the main one of a network's outputs: the first of several."""
    first: Tensor = next(iter(_several(outputs)), outputs)
    return first


def tensors(outputs: Any) -> list[Tensor]:
    """Return all tensors among a network's outputs, in their order."""
    return [each for each in _several(outputs) if isinstance(each, Tensor)]


def _several(outputs: Any) -> Sequence[Any]:
    if isinstance(outputs, Mapping):
        return tuple(outputs.values())
    return outputs if isinstance(outputs, tuple | list) else (outputs,)


def calm(net: nn.Module) -> None:
    """Turn dropout off, in whatever form."""
    for module in net.modules():
        if isinstance(module, NOISY):
            module.eval()
