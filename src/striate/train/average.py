"""The moving average of the weights, often a better classifier than the last weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from striate.layers import Net
from striate.records import Record, expect


class Ema(Record, frozen=True, kw_only=True):
    """Average the weights exponentially over the steps and validate, choose and keep the average.

    average = d average + (1 - d) weights after step t = 1, 2, ..., with
    d = min(decay, (1 + t) / (10 + t)), so that the random start is soon forgotten.

    Source: Polyak and Juditsky 1992; the warm-up is TensorFlow's `num_updates`.
    """

    decay: float = 0.999

    def __post_init__(self) -> None:
        expect(0 <= self.decay < 1, "0 <= decay < 1", decay=self.decay)


class Average:
    """A second net that holds the average; the first is only read.

    Parameters and floating buffers (batch-norm's running statistics) are averaged, counters copied.

    Args:
        record: the decay.
        net: the net being trained.
    """

    def __init__(self, record: Ema, net: Net) -> None:
        self.record = record
        self.net = copy.deepcopy(net).eval().requires_grad_(False)
        self._pairs = [
            (mine, theirs)
            for mine, theirs in zip(_tensors(self.net), _tensors(net), strict=True)
            if mine.is_floating_point()
        ]
        self._counters = [
            (mine, theirs)
            for mine, theirs in zip(_tensors(self.net), _tensors(net), strict=True)
            if not mine.is_floating_point()
        ]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the weights after step number `step`, counted from 1."""
        decay = min(self.record.decay, (1 + step) / (10 + step))
        mine, theirs = zip(*self._pairs, strict=True)
        torch._foreach_lerp_(mine, theirs, 1.0 - decay)
        for counter, current in self._counters:
            counter.copy_(current)


def _tensors(net: Net) -> list[Tensor]:
    return [*net.parameters(), *net.buffers()]
