"""Whether a map can be believed: does it depend on the weights, and does the network heed it.

Three tests, none of which asks whether the map looks right. Weights are made random from the output
down: a map that stays as it was shows edges, not what the network learnt. Pixels are taken away, or
put in, in the map's order: the probability has to fall, or rise, sooner than in a chance order.
Where theory says what the values sum to, they have to.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from striate.contract import Contract
from striate.explain.attribution import Attribution, Floats, Method
from striate.explain.walk import looking
from striate.inference import PixelNet
from striate.layers import Net, build
from striate.randomness import stream
from striate.records import Record

SENSITIVE = 0.75  # largest rank correlation with the map of random weights
COMPLETE = 0.05  # largest share that a completeness gap may have
_CELLS = 14  # cells along the shorter side, taken away one by one
_STEPS = 20
_CHANCE = 4  # chance orders
_NO_MORE = 0.005  # of a probability: 0.00 where it is shown


class Curve(Record, frozen=True, kw_only=True):
    """The class's probability as cells of the image go or come.

    Args:
        shares: of the image that has gone or come, 0 to 1.
        probabilities: of the class then.
    """

    shares: tuple[float, ...]
    probabilities: tuple[float, ...]

    @property
    def area(self) -> float:
        """The mean probability over all shares, 0 to 1."""
        widths = np.diff(self.shares)
        heights = np.asarray(self.probabilities)
        return float((widths * (heights[1:] + heights[:-1]) / 2).sum())


class Validity(Record, frozen=True, kw_only=True):
    """What speaks for a map and against it.

    Args:
        randomised: per part of the weights made random (from the output down to that layer), the
            rank correlation of the map's magnitude with that of the random net; empty where the
            network is no Net.
        deletion: most important cells first taken away.
        insertion: most important cells first put into an image of the mean colour.
        faithfulness: insertion's area minus deletion's, less the same of a chance order: above 0
            where the order tells the network more than chance.
        gap: the completeness gap, where theory gives one.
        reasons: why it cannot be believed; none where it can.
    """

    randomised: tuple[tuple[str, float], ...]
    deletion: Curve
    insertion: Curve
    faithfulness: float
    gap: float | None
    reasons: tuple[str, ...]

    @property
    def believable(self) -> bool:
        """Whether it passed every test."""
        return not self.reasons

    @property
    def sensitivity(self) -> float | None:
        """1 less the largest rank correlation with a random net's map; None without such a test."""
        return 1 - max(each for _, each in self.randomised) if self.randomised else None


def validity(
    method: Method,
    net: nn.Module,
    contract: Contract,
    image: Tensor,
    target: int,
    *,
    found: Attribution | None = None,
    seed: int = 0,
) -> Validity:
    """Test a method's map of an image.

    Args:
        method, net, contract, image, target: as of `Method`.
        found: the map, where it has been made already.
        seed: of random weights and chance orders.

    Source: Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018 (cascading
    randomisation, rank correlation of magnitudes); Petsiuk, Das, Saenko, "RISE", BMVC 2018
    (deletion and insertion).
    """
    made = found or method(net, contract, image, target)
    randomised = cascade(method, net, contract, image, target, made, seed=seed)
    importance = made.map if made.signed else np.abs(made.map)
    order = _order(importance)
    deletion, insertion = curves(net, contract, image, target, order)
    chance = []
    for number in range(_CHANCE):
        shuffled = stream(seed, "chance", number).permutation("cells", len(order))
        gone, come = curves(net, contract, image, target, order[shuffled])
        chance.append(come.area - gone.area)
    faithfulness = insertion.area - deletion.area - float(np.mean(chance))
    return Validity(
        randomised=randomised,
        deletion=deletion,
        insertion=insertion,
        faithfulness=faithfulness,
        gap=made.gap,
        reasons=_reasons(randomised, faithfulness, made.gap),
    )


