"""The tree of errors: drawn as it is, and messages that say what to do."""

from __future__ import annotations

import inspect

import pytest

from striate import errors
from striate.errors import DesignError, MissingExtra, StriateError, UnknownName

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value)]


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_every_error_hangs_where_the_drawing_has_it(error: type) -> None:
    assert errors.__doc__ is not None and issubclass(error, StriateError)
    drawing = errors.__doc__.splitlines()
    depth = {
        name: line.index(name) for line in drawing for name in [error.__name__] if name in line
    }
    parent = error.__bases__[0]
    if parent is not Exception:
        above = next(line for line in drawing if parent.__name__ in line.split())
        assert depth[error.__name__] > above.index(parent.__name__)


@pytest.mark.parametrize(
    ("nearest", "message"),
    [
        ((), "There is no network named 'resnet'. Known: all."),
        (("a",), "There is no network named 'resnet'. Did you mean a? Known: all."),
        (
            ("a", "b", "c"),
            "There is no network named 'resnet'. Did you mean a, b or c? Known: all.",
        ),
    ],
)
def test_an_unknown_name_offers_the_nearest(nearest: tuple[str, ...], message: str) -> None:
    error = UnknownName("network", "resnet", nearest, "Known: all.")
    assert str(error) == message and error.nearest == nearest


def test_a_missing_extra_gives_the_line_that_installs_it() -> None:
    error = MissingExtra("export", "onnx", "export")
    assert str(error).endswith('which is not installed: pip install "striate[export]"')


@pytest.mark.parametrize(
    ("problem", "fixes", "message"),
    [
        ("a does not fit", (), "a does not fit."),
        ("a does not fit.", (), "a does not fit."),
        ("a does not fit", ("feed 3x3", "set padding=1"), "a does not fit: feed 3x3 or set pad"),
    ],
)
def test_a_design_error_ends_with_a_full_stop(
    problem: str, fixes: tuple[str, ...], message: str
) -> None:
    error = DesignError(problem, fixes=fixes)
    assert str(error).startswith(message) and str(error).endswith(".")
    assert error.problem == problem
