"""Linear probes by depth: how well a linear classifier does on the features of each layer.

They measure what the lectures' table asks for: where the last features serve the new classes best,
the tasks are similar; where earlier ones do, they are not.

Source: Alain and Bengio, "Understanding intermediate layers using linear classifier probes", 2016;
Yosinski et al., "How transferable are features", NIPS 2014.
"""

from __future__ import annotations

from striate.design import Network
from striate.records import Record
from striate.transfer.features import Floats
from striate.transfer.linear import Labels, Method, fit_linear
from striate.transfer.tuning import blocks, penultimate

_PROBES = 5


class Probe(Record, frozen=True, kw_only=True):
    """A linear classifier on one layer's features.

    Args:
        layer: its name.
        depth: share of the network's blocks up to it, 0 to 1.
        features: how many.
        accuracy: in cross-validation on the training images.
        strength: of the regularisation chosen.
    """

    layer: str
    depth: float
    features: int
    accuracy: float
    strength: float


def probe_layers(network: Network, count: int = _PROBES) -> tuple[str, ...]:
    """Return the ends of blocks, evenly over the depth, and what the classifier reads."""
    last = penultimate(network)
    ends = [group[-1] for group in blocks(network)[:-1] if last not in group]
    places = {round((at + 1) * len(ends) / count) - 1 for at in range(count - 1)}
    return (*(ends[at] for at in sorted(places) if at >= 0), last)


def probes(
    network: Network,
    found: dict[str, Floats],
    labels: Labels,
    classes: int,
    *,
    method: Method = "logistic",
    seed: int = 0,
) -> tuple[Probe, ...]:
    """Return a probe for each layer of which there are features, in their order."""
    place = {name: at for at, group in enumerate(blocks(network)) for name in group}
    total = max(len(blocks(network)), 1)
    made = []
    for name, values in found.items():
        fitted = fit_linear(values, labels, classes, method=method, seed=seed)
        made.append(
            Probe(
                layer=name,
                depth=round((place.get(name, total - 1) + 1) / total, 3),
                features=values.shape[1],
                accuracy=fitted.accuracy,
                strength=fitted.strength,
            )
        )
    return tuple(made)
