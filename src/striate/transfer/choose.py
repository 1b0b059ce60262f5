"""The lectures' two-by-two table: little or much data, similar or different, and what to do.

                 similar                            different
    little data  a linear classifier on the         a linear classifier on the features of
                 last features                      the depth that serves best
    much data    fine-tune the last blocks          fine-tune all of it

Similarity is measured: a task is similar where no earlier layer's features serve a linear
classifier better than the last ones do.

Source: Stanford CS231n, lecture notes on transfer learning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from striate.transfer.probe import Probe

How = Literal["linear", "head", "last", "all", "scratch"]

LITTLE = 50  # training images a class, up to which data is little
_BETTER = 0.02  # of accuracy, by which an earlier layer has to be ahead


class Choice(NamedTuple):
    """What to do and why.

    Args:
        how: linear, last or all.
        layer: whose features a linear classifier takes.
        why: one sentence with the figures.
    """

    how: How
    layer: str
    why: str


def choose(probes: Sequence[Probe], per_class: float) -> Choice:
    """Follow the table.

    Args:
        probes: by depth, the last features last.
        per_class: training images a class, on average.
    """
    last = probes[-1]
    best = max(probes, key=lambda each: (each.accuracy, each.depth))
    similar = best.accuracy - last.accuracy <= _BETTER
    much = per_class > LITTLE
    chosen = last if similar else best
    how: How = ("last" if similar else "all") if much else "linear"
    done = {
        "linear": f"a linear classifier on {chosen.layer}",
        "last": "fine-tuning of the last blocks",
        "all": "fine-tuning of all blocks, the early ones slowly",
    }[how]
    why = (
        f"{'Much' if much else 'Little'} data ({per_class:.0f} training images a class, "
        f"{LITTLE} is the line), "
        f"{'similar' if similar else 'different'} (a linear classifier on the last features: "
        f"{100 * last.accuracy:.1f}%; the best depth, {best.layer}: {100 * best.accuracy:.1f}%): "
        f"{done}."
    )
    return Choice(how, chosen.layer, why)
