"""The verb: a trained network and other classes in, a run folder and a table out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from striate import progress, runs
from striate.data import Dataset
from striate.inference import Model
from striate.transfer.choose import How, choose
from striate.transfer.linear import Method
from striate.transfer.probe import Probe
from striate.transfer.result import Row, Settings, TransferResult
from striate.transfer.ways import Interrupted, Ways

ALL: tuple[How, ...] = ("linear", "head", "last", "all", "scratch")


def transfer(
    data: str | Dataset,
    start: Model | Path | str,
    *,
    how: How | Literal["auto"] = "auto",
    compare: bool | None = None,
    layer: str | None = None,
    method: Method = "logistic",
    per_class: int | None = None,
    settings: Settings | None = None,
    out: Path | str | None = None,
) -> TransferResult:
    """Put a trained network to the classes of some data.

    Ctrl-C and SIGTERM end it after the next step; the same call with the same `out` goes on.

    Args:
        data: a named set, a path, or data that is open.
        start: a run folder, or published weights.
        how: `linear`, `head`, `last`, `all` or `scratch`; `auto` measures, and follows the table.
        compare: try all five ways, on the same data with the same budget; `auto` does unless told
            otherwise, so that its choice can be held against the others.
        layer: whose features a linear classifier takes; the last ones unless given.
        method: logistic regression or a linear support vector machine.
        per_class: take no more training images of each class.
        settings: of the trained ways.
        out: the run folder of what `how` is; the others stand beside it, with the way's name added.

    Raises:
        DataError: the data cannot be used.
        RunError, WeightsError: the network cannot be; or there is another run at `out`.
        UsageError: no such layer.
    """
    made = Ways(data, start, layer, method, per_class, settings or Settings())
    probed: tuple[Probe, ...] = ()
    why, chosen = "", how
    if chosen == "auto":
        probed = made.probes()
        choice = choose(probed, made.images / len(made.dataset.classes))
        chosen, why = choice.how, choice.why
        made.layer = layer or choice.layer
        progress.say(why)
    ways = ALL if compare or (compare is None and how == "auto") else (chosen,)
    base = Path(out) if out is not None else runs.new_path("runs", f"{made.dataset.name}-transfer")
    rows: list[Row] = []
    try:
        for way in ways:
            place = base if way == chosen else base.with_name(f"{base.name}-{way}")
            rows.append(made.row(way, place))
            progress.say(f"{way}: {_percent(rows[-1].accuracy)}")
    except (Interrupted, KeyboardInterrupt):
        ended = True
    else:
        ended = False
        made.notes += _ahead(rows, chosen)
    return TransferResult(
        data=made.dataset.spec,
        source=str(made.model.path),
        images=made.images,
        classes=len(made.dataset.classes),
        how=chosen,
        why=why,
        run=str(base),
        state="interrupted" if ended else "finished",
        probes=probed,
        rows=tuple(rows),
        notes=tuple(made.notes),
    )


def _ahead(rows: Sequence[Row], chosen: How) -> list[str]:
    """Say where another way did better than the one that was chosen."""
    (own,) = (each for each in rows if each.how == chosen)
    best = max(rows, key=lambda each: each.accuracy or 0.0)
    if own.accuracy is None or best.accuracy is None or best.accuracy <= own.accuracy:
        return []
    return [
        f"{best.how} did better here than {chosen}, {_percent(best.accuracy)} against "
        f"{_percent(own.accuracy)}: its run is {best.run}."
    ]


def _percent(share: float | None) -> str:
    return "no test part" if share is None else f"{100 * share:.2f}%"