def cascade(
    method: Method,
    net: nn.Module,
    contract: Contract,
    image: Tensor,
    target: int,
    made: Attribution,
    *,
    parts: Sequence[float] = (0.5, 1.0),
    seed: int = 0,
) -> tuple[tuple[str, float], ...]:
    """Make weights random from the output down, and compare each map with the real one.

    Args:
        made: the real one.
        parts: shares of the layers with weights that are made random, from the output on.
        seed: of the weights.

    Returns:
        (lowest layer made random, Spearman's correlation of the maps' magnitudes) for each share.
    """
    if not isinstance(net, Net):
        return ()
    network = net.network
    owners = list(dict.fromkeys(each.name.rpartition(".")[0] for each in network.parameters()))
    fresh = build(network, seed=seed + 1)
    found = []
    for part in parts:
        count = max(1, round(part * len(owners)))
        state, random = net.state_dict(), fresh.state_dict()
        prefixes = tuple(f"{owner}." for owner in owners[-count:])
        mixed = {
            name: random[name].to(value) if name.startswith(prefixes) else value
            for name, value in state.items()
        }
        other = build(network, seed=None)
        other.load_state_dict(mixed, assign=True)
        again = method(other.eval(), contract, image, target)
        found.append((owners[-count], correlation(np.abs(made.map), np.abs(again.map))))
    return tuple(found)


def correlation(one: Floats, other: Floats) -> float:
    """Return Spearman's rank correlation of two maps, -1 to 1; 0 where one is the same all over."""
    ranks = [_ranks(each.ravel()) for each in (one, other)]
    spreads = [each.std() for each in ranks]
    if min(spreads) == 0:
        return 0.0
    both = [(rank - rank.mean()) / spread for rank, spread in zip(ranks, spreads, strict=True)]
    return float((both[0] * both[1]).mean())


def curves(
    net: nn.Module,
    contract: Contract,
    image: Tensor,
    target: int,
    order: npt.NDArray[np.int64],
) -> tuple[Curve, Curve]:
    """Return deletion and insertion for an order of cells.

    Args:
        net, contract, image, target: as of `Method`.
        order: cells (see `cells`), the most important first.
    """
    owner = torch.from_numpy(cells(image.shape[1], image.shape[2]))
    edges = np.linspace(0, len(order), _STEPS + 1).round().astype(int)
    position = torch.empty(len(order), dtype=torch.long)
    position[torch.from_numpy(order.copy())] = torch.arange(len(order))
    taken = position[owner][None] < torch.from_numpy(edges)[:, None, None]  # (steps, height, width)
    with looking(net), torch.no_grad():
        seen = PixelNet(net, contract)
        mask = taken[:, None].to(image)
        blank = seen.nothing.expand_as(image)
        deleted, inserted = image * (1 - mask) + blank * mask, image * mask + blank * (1 - mask)
        last = torch.channels_last  # a third less time, with the same sums but for their rounding
        likely = [
            seen(each.contiguous(memory_format=last)).softmax(1)[:, target].tolist()
            for each in (deleted, inserted)
        ]
    shares = tuple(float(each) / len(order) for each in edges)
    gone, come = (Curve(shares=shares, probabilities=tuple(each)) for each in likely)
    return gone, come


def cells(height: int, width: int) -> npt.NDArray[np.int64]:
    """Return which cell of a grid each pixel belongs to: (height, width)."""
    side = max(1, min(height, width) // _CELLS)
    columns = -(-width // side)
    rows = np.arange(height)[:, None] // side
    return np.asarray(rows * columns + np.arange(width)[None] // side, np.int64)


def _order(importance: Floats) -> npt.NDArray[np.int64]:
    owner = cells(*importance.shape).ravel()
    weight = np.bincount(owner, importance.ravel()) / np.bincount(owner)
    return np.argsort(-weight, kind="stable").astype(np.int64)


def _ranks(values: Floats) -> npt.NDArray[np.float64]:
    """Return ranks, equal values sharing their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2.0)[inverse.ravel()], np.float64)


def _reasons(
    randomised: tuple[tuple[str, float], ...], faithfulness: float, gap: float | None
) -> tuple[str, ...]:
    reasons = []
    for layer, alike in randomised:
        if alike > SENSITIVE:
            reasons.append(
                f"it stays alike (rank correlation {alike:.2f}) with random weights from the "
                f"output down to {layer}"
            )
    if faithfulness < _NO_MORE:
        reasons.append("its order tells the network no more than chance")
    if gap is not None and gap > COMPLETE:
        reasons.append(f"its sum misses the score by {100 * gap:.0f}%")
    return tuple(reasons)
