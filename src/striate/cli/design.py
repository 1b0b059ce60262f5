"""`striate design NET`: the sheet, the drawing, other spellings, and networks side by side."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from striate.cli import output
from striate.cli.estimate import AboutTraining
from striate.cli.options import Device, Json, input_shape
from striate.errors import DesignError, UsageError

if TYPE_CHECKING:
    from striate.design import Network, Sheet

_BY_SUFFIX = {".html": "html", ".svg": "svg", ".md": "markdown", ".json": "json", ".txt": "text"}


def design(  # long by its options
    nets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NET...",
            help="Names, notation, a prototxt, a network.json, a run; several are compared. "
            "W=32 F=5 S=2 P=? asks which paddings fit.",
        ),
    ] = None,
    classes: Annotated[
        int | None, typer.Option("--classes", min=1, help="Another number of classes.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--input", metavar="CxHxW", help="Another input: 3x224x224, 64x96 or 64."),
    ] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images that memory is for.")] = 1,
    training: Annotated[
        bool, typer.Option("--train", help="Forecast a training step and measure some.")
    ] = False,
    optimiser: Annotated[
        str | None,
        typer.Option(
            "--optimizer", "--optimiser", metavar="O", help="sgd, sgd_plain, adam or adamw."
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option("--precision", metavar="P", help="float32, bfloat16 or float16."),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option("--memory", metavar="SIZE", help="What training may take: 8GB, 7.5GiB."),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option("--images", min=1, help="Images of an epoch, for its time: 50,000."),
    ] = None,
    find_batch: Annotated[
        bool, typer.Option("--find-batch", help="Measure which batch really fits the memory.")
    ] = False,
    device: Device = "auto",
    depth: Annotated[
        int | None,
        typer.Option("--depth", min=1, help="Parts of a layer's name to show; scopes below fold."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Show every layer, fold nothing.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="The table as markdown.")] = False,
    html: Annotated[bool, typer.Option("--html", help="One page with drawing and table.")] = False,
    svg: Annotated[bool, typer.Option("--svg", help="The drawing of the graph.")] = False,
    dialect: Annotated[
        str | None,
        typer.Option("--as", metavar="KIND", help="Spell it for torch, lasagne, caffe, pytorch."),
    ] = None,
    layer: Annotated[
        str | None, typer.Option("--layer", metavar="NAME", help="Only this layer or scope.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw accuracy against MACs: .svg or .png."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write there: .html, .svg, .md, .json, .txt."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Shapes, parameters, MACs, memory, receptive fields."""
    from striate.design import question
    from striate.design.sheet import part

    words = nets or []
    if plot is not None:
        _plot(words, plot, as_json)
        return
    if not words:
        raise UsageError("Expected a network, for example: striate design vgg16")
    form = _form({"markdown": markdown, "html": html, "svg": svg, "json": as_json}, out)
    if question.is_question(words):
        if form not in ("text", "json") or out is not None:
            raise UsageError(
                "Expected a question about a lone layer with --json or no form at all: it is "
                "answered in one line; leave out the others, and --out."
            )
        answer = question.answer(question.read_question(words))
        output.show(answer, answer.text, as_json)
        return
    about_training = {
        "optimiser": optimiser,
        "precision": precision,
        "memory": memory,
        "images": images,
        "device": None if device == "auto" else device,
    }
    asked = _about_training(training or find_batch, find_batch, batch, about_training, form)
    networks = [_read(word, classes, size) for word in words]
    if dialect is not None:
        _spell(networks, dialect, layer, out, as_json)
        return
    sheets = [_sheet(network, batch) for network in networks]
    if layer is not None:
        sheets = [part(each, layer) for each in sheets]
    documents: list[dict[str, Any]] = [each.document() for each in sheets]
    headings = _headings(networks)
    if len(sheets) == 1:
        text = _rendered(sheets[0], form, depth, every)
    else:
        text = _compared(sheets, headings, form)
    if asked is not None:
        for network, heading, document in zip(networks, headings, documents, strict=True):
            document["training"], said = asked.estimate(network)
            said = f"{heading}: {said}" if len(networks) > 1 else said
            text += f"\n\n```\n{said}\n```" if form == "markdown" else f"\n\n{said}"
    _deliver(documents[0] if len(sheets) == 1 else documents, text, form, out)


