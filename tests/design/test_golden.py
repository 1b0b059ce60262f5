"""What design/ writes, to the letter: sheets, drawings, Caffe's and others' words, forecasts.

Other tests hold numbers to papers and to built modules. These hold all that is written to what it
was when somebody last read it, in `tests/golden/design/`: a change that is wanted is written down
anew, and read in the difference of the commit:

    STRIATE_GOLDEN=write pytest tests/design/test_golden.py
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.layers.test_kinds import EXAMPLES
from tests.layers.test_kinds import network as of_kind

from striate import zoo
from striate.design import (
    Layer,
    Network,
    compare,
    crop,
    deepened,
    question,
    receptive_fields,
    sheet,
    table,
    widened,
)
from striate.design.drawing import drawing
from striate.design.forecast import forecast, largest_batch
from striate.design.keeping import kept
from striate.design.memory import peak
from striate.design.notation import parse, to_notation
from striate.design.page import html
from striate.design.prototxt import to_prototxt
from striate.design.spelling import DIALECTS, spell
from striate.errors import StriateError
from striate.records import to_json

PLACE = Path(__file__).parents[1] / "golden" / "design"
NOTATION = (
    "conv5-16p2 relu LRN(5, 1e-4, 0.75, 2) maxpool3/2 dropout(0.3) "
    "conv3-32 tanh avgpool2 FC-50 sigmoid gaussian noise(0.1) FC-10"
)
QUESTIONS = (
    "W=32 F=5 S=1 P=?",
    "W=227 F=11 S=4 P=0",
    "W=7 F=3 S=3 P=1",
    "F=3 S=2 P=?",
    "W=? F=3 P=1",
)


def said(write: Callable[[], object]) -> str:
    """Return what is written, or what is said instead."""
    try:
        made = write()
    except StriateError as error:
        return f"{type(error).__name__}: {error}"
    return made if isinstance(made, str) else to_json(made).decode()


def spelled(network: Network) -> str:
    each = {dialect: said(lambda d=dialect: spell(network, d).text()) for dialect in DIALECTS}
    return "\n\n".join(f"-- {dialect}\n{text}" for dialect, text in each.items())


def tables(network: Network) -> str:
    found = sheet(network, batch=2)
    ways = (
        table.text(found),
        table.text(found, every=True, width=70),
        table.text(found, depth=1),
        table.markdown(found),
        compare.text(compare.comparison([found, sheet(zoo.network("lenet"))])),
        compare.markdown(compare.comparison([found, sheet(zoo.network("lenet"))], ("1%", "2%"))),
    )
    return "\n\n".join(ways)


def memory(network: Network) -> str:
    lines = [f"peak {peak(network)}"]
    for optimiser in ("sgd", "adam"):
        for precision in ("float32", "bfloat16"):
            made = forecast(network, batch=3, optimiser=optimiser, precision=precision)
            lines.append(f"{optimiser} {precision} {to_json(made).decode()}")
    lines.append(f"most {largest_batch(network, 1 << 30)}")
    return "\n".join(lines)


def changed(network: Network) -> str:
    changes: dict[str, Callable[[], Network]] = {
        "one deeper": lambda: deepened(network, 1),
        "one shallower": lambda: deepened(network, -1),
        "wider": lambda: widened(network, 1.5),
        "other classes": lambda: network.with_classes(3)[0],
        "convolutional": lambda: network.convolutional()[0],
    }
    return "\n\n".join(
        f"-- {name}\n{said(lambda m=make: table.text(sheet(m()), every=True))}"
        for name, make in changes.items()
    )


def looked(network: Network) -> str:
    lines = []
    for name, field in receptive_fields(network).items():
        middle = tuple(size // 2 for size in network.shapes()[name][1:])
        box = said(lambda n=name, at=middle: str(crop(network, n, at)))
        lines.append(f"{name} {to_json(field).decode()} {box}")
    return "\n".join(lines)


FORMS: dict[str, Callable[[Network], str]] = {
    "changed": changed,
    "drawing": lambda network: drawing(sheet(network)),
    "memory": memory,
    "notation": lambda network: said(lambda: to_notation(network)),
    "page": lambda network: html(sheet(network)),
    "prototxt": lambda network: said(lambda: to_prototxt(network)),
    "seen": looked,
    "sheet": lambda network: to_json(sheet(network)).decode().replace("},{", "},\n{"),
    "spelled": spelled,
    "tables": tables,
}
NETWORKS: dict[str, Callable[[], Network]] = {
    "lenet5_1998": lambda: zoo.network("lenet5_1998"),
    "alexnet_grouped": lambda: zoo.network("alexnet_grouped"),
    "mobilenet_v1": lambda: zoo.network("mobilenet_v1"),
    "neocognitron": lambda: zoo.network("neocognitron"),
    "notation": lambda: parse(NOTATION, input=(3, 32, 32)),
    "resnet20": lambda: zoo.network("resnet20"),
    "resnet20_b": lambda: zoo.network("resnet20_b"),
    "squeezenet1_1": lambda: zoo.network("squeezenet1_1"),
}


def one_of_each() -> str:
    """Return what is said of each kind of layer by itself."""
    lines = []
    for kind in EXAMPLES:
        network = of_kind(kind)
        row = sheet(network).layers[0]
        shapes = [each.shape for each in network.inputs]
        lines += [
            f"== {kind}",
            to_json(network).decode(),
            to_json(row).decode(),
            f"kept {kept(network.layers[0], *shapes)} peak {peak(network)}",
            said(lambda n=network: to_notation(n)),
            said(lambda n=network: to_prototxt(n)),
            spelled(network),
            looked(network),
            said(lambda n=network: drawing(sheet(n))),
        ]
    return "\n".join(lines)


SHAPES = ((5,), (1, 9, 8), (3, 9, 8), (4, 1, 1), (4, 2, 2), (4, 9), (6, 5, 5, 5))


def others(value: object) -> list[object]:
    """Return values beside one, at the edges of what a layer takes and beyond them."""
    if isinstance(value, int) and not isinstance(value, bool):
        return [-1, 0, 1, value + 1]
    if isinstance(value, float):
        return [-0.5, 0.0, 1.0, 2.0]
    if isinstance(value, tuple) and value and isinstance(value[0], int):
        return [(0, *value[1:]), (-1, *value[1:]), value[:1], value + value, (1,) * len(value)]
    if isinstance(value, tuple) and value:
        return [((-1, 0), *value[1:]), ((0, 0), *value[1:]), ((2, 3), *value[1:]), value + value]
    return []


def at_its_edges(kind: str) -> str:
    """Return what a kind makes of other fields and other images, or why it refuses them."""
    good = of_kind(kind)
    layer = good.layers[0]

    def told(layer: Callable[[], Layer], *shapes: tuple[int, ...]) -> str:
        def counted() -> str:
            made = layer()
            sizes = [each.size for each in made.parameters(*shapes)]
            return f"{made.output(*shapes)} {sizes} {made.macs(*shapes)}"

        try:
            return said(counted)
        except (ValueError, TypeError, IndexError, ArithmeticError) as error:
            return type(error).__name__  # a value of another type, which no document can hold

    shapes = [each.shape for each in good.inputs]
    lines = [f"== {kind}"]
    for field in layer.__struct_fields__:
        for value in others(getattr(layer, field)):
            made = told(lambda f=field, v=value: layer.replace(**{f: v}), *shapes)
            lines.append(f"{field}={value}: {made}")
    lines += [f"{shape}: {told(lambda: layer, *[shape] * len(shapes))}" for shape in SHAPES]
    return "\n".join(lines)


def golden(name: str, written: str) -> str:
    """Return the text that is kept under a name; the one just written where that is wanted."""
    path = PLACE / f"{name}.txt"
    if os.environ.get("STRIATE_GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(written + "\n", encoding="utf-8")
    return path.read_text(encoding="utf-8").removesuffix("\n")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_written_is_what_was_read(name: str, form: str) -> None:
    written = FORMS[form](NETWORKS[name]())
    assert written == golden(f"{name}.{form}", written)


def test_what_is_said_of_each_kind_is_what_was_read() -> None:
    written = one_of_each()
    assert written == golden("kinds", written)


def test_what_a_kind_takes_and_refuses_is_what_was_read() -> None:
    written = "\n\n".join(at_its_edges(kind) for kind in EXAMPLES)
    assert written == golden("edges", written)


def test_questions_are_answered_as_they_were() -> None:
    answers = [
        said(lambda w=words: question.answer(question.read_question(w.split())).text)
        for words in QUESTIONS
    ]
    both = zip(QUESTIONS, answers, strict=True)
    written = "\n\n".join(f"-- {asked}\n{answer}" for asked, answer in both)
    assert written == golden("questions", written)
