"""From names that a file may hold to module paths."""

from __future__ import annotations

import pytest

from striate.design.pointing import Text
from striate.design.prototxt.entries import Entry, entries_of, identifier, module_names
from striate.design.prototxt.message import read_message
from striate.errors import NotationError


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("conv1", "conv1"),
        ("1x1", "conv_1x1"),
        ("12", "12"),  # a number alone is one, as in features.0
        ("a-b c", "a_b_c"),
        ("_hidden", "hidden"),
        ("__", "conv_"),
        ("", "conv_"),
        ("class", "class_"),
        ("train", "train_"),
        ("\u00e9t\u00e9", "t_"),
        ("3-d", "conv_3_d"),
    ],
)
def test_a_part_of_a_name(part: str, name: str) -> None:
    assert identifier(part, "conv") == name


def names(*layers: str, taken: tuple[str, ...] = ()) -> list[str]:
    text = "".join(
        f'layer {{ name: "{each}" type: "{kind}" bottom: "x" }} '
        for each, _, kind in (layer.partition(":") for layer in layers)
    ).replace('type: ""', 'type: "ReLU"')
    found, _ = entries_of(read_message(Text(text, "it")), "TRAIN")
    return module_names(found, set(taken))


@pytest.mark.parametrize(
    ("written", "made"),
    [
        (("a/b", "a/c"), ["a.b", "a.c"]),
        (("a/b", "x", "a/c"), ["a_b", "x", "a_c"]),  # not together
        (("a", "a/b"), ["a", "a_b"]),  # a layer is no scope
        (("a/b", "a"), ["a_b", "a"]),
        (("a/b/c", "a/b/d", "a/e"), ["a.b.c", "a.b.d", "a.e"]),
        (("a/b/c", "a/d", "a/b/e"), ["a.b_c", "a.d", "a.b_e"]),
        (("a/b/c", "z", "a/b/d"), ["a_b_c", "z", "a_b_d"]),
        (("r", "r", "r"), ["r", "r_2", "r_3"]),
        (("r", "r_2", "r"), ["r", "r_2", "r_3"]),
        (("1x1:Convolution", "1x1:Pooling"), ["conv_1x1", "pool_1x1"]),
        (("1x1:InnerProduct", "1x1:LRN", "1x1:Sigmoid"), ["fc_1x1", "norm_1x1", "sigmoid_1x1"]),
        (("/:Convolution",), ["conv"]),
        (("a//b/",), ["a.b"]),
    ],
)
def test_module_paths(written: tuple[str, ...], made: list[str]) -> None:
    assert names(*written) == made


def test_names_of_inputs_are_taken() -> None:
    assert names("data", "data_2", taken=("data",)) == ["data_2", "data_2_2"]


def test_a_layer_without_a_name_is_called_as_its_type() -> None:
    assert names(":TanH", ":ReLU") == ["tanh", "relu"]


def test_an_error_points_at_the_field_or_the_layer() -> None:
    text = 'layer { name: "it"\ntype: "ReLU"\ntop: "x" }'
    (entry,), _ = entries_of(read_message(Text(text, "it")), "TRAIN")
    assert isinstance(entry, Entry)
    for field, line in (("type", 2), ("top", 3), ("name", 1), ("bottom", 1)):
        error = entry.error("no.", field)
        assert isinstance(error, NotationError)
        assert error.line == line and "layer 'it' (ReLU): no." in str(error)
