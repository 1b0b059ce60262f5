"""A plan as text: a row a convolution, what was chosen beside torch's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.engine.choice import ALONE, BEYOND, DEFAULT, NOTHING, LayerPlan
from striate.wording import count, table

if TYPE_CHECKING:
    from striate.engine.planning import Plan


def plan_table(found: Plan, every: bool = False) -> tuple[str, str, str]:
    """Return what is planned and where, the table, and what the plan gains.

    Args:
        found: the plan.
        every: whether each candidate has a row.
    """
    key, machine = found.key, found.machine
    what = "training step" if key.direction == "training" else "inference"
    head = (
        f"{found.network}, {what}, input {'x'.join(map(str, key.input))}, "
        f"{count(key.batch, 'image')} at a time\n"
        f"{machine.cpu}, {count(machine.threads, 'thread')}, {machine.vector}, {key.dtype}"
    )
    if not found.layers:
        return head, "", "There is no convolution: nothing to choose from."
    rows = []
    for layer in found.layers:
        default = layer.candidates[DEFAULT]
        rows.append((layer.name, *_row(layer, layer.chosen), f"{default.ms:.2f}", layer.remark))
        others = (name for name in layer.candidates if name != layer.chosen and every)
        rows += [("", *_row(layer, name), "", "") for name in others]
    header = ("layer", "chosen", "ms", "error", "workspace", "bits", "default ms", "")
    gain = found.default_ms / found.total_ms if found.total_ms else 1.0
    tail = [
        f"All convolutions {found.total_ms:.1f} ms, by torch's own {found.default_ms:.1f} ms: "
        f"{gain:.2f} times as fast.",
        *_said(found),
    ]
    return head, table(header, rows), "\n".join(tail)


def _said(found: Plan) -> list[str]:
    """Return what is true of the layers that the default computes."""
    remarks = [layer.remark for layer in found.layers]
    lines, beyond = [], remarks.count(NOTHING)
    if beyond:
        layers = count(beyond, "layer")
        lines.append(f"Nothing keeps within the limits in {layers}, torch's own neither.")
    if not found.algorithms:
        raced = not {ALONE, BEYOND, NOTHING}.intersection(remarks)
        verb = "wins" if raced else "is left"
        lines.append(f"The default {verb} everywhere: a plan gains nothing here.")
    return lines


def _row(layer: LayerPlan, name: str) -> tuple[str, ...]:
    found = layer.candidates[name]
    return (
        name,
        f"{found.ms:.2f}",
        f"{found.relative_rms:.1e}",
        f"{found.workspace_bytes / 1e6:.1f} MB",
        "same" if found.deterministic else "differ",
    )
