"""`striate attack RUN [DATA]`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli import output
from striate.cli.options import Device, Json
from striate.errors import UsageError

if TYPE_CHECKING:
    from striate.attack import Assault


def attack(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or published weights.")],
    data: Annotated[
        str | None,
        typer.Argument(metavar="DATA", help="A named set or a path; the run's own unless given."),
    ] = None,
    eps: Annotated[
        str | None,
        typer.Option("--eps", metavar="LIST", help="Shares of a full pixel: 0.1,0.3 or 8/255."),
    ] = None,
    count: Annotated[
        int, typer.Option("--count", metavar="N", min=1, help="Images attacked.")
    ] = 500,
    steps: Annotated[int, typer.Option("--steps", metavar="N", min=1, help="Of PGD.")] = 40,
    step: Annotated[
        str | None, typer.Option("--step", metavar="SIZE", help="Of PGD; 2.5 eps / steps.")
    ] = None,
    restarts: Annotated[
        int, typer.Option("--restarts", metavar="N", min=1, help="Random starts of PGD.")
    ] = 1,
    image: Annotated[
        list[str] | None,
        typer.Option("--image", metavar="FILE", help="Fool this image too (repeat), by FGSM."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--class", metavar="NAME", help="Have --image taken for this, by PGD."),
    ] = None,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Carlini-Wagner and a universal perturbation too.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="RUN/figures/attack unless given."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0)] = 0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Accuracy against eps, with guards; pictures of how it is fooled.

    Images are moved as pixels of 0 to 1, before the run's own normalisation. Exit code 1 says that
    a guard failed, so that the figures are not to be trusted.
    """
    radii = tuple(_share(each) for each in eps.split(",")) if eps is not None else ()
    length = _share(step) if step is not None else None
    from striate import attack as attacking

    means = attacking.Means(
        eps=radii,
        count=count,
        steps=steps,
        step=length,
        restarts=restarts,
        files=tuple(image or ()),
        target=target,
        thorough=thorough,
        seed=seed,
    )
    found = attacking.assault(run, data, out=out, means=means, device=device)
    output.show(found, _text(found), as_json)
    if not found.table.trusted:
        raise typer.Exit(output.FAILED_VERDICT)


def _share(text: str) -> float:
    """Read 0.03 or 8/255."""
    above, slash, below = text.strip().partition("/")
    try:
        value = float(above) / float(below) if slash else float(above)
    except (ValueError, ZeroDivisionError):
        value = -1.0
    if not 0 <= value <= 1:
        raise UsageError(
            f"Expected a share of a full pixel, 0 to 1 (0.03 or 8/255), received {text.strip()!r}."
        )
    return value


def _text(found: Assault) -> str:
    rows = [
        (
            row.attack,
            f"{row.eps:.4g}",
            output.percent(row.accuracy),
            f"{output.percent(row.interval[0], 1)} to {output.percent(row.interval[1], 1)}",
            output.percent(row.confidence, 1),
        )
        for row in found.table.rows
    ]
    lines = [
        f"{found.network} ({found.run}) on {found.data}: {output.count(found.table.n, 'image')}",
        "",
        output.table(("attack", "eps", "accuracy", "95% interval", "confidence"), rows),
        "",
    ]
    for each in found.nearest:
        lines.append(
            f"{each.attack}: the nearest image of another class is {each.median:.3g} away (median, "
            f"Euclidean), found for {output.percent(each.found, 0)} of {each.n}"
        )
    if found.universal is not None:
        one = found.universal
        lines.append(
            f"One perturbation of eps {one.eps:.3g} for all: accuracy "
            f"{output.percent(one.others)} on images it was not found on"
        )
    lines.append("")
    for guard in found.table.guards:
        lines.append(f"{'ok  ' if guard.passed else 'FAIL'}  {guard.name}: {guard.found}")
        if not guard.passed:
            lines.append(f"      {guard.meaning}")
    return "\n".join(
        [*lines, "", *(f"{name.ljust(9)} {path}" for name, path in found.files.items())]
    )
