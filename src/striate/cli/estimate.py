"""What `striate design --train` says about a run before it begins."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from striate.cli.output import duration
from striate.errors import UsageError

if TYPE_CHECKING:
    from striate.design import Network
    from striate.train import Estimate

_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


class AboutTraining(NamedTuple):
    """What was asked for about training: the options of `striate design --train`."""

    batch: int
    find: bool = False
    optimiser: str = "sgd"
    precision: str = "float32"
    memory: str | None = None
    images: int = 50_000
    device: str = "auto"

    def estimate(self, network: Network) -> tuple[dict[str, Any], str]:
        """Return what training the network takes, as data and in lines."""
        from striate.design.forecast import Precision
        from striate.records import decode
        from striate.train import estimate

        found = estimate(
            network,
            batch=self.batch,
            optimiser=self.optimiser,
            precision=decode(Precision, self.precision, "--precision"),
            memory=None if self.memory is None else read_bytes(self.memory),
            images=self.images,
            find=self.find,
            device=self.device,
        )
        return found.document(), estimate_text(found)


def estimate_text(estimate: Estimate) -> str:
    """Return an estimate in plain lines."""
    from striate.design.table import spell_bytes

    paper, measured = estimate.forecast, estimate.measured
    parts = {
        "weights": paper.weights,
        "gradients": paper.gradients,
        "optimiser": paper.state,
        "activations": paper.activations,
        "workspace": paper.workspace,
    }
    lines = [
        f"training with batch {paper.batch:,}, {paper.optimiser}, {paper.precision}: "
        f"{spell_bytes(paper.peak)} at the peak, on the way {paper.phase} at {paper.layer}",
        "  " + ", ".join(f"{name} {spell_bytes(count)}" for name, count in parts.items()),
        f"  largest batch in {spell_bytes(estimate.memory)} by this forecast: "
        f"{estimate.largest_batch:,}",
    ]
    if estimate.found_batch is not None:
        lines.append(f"  largest batch measured to fit: {estimate.found_batch:,}")
    if measured is not None:
        rate = (estimate.found_batch or paper.batch) / measured.seconds
        lines.append(
            f"  measured on {measured.device}: {spell_bytes(measured.peak)}, "
            f"{1000 * measured.seconds:,.0f} ms a step (median of {measured.steps}), "
            f"{rate:,.0f} images a second"
        )
    if estimate.epoch_seconds is not None:
        lines.append(
            f"  an epoch of {estimate.images:,} images: {duration(estimate.epoch_seconds)}, "
            "if the data keep up"
        )
    return "\n".join(lines)


def read_bytes(text: str) -> int:
    """Read `8GB`, `800 MB`, `7.5GiB` or a plain number of bytes.

    Raises:
        UsageError: it says something else.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kMGT]?i?)B?\s*", text)
    unit = found and {**_UNITS, **_BINARY}.get(found[2])
    if not found or not unit:
        raise UsageError(f"Expected memory like 8GB, 800MB or 7.5GiB, received {text!r}.")
    return int(float(found[1]) * unit)
