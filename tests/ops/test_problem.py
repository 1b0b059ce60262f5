"""What is no convolution is refused by all algorithms in the same words."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from striate.errors import UnknownName, UsageError
from striate.ops import ALGORITHMS, Problem, conv2d, packed, windows, winograd

OURS = [name for name in ALGORITHMS if name != "direct"]


def given(name: str) -> dict[str, Any]:
    """Return what every algorithm takes: for filters of single channels, as many groups."""
    torch.manual_seed(0)
    groups = 8 if name == "depthwise" else 1
    x, weight = torch.randn(2, 8, 9, 9), torch.randn(8, 8 // groups, 3, 3)
    return {"x": x, "weight": weight, "bias": torch.randn(8), "groups": groups}


def refused(name: str, change: dict[str, Any]) -> str:
    """Return what is said of a call with something changed."""
    with pytest.raises(UsageError) as caught:
        conv2d(**{**given(name), **change}, algorithm=name)
    return str(caught.value)


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "negative padding": ({"padding": -1}, "of at least 0, received padding=-1, -1, -1, -1"),
    "one side negative": ({"padding": ((1, -1), (0, 0))}, ""),
    "no stride": ({"stride": 0}, "stride=0, 0"),
    "no dilation": ({"dilation": 0}, "dilation=0, 0"),
    "no groups": ({"groups": 0}, "groups=0"),
    "three groups": ({"groups": 3}, "8 channels of x and the 8 features of the weight"),
    "half a stride": ({"stride": 1.5}, "stride=1.5"),
    "three paddings": ({"padding": (1, 2, 3)}, "padding=(1, 2, 3)"),
    "a word": ({"padding": "sane"}, "'same' or 'valid' as padding, received padding='sane'"),
    "same with a stride": ({"padding": "same", "stride": 2}, "stride=1 with padding='same'"),
    "groups in two": ({"groups": (1, 2)}, "groups=(1, 2)"),
    "an array": ({"x": np.zeros((2, 8, 9, 9), "float32")}, "torch.as_tensor(x)"),
    "no weight": ({"weight": None}, "tensor as weight, received NoneType"),
    "one image": ({"x": torch.zeros(8, 9, 9)}, "x[None]"),
    "another bias": ({"bias": torch.zeros(7)}, "bias=(7,)"),
    "a bias for all": ({"bias": torch.zeros(1)}, "8 features, received bias=(1,)"),
    "double x": ({"x": torch.zeros(2, 8, 9, 9).double()}, "weight.to(x)"),
    "double bias": ({"bias": torch.zeros(8).double()}, "bias=torch.float64 on cpu: bias.to(x)"),
    "bias elsewhere": ({"bias": torch.zeros(8, device="meta")}, "bias=torch.float32 on meta"),
    "a filter too large": ({"x": torch.zeros(2, 8, 2, 9)}, "size=(2, 9)"),
    "much too large": ({"x": torch.zeros(2, 8, 1, 1)}, "pad more"),
    "dilated too far": ({"dilation": 5}, "dilation=(5, 5)"),
    "no pixels": ({"x": torch.zeros(2, 8, 0, 9), "padding": 2}, "size=0, 9"),
    "no filters": ({"weight": torch.zeros(0, 8, 3, 3), "bias": None}, "features=0"),
    "no taps": ({"weight": torch.zeros(8, 8, 0, 3)}, "kernel=0, 3"),
    "other channels": ({"x": torch.zeros(2, 16, 9, 9)}, "x=(2, 16, 9, 9)"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_all_algorithms_refuse_alike(mistake: str) -> None:
    change, text = MISTAKES[mistake]
    said = {refused(name, change) for name in ALGORITHMS if name != "depthwise"}
    assert len(said) == 1
    assert all("Expected" in each and "received" in each and ":" in each for each in said)
    assert text in said.pop()
    refused("depthwise", change)


@st.composite
def arguments(draw: st.DrawFn) -> dict[str, Any]:
    """Draw what may be a convolution, or nearly one."""
    groups = draw(st.sampled_from([1, 1, 1, 2, 4, 0]))
    channels, size = draw(st.sampled_from([4, 4, 8])), st.integers(1, 7)
    filters = (draw(st.sampled_from([4, 4, 8, 3])), draw(st.sampled_from([channels, 1, 2])))
    x = torch.randn(draw(st.integers(0, 2)), channels, draw(size), draw(size))
    weight = torch.randn(*filters, *draw(st.sampled_from([(3, 3), (3, 3), (1, 5), (2, 3)])))
    pair = st.tuples(st.integers(-1, 2), st.integers(0, 2))
    return {
        "x": x,
        "weight": weight,
        "bias": draw(st.sampled_from([None, torch.randn(filters[0]), torch.randn(3)])),
        "stride": draw(st.sampled_from([1, 1, 2, (1, 2), 0])),
        "padding": draw(st.one_of(pair, st.integers(0, 2), st.sampled_from(["same", "valid"]))),
        "dilation": draw(st.sampled_from([1, 1, 1, 2, 0])),
        "groups": groups,
    }


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@settings(max_examples=100, deadline=None)
@drawn(arguments())
def test_whatever_is_asked_is_torchs_answer_or_a_sentence(values: dict[str, Any]) -> None:
    expected = None
    with contextlib.suppress(RuntimeError, IndexError, ZeroDivisionError):
        expected = functional.conv2d(**values)
    for name in ALGORITHMS:
        try:
            found = conv2d(**values, algorithm=name)
        except UsageError as error:
            beyond = f"for algorithm={name!r}" in str(error)
            assert expected is None or beyond or 0 in (len(values["x"]), values["dilation"])
        else:
            assert expected is not None
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("other", ["double", "half", "meta"])
def test_a_weight_of_other_numbers_is_never_read(name: str, other: str) -> None:
    weight = given(name)["weight"]
    changed = weight.to("meta") if other == "meta" else getattr(weight, other)()
    assert "weight.to(x)" in refused(name, {"weight": changed})


@pytest.mark.parametrize("name", OURS)
def test_operators_called_directly_refuse_the_same(name: str) -> None:
    """What reaches the kernels has passed: they would read beyond what is theirs."""
    values = given(name)
    x, weight, groups = values["x"], values["weight"], values["groups"]
    forward = getattr(torch.ops.striate, f"conv2d_{name}")
    by_input = getattr(torch.ops.striate, f"conv2d_{name}_by_input")
    by_weight = getattr(torch.ops.striate, f"conv2d_{name}_by_weight")
    good: tuple[Any, ...] = ([1, 1], [0, 0, 0, 0], [1, 1], groups)
    seen = forward(x, weight, None, *good)
    for tail in (
        ([1, 1], [-1, 0, 0, 0], [1, 1], groups),
        ([0, 1], [0, 0, 0, 0], [1, 1], groups),
        ([1], [0, 0, 0, 0], [1, 1], groups),
        ([1, 1], [0, 0], [1, 1], groups),
        ([1, 1], [0, 0, 0, 0], [1, 0], groups),
        ([1, 1], [0, 0, 0, 0], [1, 1], 0),
    ):
        calls = (
            (forward, (x, weight, None)),
            (by_input, (seen, weight, [9, 9])),
            (by_weight, (x, seen, [3, 3])),
        )
        for operator, tensors in calls:
            with pytest.raises(UsageError, match="Expected"):
                operator(*tensors, *tail)
    for operator, arguments in (
        (by_input, (seen.double(), weight, [9, 9])),
        (by_input, (seen, weight.double(), [9, 9])),
        (by_input, (seen[..., 1:], weight, [9, 9])),
        (by_input, (seen, weight, [9, 8])),
        (by_weight, (x, seen.double(), [3, 3])),
        (by_weight, (x, seen[:1], [3, 3])),
        (by_weight, (x, seen, [3, 5])),
    ):
        with pytest.raises(UsageError, match="Expected"):
            operator(*arguments, *good)


LIMITS: tuple[tuple[str, dict[str, Any], str], ...] = (
    (
        "winograd_4x4",
        {"stride": 2},
        "stride=(1, 1) for algorithm='winograd_4x4', received stride=(2, 2)",
    ),
    ("winograd_6x6", {"dilation": 2}, "received dilation=(2, 2)"),
    ("winograd_2x2", {"groups": 2, "weight": torch.zeros(8, 4, 3, 3)}, "received groups=2"),
    ("winograd_6x6", {"weight": torch.zeros(8, 8, 5, 5)}, "filters of 3 taps"),
    ("winograd_4x4", {"weight": torch.zeros(8, 8, 1, 1)}, "3 or 5 taps along each axis"),
    ("packed", {"groups": 2, "weight": torch.zeros(8, 4, 3, 3)}, "groups=1"),
    ("depthwise", {"groups": 1, "weight": torch.zeros(8, 8, 3, 3)}, "as many groups as channels"),
    ("depthwise", {"padding": 4, "weight": torch.zeros(8, 1, 9, 9)}, "at most 7 pixels"),
    ("fft_tiled", {"padding": 5, "weight": torch.zeros(8, 8, 11, 11)}, "9 pixels at most"),
)


@pytest.mark.parametrize(("name", "change", "text"), LIMITS)
def test_the_limit_that_failed_is_named(name: str, change: dict[str, Any], text: str) -> None:
    said = refused(name, change)
    assert text in said and "algorithm='direct' computes any" in said


@pytest.mark.parametrize("name", OURS)
def test_numbers_that_an_algorithm_is_not_for(name: str) -> None:
    whole = {key: value.long() for key, value in given(name).items() if isinstance(value, Tensor)}
    assert "received dtype=int64" in refused(name, whole)


def test_no_such_algorithm() -> None:
    with pytest.raises(UnknownName, match="winograd_4x4"):
        conv2d(torch.zeros(1, 4, 8, 8), torch.zeros(6, 4, 3, 3), algorithm="winograd4x4")
    with pytest.raises(UnknownName, match="None"):
        conv2d(torch.zeros(1, 4, 8, 8), torch.zeros(6, 4, 3, 3), algorithm=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kernel", [(3, 3), (5, 1)])
def test_padding_by_its_name_is_torchs(name: str, padding: str, kernel: tuple[int, int]) -> None:
    values = given(name)
    weight = torch.randn(*values["weight"].shape[:2], *kernel)
    if name == "winograd_6x6" and max(kernel) > 3:
        pytest.skip("not for this filter")
    found = conv2d(**{**values, "weight": weight}, padding=padding, algorithm=name)
    expected = functional.conv2d(
        values["x"], weight, values["bias"], padding=padding, groups=values["groups"]
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # which torch says once a process
def test_an_odd_pixel_of_the_same_size_comes_after() -> None:
    x, weight = torch.randn(1, 2, 7, 7), torch.randn(3, 2, 2, 4)
    expected = functional.conv2d(x, weight, padding="same", dilation=3)
    found = conv2d(x, weight, padding="same", dilation=3, algorithm="im2col")
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_numbers_of_any_kind_that_are_whole() -> None:
    x, weight = torch.randn(1, 2, 7, 7), torch.randn(3, 2, 3, 3)
    expected = functional.conv2d(x, weight, stride=2, padding=1)
    found = conv2d(x, weight, None, np.int64(2), [1, 1], torch.tensor(1), algorithm="packed")
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_autocast_is_torchs_own() -> None:
    x, weight = torch.randn(1, 2, 7, 7), torch.randn(3, 2, 3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert conv2d(x.bfloat16(), weight).dtype == torch.bfloat16


PREPARE = (lambda weight, **how: winograd.prepare(weight, 4, **how), packed.prepare)


@pytest.mark.parametrize("prepare", [*PREPARE, windows.prepare])
def test_filters_that_kernels_cannot_read_are_refused_once(prepare: Any) -> None:
    weight = torch.zeros(8, 1, 3, 3)
    for change in ({"weight": weight.double()}, {"weight": weight.to("meta")}):
        with pytest.raises(UsageError, match=r"weight\.float\(\)"):
            prepare(**change)
    with pytest.raises(UsageError, match="padding of at least 0"):
        prepare(weight, padding=((0, 0), (-1, 0)))


@pytest.mark.parametrize("prepare", [*PREPARE, windows.prepare])
def test_images_that_kernels_cannot_read_are_refused(prepare: Any) -> None:
    channels = 8 if prepare is windows.prepare else 1
    run, x = prepare(torch.zeros(8, 1, 3, 3)), torch.zeros(1, channels, 9, 9)
    for bad in (x.double(), x.half(), x.to("meta"), x[..., :2], x[..., :1], x[:, :0]):
        with pytest.raises(UsageError, match="Expected"):
            run(bad)
    with pytest.raises(UsageError, match="out="):
        run(x, out=run(x).double())


def test_a_problem_says_how_it_failed() -> None:
    with pytest.raises(UsageError, match="pad more"):
        _ = Problem(batch=1, channels=1, features=1, size=(2, 2), kernel=(3, 3)).out_size
