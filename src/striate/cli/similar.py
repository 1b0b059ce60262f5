"""`striate similar RUN IMAGES --among DATA`."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli import output
from striate.cli.options import Device, Json

if TYPE_CHECKING:
    from striate.transfer import Similar


class Index(enum.StrEnum):
    """How neighbours are found."""

    auto = "auto"
    exact = "exact"
    usearch = "usearch"


def similar(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or published weights.")],
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE", help="Images, folders, quoted globs.")
    ],
    among: Annotated[
        str, typer.Option("--among", metavar="DATA", help="Where to look: a named set or a path.")
    ],
    count: Annotated[
        int, typer.Option("--count", metavar="N", min=1, help="Neighbours of each image.")
    ] = 12,
    layer: Annotated[
        str | None,
        typer.Option("--layer", metavar="NAME", help="Whose features; the classifier's unless."),
    ] = None,
    index: Annotated[
        Index, typer.Option("--index", help="exact; usearch for very many; auto chooses.")
    ] = Index.auto,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="For the pictures.")] = Path(
        "similar"
    ),
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Images that the network takes for alike.

    A picture an image, the most similar first; features are computed once and kept.
    """
    from striate import transfer

    found = transfer.similar(
        run,
        images,
        among,
        count=count,
        layer=layer,
        index=index.value,
        out=out,
        device=device,
    )
    output.show(found, _text(found), as_json)


def _text(found: Similar) -> str:
    parts = [f"{found.network} at {found.layer}, among {output.count(found.images, 'image')}"]
    for answer in found.answers:
        rows = [(f"{each.similarity:.3f}", each.label, each.file) for each in answer.neighbours]
        table = output.clip(output.table(("similarity", "class", "file"), rows, "  "))
        left = f"  (left out: {', '.join(answer.itself)}, the same file)" if answer.itself else ""
        parts.append(f"{answer.file} -> {answer.picture}{left}\n{table}")
    return "\n\n".join(parts)
