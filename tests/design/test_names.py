"""What values may be called, and who may read whom."""

from __future__ import annotations

import pytest
from torch import nn

from striate.design import DesignError, Input, Network, Output, Sketch
from striate.design.names import MODULE_ATTRIBUTES


def test_every_module_attribute_is_refused() -> None:
    public = {name for name in dir(nn.Module()) if not name.startswith("_")}
    assert public <= MODULE_ATTRIBUTES
    net = Sketch("t", (3, 8, 8))
    net.conv("half", 4, 3)
    with pytest.raises(DesignError, match="'half' is taken by nn.Module"):
        net.finish()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a", "a"), "two values are called 'a'"),
        (("a", "a.b"), "'a' is a layer and cannot hold 'a.b'"),
        (("s.a", "t.b", "s.c"), "The layers of 's' are not together: 's.c' comes after others"),
        (("a-b",), "'a-b' cannot name a module"),
        (("a.b.c", "a.d", "a.b.e"), "The layers of 'a.b' are not together: 'a.b.e' comes after"),
        (("a.b", "a.b.c"), "'a.b' is a layer and cannot hold 'a.b.c'"),
        (("a.b.c", "a.b"), "'a.b' is a layer and cannot hold 'a.b.c'"),
        (("class",), "'class' cannot name a module"),
        (("a\nimport os",), "cannot name a module"),
        (("stage.relu ",), "cannot name a module"),
        (("stage..relu",), "cannot name a module"),
        (("\ufb01",), "cannot name a module"),  # an identifier that Python reads as "fi"
    ],
)
def test_names(names: tuple[str, ...], message: str) -> None:
    net = Sketch("t", (3, 8, 8))
    for name in names:
        net.relu(name)
    with pytest.raises(DesignError, match=message):
        net.finish()


def vector() -> Sketch:
    net = Sketch("t", (3,))
    net.linear("fc", 7)
    return net


@pytest.mark.parametrize("name", ['a": print() or "', "", "a b", "logits"])
def test_output_names(name: str) -> None:
    with pytest.raises(DesignError, match="cannot name an output|two outputs are called"):
        vector().finish(Output(name=name, source="fc", train_only=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": ("x", "x")}, "r expected 1 input, received 2"),
        ({"inputs": ()}, "r expected 1 input, received 0"),
        ({"shares": "late"}, "shares the parameters of 'late', which no earlier layer is"),
        ({"inputs": ("y",)}, "r reads 'y', which no input or earlier layer gives"),
        ({"name": "_r"}, "'_r' cannot name a module: '_r' is no identifier"),
        ({"name": "a._r"}, "'a._r' cannot name a module"),
        ({"name": "x"}, "two values are called 'x'"),
    ],
)
def test_what_a_layer_cannot_read_or_be_called(change: dict[str, object], message: str) -> None:
    net = Sketch("t", (3, 8, 8))
    net.relu("r")
    net.layers[0] = net.layers[0].replace(**change)
    net.last = net.layers[0].name
    with pytest.raises(DesignError, match=message):
        net.finish()


@pytest.mark.parametrize("name", ["a.b", "x y", "y"])
def test_inputs_have_plain_names_of_their_own(name: str) -> None:
    inputs = (Input(name="y", shape=(3, 8, 8)), Input(name=name, shape=(3, 8, 8)))
    layer = Sketch("t", (3, 8, 8))
    layer.relu("r", of="y")
    with pytest.raises(DesignError, match="a plain, new input name|cannot name a module"):
        Network(
            name="t", inputs=inputs, layers=tuple(layer.layers),
            outputs=(Output(name="logits", source="r"),),
        )  # fmt: skip
