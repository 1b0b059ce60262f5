"""A plan as text: a row a convolution, what was chosen beside torch's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from striate.engine.choice import ALONE, BEYOND, DEFAULT, NOTHING, LayerPlan
from striate.wording import count, table

if TYPE_CHECKING:
    from striate.engine.planning import Plan

_BLOCK = 8  # convolutions that are looked for again right after them


def plan_table(found: Plan, every: bool = False) -> tuple[str, str, str]:
    """Return what is planned and where, the table, and what the plan gains.

    A row of several convolutions computed as one has all their names, `a + b`; blocks of rows
    alike stand once, `x7` behind their names, with the times of one.

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
    for layer, times in folded(found.layers):
        default = layer.candidates[DEFAULT]
        name = " + ".join((layer.name, *layer.fused)) + (f" x{times}" if times > 1 else "")
        rows.append((name, *_row(layer, layer.chosen), f"{default.ms:.2f}", layer.remark))
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


def folded(layers: Sequence[LayerPlan]) -> list[tuple[LayerPlan, int]]:
    """Return layers with how often they come in a row: those of blocks alike stand once.

    Layers are alike where all that was measured of them is; up to `_BLOCK` of them are a block,
    of which each stands once with the number of its blocks.
    """
    kinds = [layer.replace(name="", fused=("",) * len(layer.fused)) for layer in layers]
    rows: list[tuple[LayerPlan, int]] = []
    place = 0
    while place < len(layers):
        size, times = 1, 1
        for each in range(1, _BLOCK + 1):
            block, count = kinds[place : place + each], 1
            while kinds[place + count * each : place + (count + 1) * each] == block:
                count += 1
            if count > 1 and each * count > size * times:
                size, times = each, count
        rows += [(layer, times) for layer in layers[place : place + size]]
        place += size * times
    return rows


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