def _about_training(
    training: bool, find: bool, batch: int, options: dict[str, Any], form: str
) -> AboutTraining | None:
    """Return what was asked for about training; an option that would do nothing is refused."""
    given = {name: value for name, value in options.items() if value is not None}
    if not training and given:
        raise UsageError(f"--{next(iter(given))} is about training: add --train or --find-batch.")
    if training and form in ("html", "svg"):
        raise UsageError(f"--{form} has no place for a forecast: use text, --markdown or --json.")
    return AboutTraining(batch=batch, find=find, **given) if training else None


def _read(net: str, classes: int | None, size: str | None) -> Network:
    from striate import zoo

    try:
        return zoo.read(net, classes=classes, input=input_shape(net, size))
    except DesignError as error:
        if error.least is None:
            raise
        sides = "x".join(map(str, error.least))
        raise error.advised(f"choose images of at least {sides} (--input {sides})") from error


def _sheet(network: Network, batch: int) -> Sheet:
    from striate import zoo
    from striate.design import sheet

    found = sheet(network, batch=batch)
    return found.replace(notes=found.notes + zoo.notes(found))


def _form(asked: dict[str, bool], out: Path | None) -> str:
    """Return which form was asked for: by an option, by the file's name, or text."""
    chosen = [form for form, wanted in asked.items() if wanted]
    if len(chosen) > 1:
        raise UsageError(
            f"Expected one of --{', --'.join(asked)}, received --{' and --'.join(chosen)}."
        )
    if chosen or out is None:
        return chosen[0] if chosen else "text"
    if out.suffix not in _BY_SUFFIX:
        known = ", ".join(_BY_SUFFIX)
        raise UsageError(
            f"Expected --out to end in {known}, or an option that says the form, received --out "
            f"{out}: for example --svg."
        )
    return _BY_SUFFIX[out.suffix]


def _rendered(sheet: Sheet, form: str, depth: int | None, every: bool) -> str:
    from striate.design import table

    if form == "markdown":
        return table.markdown(sheet, depth=depth, every=every)
    if form == "html":
        from striate.design.page import html

        return html(sheet, depth=depth, every=every)
    if form == "svg":
        from striate.design.drawing import drawing

        return drawing(sheet, depth=depth, every=every)
    width = shutil.get_terminal_size((120, 40)).columns if sys.stdout.isatty() else 120
    return table.text(sheet, depth=depth, every=every, width=width)


def _headings(networks: list[Network]) -> list[str]:
    """Return the networks' names, those alike numbered in the order they were given."""
    names = [network.name for network in networks]
    return [
        f"{name} {names[: at + 1].count(name)}" if names.count(name) > 1 else name
        for at, name in enumerate(names)
    ]


def _compared(sheets: list[Sheet], headings: list[str], form: str) -> str:
    from striate.design import compare
    from striate.zoo.plot import published

    if form in ("html", "svg"):
        raise UsageError(
            f"Expected one network for --{form}, received {len(sheets)}: --markdown sets several "
            "beside each other."
        )
    known = [published(sheet.network) for sheet in sheets]
    table = compare.comparison(sheets, known, headings)
    return compare.markdown(table) if form == "markdown" else compare.text(table)


def _deliver(document: Any, text: str, form: str, out: Path | None) -> None:
    """Print a result, or write it to a file and say so."""
    if out is None:
        output.show(document, text.rstrip("\n"), form == "json")
        return
    from striate.files import atomic_write
    from striate.records import to_json

    atomic_write(out, to_json(document, indent=2) if form == "json" else text.encode())
    output.show(None, f"Wrote {out}.", as_json=False)


def _plot(names: list[str], file: Path, as_json: bool) -> None:
    from striate.zoo.plot import plot

    if file.suffix not in (".svg", ".png"):
        raise UsageError(f"Expected --plot FILE to end in .svg or .png, received {file}.")
    plot(names).save(file)
    output.show({"plot": str(file)}, f"Wrote {file}.", as_json)


def _spell(
    networks: list[Network], dialect: str, layer: str | None, out: Path | None, as_json: bool
) -> None:
    from striate.design.spelling import spell

    spelled = [spell(network, dialect, layer) for network in networks]
    text = "\n\n".join(each.text() for each in spelled)
    document = spelled[0] if len(spelled) == 1 else spelled
    _deliver(document, text + "\n", "json" if as_json else "text", out)
