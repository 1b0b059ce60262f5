"""`striate explain RUN IMAGES...`."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli import output
from striate.cli.options import Device, Json

if TYPE_CHECKING:
    from striate.draw import Section
    from striate.explain import Report


# The names of `explain.PARTS`, `METHODS` and `STYLES`, which cannot be asked for before torch is.
Part = enum.StrEnum(
    "Part",
    "maps filters activations units classes inversion dream layers shift neighbours",
)
Method = enum.StrEnum(
    "Method",
    "saliency smooth_grad input_x_gradient integrated_gradients guided_backprop deconvolution "
    "grad_cam occlusion",
)
Style = enum.StrEnum("Style", "fourier simonyan yosinski")


def explain(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or published weights.")],
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE",
            help="Images, folders, quoted globs; a held-out one of the run's own unless given.",
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--class", metavar="NAME", help="Explain this class, not the likeliest."),
    ] = None,
    method: Annotated[
        list[Method] | None,
        typer.Option("--method", metavar="NAME", help="Only this map (repeat for several)."),
    ] = None,
    part: Annotated[
        list[Part] | None,
        typer.Option(
            "--part",
            metavar="NAME",
            help=f"Only this part of the page (repeat for several): {', '.join(Part)}.",
        ),
    ] = None,
    unit: Annotated[
        list[str] | None,
        typer.Option("--unit", metavar="LAYER:CHANNEL", help="What this unit wants (repeat)."),
    ] = None,
    layer: Annotated[
        list[str] | None,
        typer.Option("--layer", metavar="NAME", help="Look at this layer (repeat for several)."),
    ] = None,
    style: Annotated[
        Style,
        typer.Option(
            "--style", metavar="NAME", help="Of pictures made: fourier, simonyan or yosinski."
        ),
    ] = Style.fourier,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="DATA", help="Search this for patches, not the run's own."),
    ] = None,
    search: Annotated[
        int, typer.Option("--search", metavar="N", min=1, help="Training images searched.")
    ] = 2000,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="RUN/figures/explain unless given."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0)] = 0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Pictures and one page: maps, filters, units, classes.

    Every map is tested, and greyed on the page where it is not to be believed.
    """
    from striate import explain as looking

    look = looking.Look(
        parts=tuple(each.value for each in part or Part),
        methods=tuple(each.value for each in method or Method),
        target=target,
        units=tuple(unit or ()),
        layers=tuple(layer or ()),
        style=style.value,  # type: ignore[arg-type]
        data=data,
        search=search,
        seed=seed,
    )
    report = looking.look_inside(run, images or (), out=out, look=look, device=device)
    output.show(report, _text(report), as_json)


def _text(report: Report) -> str:
    lines = []
    for section in report.sections:
        tested = [each for each in section.pictures if "faithfulness" in each.measures]
        if tested:
            rows = [
                (
                    each.title,
                    _number(each.measures.get("sensitivity")),
                    _number(each.measures["faithfulness"]),
                    _number(each.measures.get("completeness_gap")),
                    "no: " + each.reasons[0] if each.reasons else "yes",
                )
                for each in tested
            ]
            header = ("map", "sensitivity", "beats chance by", "gap", "to be believed")
            said = section.pictures[0].note
            lines += [f"{section.title}: {said}", output.clip(output.table(header, rows, "  ")), ""]
        elif section.name == "filters" and section.pictures:
            lines += [*_filters(section, Path(report.folder)), ""]
        else:
            lines += [f"{section.title}: {section.text}", ""]
    return "\n".join([*lines, f"page  {report.page}"])


def _filters(section: Section, folder: Path) -> Iterator[str]:
    """Yield what was found of each layer's filters, and where they are drawn."""
    for each in section.pictures:
        if "classical" in each.measures:
            yield f"{each.title[0].upper()}{each.title[1:]}: {each.note}"
            yield f"  {folder / each.file}"
    yield "  --layer NAME shows those of another convolution (repeat for several)."


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"
