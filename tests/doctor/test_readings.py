"""How checks are read: with a unit each, and what was expected in the same one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from striate import doctor
from striate.doctor import readings

Band = tuple[float | None, float | None]


def check(name: str, measured: float | None, band: Band | None = None) -> doctor.Check:
    return doctor.Check(
        check=name,
        measured=measured,
        expected="something & more",
        band=band,
        verdict="pass",
        meaning="it is so",
    )


def test_every_check_of_ours_has_a_unit() -> None:
    source = "".join(path.read_text("utf-8") for path in Path(doctor.__file__).parent.glob("*.py"))
    named = set(re.findall(r'\bcheck="(\w+)"', source)) | set(re.findall(r'"(beats_\w+)"', source))
    assert len(named) > 20 and named == set(readings._UNITS)


@pytest.mark.parametrize(
    ("name", "measured", "band", "said"),
    [
        ("regularised_loss", 1.936e6, (0.0, None), ("1.936e+06 nats of penalty", "above 0")),
        ("images_matter", 1.583, None, ("answers 1.583 apart", "0 only at a zero start")),
        ("beats_shuffled_pixels", 0.02, (0.09, 1.0), ("2% more right", "over 9%, which is luck")),
        ("initial_loss", 1.8, (1.5, 2.0), ("1.8 nats", "1.5 to 2")),
        ("overfits_few", 1.0, (1.0, 1.0), ("100% of images right", "100%")),
        ("order_varies", 1.04, (0.5, None), ("1.04 of chance's classes", "at least 0.5")),
        ("dead_units", 0.083, (0.0, 0.4), ("8% of features silent", "at most 40%")),
        ("augmentation_varies", 1.0, (0.0625, 1.0), ("100% of images changed", "at least 6%")),
        ("no_leak", 0.0, (0.0, 0.0), ("a gradient of 0", "0")),
        ("loaded_whole", None, None, ("", "")),
        ("of_somebodys_own", 3.25, None, ("3.25", "something & more")),
    ],
)
def test_a_number_stands_in_its_unit_beside_what_was_expected(
    name: str, measured: float | None, band: Band | None, said: tuple[str, str]
) -> None:
    assert doctor.reading(check(name, measured, band)) == said


def test_checks_are_a_section_of_a_page() -> None:
    failed = check("of_somebodys_own", 3.25).replace(verdict="fail", fix="do that")
    html = doctor.section("with <net>", "fail", [check("dead_units", 0.1, (0.0, 0.4)), failed])
    assert "with &lt;net&gt;" in html and "<td>10% of features silent</td>" in html
    assert "something &amp; more" in html and "It is so. To do: do that." in html.replace(
        "it is", "It is"
    )
