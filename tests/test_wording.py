"""Numbers and names in sentences."""

from __future__ import annotations

import pytest

from striate import wording


@pytest.mark.parametrize(
    ("number", "one", "spelled"),
    [
        (0, "image", "0 images"),
        (1, "class", "1 class"),
        (2, "class", "2 classes"),
        (1234, "image", "1,234 images"),
    ],
)
def test_a_count_has_its_noun(number: int, one: str, spelled: str) -> None:
    assert wording.count(number, one) == spelled


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("plain.jpg", "plain.jpg"),
        ("caf\u00e9.jpg", "caf\u00e9.jpg"),
        ("caf\udce9\udcff.jpg", r"caf\xe9\xff.jpg"),
        ("\ud800", r"\ud800"),
    ],
)
def test_a_name_is_spelled_so_that_utf8_can_hold_it(name: str, spelled: str) -> None:
    assert wording.spelled(name) == spelled
    assert wording.spelled(name).encode()


@pytest.mark.parametrize(
    ("seconds", "spelled"),
    [(0.04, "0.0 s"), (9.31, "9.3 s"), (75.4, "1 min 15 s"), (5400, "1 h 30 min")],
)
def test_a_duration_has_its_units(seconds: float, spelled: str) -> None:
    assert wording.duration(seconds) == spelled
