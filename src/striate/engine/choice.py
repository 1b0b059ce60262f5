"""The rule by which a measured algorithm replaces torch's own."""

from __future__ import annotations

from collections.abc import Mapping

from striate.records import Record

DEFAULT = "default"
ALONE = "nothing else computes this layer"
BEYOND = "nothing else keeps within the limits"
NOTHING = "nothing keeps within the limits, torch's own neither"
WORTH = 1.05  # how much faster, surely, what replaces the default has to be
ALIKE = 1.03  # times that are as good as equal: the smaller error decides
ERROR = 5e-6  # that F(6x6, 3x3) keeps to
WORKSPACE = 64_000_000  # bytes of a layer: filters of F(6x6), 512 to 512, take 67 MB for 6% of time


class Candidate(Record, frozen=True, kw_only=True):
    """One way to compute a layer, measured.

    Args:
        ms: median of its times, in milliseconds.
        lead: times faster than the default at least, with a confidence of 95%.
        workspace_bytes: memory beside input, weights and output.
        relative_rms: root mean square of its error over that of the result, against float64.
        deterministic: whether two calls gave the same bits.
    """

    ms: float
    lead: float
    workspace_bytes: int
    relative_rms: float
    deterministic: bool


class Limits(Record, frozen=True, kw_only=True):
    """What a chosen algorithm may take.

    Args:
        workspace: bytes, if torch's own does not take more; None for any.
        error: relative root mean square; None for any.
    """

    workspace: int | None = WORKSPACE
    error: float | None = ERROR

    def allow(self, candidate: Candidate, default: Candidate) -> bool:
        """Tell whether a candidate keeps within them."""
        most = self.workspace
        fits = most is None or candidate.workspace_bytes <= max(most, default.workspace_bytes)
        exact = self.error is None or candidate.relative_rms <= self.error
        return fits and exact


class LayerPlan(Record, frozen=True, kw_only=True):
    """What was measured of a layer, and what is chosen.

    Args:
        name: of the layer.
        chosen: the algorithm.
        remark: why, in words.
        noise: by how much the default leads over itself: 0.02 is two per cent, which nothing but
            other work on the machine explains.
        candidates: by algorithm, the default among them.
        fused: names of the further convolutions that are computed with it: those of single pixels
            that read what its filters of single channels give. Its times are those of all.
    """

    name: str
    chosen: str
    remark: str
    noise: float
    candidates: dict[str, Candidate]
    fused: tuple[str, ...] = ()

    def within(self, limits: Limits) -> LayerPlan:
        """Return it with the choice made again, within limits."""
        chosen, remark = choose(self.candidates, self.noise, limits)
        return self.replace(chosen=chosen, remark=remark)


def choose(candidates: Mapping[str, Candidate], noise: float, limits: Limits) -> tuple[str, str]:
    """Return the algorithm, and why.

    The fastest one within the limits (of some about as fast, the most exact) replaces the default
    if it is surely 5% faster, and leads by more than the default does over itself; or if that is
    not within the limits.
    """
    others = {name: each for name, each in candidates.items() if name != DEFAULT}
    if not others:
        return DEFAULT, ALONE
    default = candidates[DEFAULT]
    allowed = {name: each for name, each in others.items() if limits.allow(each, default)}
    if not limits.allow(default, default):
        if not allowed:
            return DEFAULT, NOTHING
        best = min(allowed, key=lambda name: allowed[name].ms)
        return best, f"torch's own has an error of {default.relative_rms:.1e}"
    if not allowed:
        return DEFAULT, BEYOND
    own = default.ms
    enough = max(WORTH, 1 + noise)
    ahead = {n: each for n, each in allowed.items() if each.lead >= enough and each.ms < own}
    if not ahead:
        best = min(allowed, key=lambda name: allowed[name].ms)
        if allowed[best].ms >= own:
            return DEFAULT, f"the default wins: {best} took {allowed[best].ms:.2f} ms"
        if allowed[best].lead >= WORTH:
            return DEFAULT, f"too noisy: the default seems {noise:.0%} faster than itself"
        return DEFAULT, f"the default stays: {best} is not surely 5% faster"
    fastest = min(each.ms for each in ahead.values())
    near = [name for name, each in ahead.items() if each.ms <= fastest * ALIKE]
    best = min(near, key=lambda name: ahead[name].relative_rms)
    return best, f"{own / ahead[best].ms:.2f} times as fast"
