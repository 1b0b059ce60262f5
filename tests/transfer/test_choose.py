"""The lectures' two-by-two table, by measured figures."""

from __future__ import annotations

import pytest

from striate.transfer.choose import choose
from striate.transfer.probe import Probe


def probe(layer: str, depth: float, accuracy: float) -> Probe:
    return Probe(layer=layer, depth=depth, features=8, accuracy=accuracy, strength=0.1)


SIMILAR = (probe("early", 0.3, 0.5), probe("late", 1.0, 0.8))
DIFFERENT = (probe("early", 0.3, 0.8), probe("late", 1.0, 0.5))


@pytest.mark.parametrize(
    ("probes", "per_class", "how", "layer"),
    [
        (SIMILAR, 10, "linear", "late"),
        (DIFFERENT, 10, "linear", "early"),
        (SIMILAR, 500, "last", "late"),
        (DIFFERENT, 500, "all", "early"),
    ],
)
def test_the_table(probes: tuple[Probe, ...], per_class: float, how: str, layer: str) -> None:
    found = choose(probes, per_class)
    assert (found.how, found.layer) == (how, layer)
    for word in ("Little" if per_class < 50 else "Much", "80.0%", "50.0%" if layer == "early" else
                 "late"):  # fmt: skip
        assert word in found.why
