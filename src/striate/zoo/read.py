"""One place that turns whatever a user writes for NET into a Network.

In this order, so that a command means the same in every folder:

1. a registered name, alone or with knobs: `vgg16`, `mlp(hidden=(100, 100))`. A file or folder of
   that name is `./vgg16`;
2. a path that exists: a folder is a run; a file is read by what is in it, a `network.json`, a
   Caffe prototxt, or paper notation. A `.py` is refused: nothing here runs anybody's Python;
3. what looks like a path, because it ends in `.prototxt`, `.json`, `.txt` or `.py` or starts with
   `./`, `../`, `/` or `~`: said to be missing;
4. paper notation, whose first word is a layer: `conv3-64 maxpool FC-10`, `[(CONV-RELU)*2-POOL]*3`;
5. anything else is unknown; the answer has the nearest registered names.

A Network is taken as it is. What a prototxt or a text with notation does not call itself, the name
of its file does. A number of classes and an input size are applied to all of them, as for
registered names. Where notation, a file or a run says another number, the last layer's note
says so (`other_classes`).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from striate.design import Network
from striate.design.edits import classifiers
from striate.design.question import is_question
from striate.errors import (
    DesignError,
    NotationError,
    RecordError,
    RunError,
    UnknownName,
    UsageError,
)
from striate.records import from_json, nearest
from striate.zoo import registry

_ACCEPTED = (
    "A network is a registered name (`striate models` lists all), name(knob=value), paper "
    "notation (conv3-64 maxpool FC-10), a *.prototxt, a network.json, or a run folder."
)
_NAME = re.compile(r"\s*([A-Za-z_]\w*)\s*(\(.*\))?\s*", re.DOTALL)
_ONE_WORD = re.compile(r"\s*[\w.+-]+\s*(\([^)]*=.*\))?\s*", re.DOTALL)
_LIKE_A_PATH = re.compile(r"(\.{1,2}[/\\]|[/~]).*|[^\n]*\.(prototxt|json|txt|pt|py)", re.DOTALL)
_WRITTEN_FOR = re.compile(r"written for (\d+) classes, given (\d+)")
_MOST_BYTES = 64 * 2**20
_WRITE = 'network.save("own.json") in Python writes one, a module\'s by striate.describe first'


def read(
    spec: str | Network, *, classes: int | None = None, input: tuple[int, ...] | None = None
) -> Network:
    """Read a network from anything that names, writes or holds one.

    Args:
        spec: a registered name, `name(knob=value)`, paper notation, the path of a prototxt, of a
            network.json or of a text with notation, or a run folder; or a Network.
        classes: number of classes; its own unless given.
        input: (channels, height, width); its own unless given.

    Raises:
        UnknownName: nothing of all that; carries the nearest registered names.
        UsageError: neither text nor a Network.
        NotationError: notation or a prototxt with a mistake; points at it.
        DesignError: layers that do not fit, an input that is too small, a file that is missing.
        RecordError: a network.json that is none.
        RunError: a folder that is no run.

    Example:
        >>> read("lenet", classes=7).classes
        7
        >>> read("conv3-8 maxpool FC", classes=5, input=(1, 28, 28)).parameter_count()
        7925
    """
    if isinstance(spec, Network):
        return _applied(spec, classes, input)
    if not isinstance(spec, str):
        raise UsageError(
            f"Expected a network as text or a Network, received a {type(spec).__name__}: "
            "striate.describe(module, (channels, height, width)) gives the Network of an nn.Module."
        )
    named = _NAME.fullmatch(spec)
    if named and named[1] in registry.names():
        return registry.network(spec.strip(), classes=classes, input=input)
    path = _existing(spec)
    if path is not None:
        return _from_path(path, classes, input)
    if _LIKE_A_PATH.fullmatch(spec.strip()):
        raise DesignError(f"There is no file or folder {spec.strip()[:200]!r}. {_ACCEPTED}")
    if is_question(spec.split()[:1]):
        raise DesignError(
            f"{spec.split()[0]} asks about a lone layer, and such a question stands by itself: "
            f"striate design W=32 F=5 S=2 P=?. {_ACCEPTED}"
        )
    return _from_words(spec, classes, input)


def _existing(spec: str) -> Path | None:
    if not spec.strip() or len(spec) > 4096 or "\0" in spec or "\n" in spec:
        return None
    try:
        path = Path(spec.strip()).expanduser()
        return path if path.exists() else None
    except (OSError, RuntimeError):  # a name too long, an unknown home
        return None


def _from_path(path: Path, classes: int | None, shape: tuple[int, ...] | None) -> Network:
    if path.is_dir():
        from striate import runs

        try:
            network = runs.open(path).network()
        except RunError as error:
            known = "" if (path / "run.json").exists() else f" {_ACCEPTED}"
            raise RunError(f"{error}{known}") from error
        return _applied(network, classes, shape)
    if path.stat().st_size > _MOST_BYTES:
        raise DesignError(f"{path}: expected a network on paper, received over 64 MiB.")
    if path.suffix == ".py":
        raise DesignError(f"{path}: no Python file is run. NET takes a network's file: {_WRITE}.")
    data = path.read_bytes()
    if path.suffix == ".json" or data.lstrip()[:1] == b"{":
        return _applied(_saved(data, path), classes, shape)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DesignError(
            f"{path}: expected a prototxt, a network.json or notation, received binary data."
        ) from None
    if path.suffix == ".prototxt" or re.search(r"\blayers?\s*:?\s*\{", text):
        from striate.design import prototxt

        read = prototxt.parse(text, input=shape, name=_stem(path, "caffe"), source=str(path))
        return _applied(read, classes, None)
    return _notation(text, classes, shape, str(path), _stem(path, "notation"))


def _stem(path: Path, otherwise: str) -> str:
    """Return what a network is called that does not say so: as its file, in letters for a path."""
    return re.sub(r"[^\w.-]+", "_", path.stem).strip("._")[:80] or otherwise


def _saved(data: bytes, path: Path) -> Network:
    """Decode a network.json; a sheet, which `--out` of `design` writes, is said to be one."""
    try:
        return from_json(Network, data, str(path))
    except RecordError as error:
        if not _is_sheet(data):
            raise
        raise RecordError(
            f"{path} is the sheet of a network, figures that no network can be made of again; "
            f"expected a network's file: {_WRITE}."
        ) from error


def _is_sheet(data: bytes) -> bool:
    try:
        document: Any = json.loads(data)
    except (ValueError, RecursionError):
        return False
    first = document[0] if isinstance(document, list) and document else document
    return isinstance(first, dict) and {"network", "layers", "totals"} <= first.keys()


def _from_words(spec: str, classes: int | None, shape: tuple[int, ...] | None) -> Network:
    """Read notation; a single word that is none was meant as a name."""
    try:
        return _notation(spec, classes, shape)
    except NotationError as error:
        word = spec.partition("(")[0].strip()
        close = nearest(word, registry.names())
        no_layer = "expected a layer" in str(error)  # and not: a layer with a wrong number
        unknown = no_layer and error.column == 1 and error.line == 1 and _ONE_WORD.fullmatch(spec)
        if unknown or (close and _ONE_WORD.fullmatch(spec)) or not spec.strip():
            raise UnknownName("network", word[:60], close, _ACCEPTED) from None
        raise


def _notation(
    text: str,
    classes: int | None,
    shape: tuple[int, ...] | None,
    source: str = "notation",
    name: str = "notation",
) -> Network:
    from striate.design import notation

    network = notation.parse(text, classes=classes, input=shape, name=name, source=source)
    return _applied(network, classes, None)


def _applied(network: Network, classes: int | None, shape: tuple[int, ...] | None) -> Network:
    """Give a network the number of classes and the input of the data."""
    if classes is not None and network.classes != classes:
        network = _refitted(network, classes)
    return network if shape is None else network.with_input(shape)


def _refitted(network: Network, classes: int) -> Network:
    """Return a network for another number of classes than it was written for, and note that."""
    said = f"written for {network.classes} classes, given {classes}"
    changed, last = network.with_classes(classes)[0], classifiers(network)
    layers = tuple(
        each.replace(note=f"{each.note}; {said}" if each.note else said)
        if each.name in last
        else each
        for each in changed.layers
    )
    return changed.replace(layers=layers)


def other_classes(network: Network) -> str:
    """Return, as a sentence, that a network read was written for other classes; "" if it was not.

    Example:
        >>> other_classes(read("conv3-8 FC-12", classes=10))
        'The network was written for 12 classes (fc1); it is given 10, as many as the data has.'
    """
    for layer in network.layers:
        if found := _WRITTEN_FOR.findall(layer.note):
            before, now = found[-1]
            return (
                f"The network was written for {before} classes ({layer.name}); it is given {now}, "
                "as many as the data has."
            )
    return ""
