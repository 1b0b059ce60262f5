"""The text form of protocol buffers: what it may look like, and what is no value of a kind."""

from __future__ import annotations

import pytest

from striate.design.pointing import Text
from striate.design.prototxt.message import Message, read_message
from striate.errors import NotationError


def read(text: str) -> Message:
    return read_message(Text(text, "it.prototxt"))


@pytest.mark.parametrize(
    "text",
    [
        "m { a: 1 a: 2 s: 'x' }",
        'm: { a: 1, a: 2; s: "x" }',
        "m < a: [1, 2] s: 'x' >",
        "m { a: [ 1 , 2 ] , s : 'x' } ;",
        "# first\nm { # second\na: 1\na: 2 # third\n s: 'x'}\n# last",
        "m{a:1a:2s:'x'}".replace("1a", "1 a").replace("2s", "2 s"),
        "m: [{ a: 1 a: 2 s: 'x' }]",
    ],
)
def test_one_message_in_many_forms(text: str) -> None:
    message = read(text).message("m")
    assert message.integers("a") == [1, 2] and message.integer("a", 7) == 2
    assert message.string("s") == "x"
    assert message.integer("b", 7) == 7 and message.string("b", "d") == "d"
    assert message.has("b", "s") and not message.has("b")


def test_messages_in_a_list_keep_their_order() -> None:
    shapes = read("shape: [{ dim: 1 }, < dim: 2 >, { }]").messages("shape")
    assert [each.integers("dim") for each in shapes] == [[1], [2], []]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"two" "parts"', "twoparts"),
        ("'one' # why\n'two'", "onetwo"),
        (r'"a \"quoted\" word"', 'a "quoted" word'),
        (r"'back\\slash'", "back\\slash"),
        ("word", "word"),
        ("''", ""),
    ],
)
def test_strings(text: str, value: str) -> None:
    assert read(f"s: {text}").string("s", "none") == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("-1", -1), ("- 1", -1), ("+3", 3), ("0x10", 16), ("10000000", 10_000_000)],
)
def test_integers(text: str, value: int) -> None:
    assert read(f"i: {text}").integer("i", 0, -1) == value


@pytest.mark.parametrize("text", ["1.5", "'1'", "one", "10000001", "-2", "1e3", "9" * 5000, "0x"])
def test_what_is_no_integer(text: str) -> None:
    with pytest.raises(NotationError, match="i to be a whole number from -1 to 10,000,000, recei"):
        read(f"i: {text}").integer("i", 0, -1)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1.0), ("-.5", -0.5), ("1e-4", 1e-4), ("0.01f", 0.01), ("2F", 2.0), ("- 3", -3.0)],
)
def test_numbers(text: str, value: float) -> None:
    assert read(f"n: {text}").number("n", 7.0) == value


@pytest.mark.parametrize("text", ["one", "'1'", "nan", "inf", "-inf", "f", "1e999"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(
        NotationError, match="expected n to be a number, received .?" + text.strip("'")
    ):
        read(f"n: {text}").number("n", 7.0)


def test_flags() -> None:
    for text, value in (("true", True), ("True", True), ("t", True), ("1", True)):
        assert read(f"b: {text}").flag("b", not value) is value
    for text, value in (("false", False), ("FALSE", False), ("f", False), ("0", False)):
        assert read(f"b: {text}").flag("b", not value) is value
    assert read("").flag("b", True) and not read("").flag("b", False)
    for text in ("yes", "2", "'true'"):
        with pytest.raises(NotationError, match="expected true or false, received b: "):
            read(f"b: {text}").flag("b", True)


def test_one_of_several_words() -> None:
    assert read("c: MAX").choice("c", "AVE", ("MAX", "AVE")) == "MAX"
    assert read("").choice("c", "AVE", ("MAX", "AVE")) == "AVE"
    with pytest.raises(NotationError, match="expected c to be MAX or AVE, received MIN"):
        read("c: MIN").choice("c", "AVE", ("MAX", "AVE"))


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a: 1\nb: { c: }", 2, 9, "expected a value, received '}'"),
        ("a: 1\n\n  $", 3, 3, "expected the name of a field, received '\\$'"),
        ("a {\n b: 1\n", 1, 3, "expected '}' to close this"),
        ("a: [1,\n2", 1, 4, "expected ']' to close this list"),
        ("a: [1\n2]", 2, 1, "expected ',' or ']' in this list"),
        ("a: 'x\n'", 1, 4, "expected a closing ' on the same line"),
        ("a", 1, 2, "expected ':' or '{' after a, received 'the end'"),
        ("a [1]", 1, 3, "expected ':' or '{' after a"),
        ("a:", 1, 3, "expected a value, received 'the end'"),
    ],
)
def test_what_is_no_message(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(NotationError, match=message) as caught:
        read(text)
    assert (caught.value.line, caught.value.column) == (line, column)


def test_a_plain_value_and_a_message_are_told_apart() -> None:
    with pytest.raises(NotationError, match="expected a: with a plain value"):
        read("a { }").one("a")
    with pytest.raises(NotationError, match="expected a { ... }"):
        read("a: 3").messages("a")


def test_fields_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.design.prototxt.message._MOST_FIELDS", 10)
    assert len(read("a: 1 " * 10).fields) == 10
    with pytest.raises(NotationError, match="expected at most 10 fields"):
        read("a { " * 3 + "b: 1 " * 8 + "}" * 3)


def test_forty_braces_in_one_another_are_read_and_no_more() -> None:
    read("a { " * 40 + "}" * 40)
    with pytest.raises(NotationError, match="expected at most 40 braces in one another") as caught:
        read("a { " * 41 + "}" * 41)
    assert caught.value.column == 4 * 40 + 4
