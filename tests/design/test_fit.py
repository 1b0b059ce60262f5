"""Which filters fit, against brute force; and the lectures' questions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from striate.design.fit import any_paddings, equal_paddings, fits, smallest_padding
from striate.design.question import answer, is_question, read_question
from striate.errors import UsageError


@given(st.integers(1, 24), st.integers(1, 7), st.integers(1, 2))
def test_fits_are_those_whose_windows_end_with_the_last_pixel(
    size: int, kernel: int, dilation: int
) -> None:
    strides, paddings = range(1, 6), any_paddings(kernel, dilation)
    extent = (kernel - 1) * dilation + 1
    expected = {
        (stride, padding)
        for stride in strides
        for padding in paddings
        if size + sum(padding) in range(extent, 200, stride)
    }
    found = fits(size, kernel, strides, paddings, dilation)
    assert {(fit.stride, fit.padding) for fit in found} == expected
    for fit in found:
        padded = torch.empty(1, 1, size + sum(fit.padding), device="meta")
        layer = nn.Conv1d(1, 1, kernel, fit.stride, 0, dilation, device="meta")
        assert layer(padded).shape[-1] == fit.output


@given(st.integers(1, 12), st.integers(1, 12))
def test_smallest_padding(size: int, kernel: int) -> None:
    assert size + sum(smallest_padding(size, kernel)) == max(size, kernel)
    assert len(equal_paddings(kernel)) == kernel


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("W=7 F=3 S=1 P=0", "Fits: (7 - 3 + 0) / 1 + 1 = 5."),
        ("W=7 F=3 S=2 P=0", "Fits: (7 - 3 + 0) / 2 + 1 = 3."),
        ("W=7 F=3 S=3 P=0", "Does not fit: (7 - 3 + 0) / 3 + 1 = 2.333."),
        ("W=7 F=3 S=3", "  S=3 P=1: output 3"),
        ("W=32 F=5 S=1 P=2 D=3 K=10", "Parameters: 760 (76 a filter"),
        ("W=32 F=5 S=1 P=2 D=3 K=10", "Output volume: 10x32x32."),
        ("W=32 F=5 S=1 P=0 D=3 K=6", "Multiply-adds: 352,800 an image"),
        ("W=32 F=5 S=2 P=?", "  S=2 P=1+2: output 16 (half the size)"),
        ("W=32 F=5 S=2 P=?", "  S=2 P=2: output 16, leaves out only padding at the end"),
        ("w=227 f=11 s=4 p=0", "= 55."),
        ("F=5 S=2 P=?", "S=2, P=0 or 1 or 2 or 3 or 4: fits where W divided by 2 leaves 1"),
        ("W=4 F=5 S=1 P=0", "No output: a filter of 5 is larger than 4 + 0 pixels; it takes at"),
        ("W=28 F=5 O=28", "  S=1 P=2: output 28 (keeps the size)"),
        ("W=2 F=1 S=3 P=0", "Does not fit"),
        ("W=7 F=3 S=3 P=1", "(7 - 3 + 2) / 3 + 1 = 3."),
        ("W=10 F=3 S=4 P=1", "= 3.25. Rounded down it gives 3 and no window reaches the last 1"),
        ("W=9 F=3 S=3 P=?", "  S=3 P=0: output 3 (a third of the size)"),
        ("W=12 F=4 S=4 P=?", "  S=4 P=0: output 3 (a 4th of the size)"),
        ("W=7 F=3 S=3 P=0", "reaches the last 1 of 7 pixels, padding included."),
        ("W=4 F=5 S=1 P=0", "it takes at least P=0+1."),
        ("W=20 F=3 S=2 P=?", "(no padding alike on both sides does; before+after, or rounded"),
        ("W=7 F=2 S=2 P=?", "  S=2 P=0: output 3, leaves out 1 of 7 pixels at the end"),
        ("W=20 F=1 S=3 P=?", "No stride up to F and no padding below F fits."),
        ("F=7 S=2", "P=3 keeps the size at stride 1: (W - 7 + 6) / 1 + 1 = W."),
        ("F=4", "P=1+2 keeps the size at stride 1: (W - 4 + 3) / 1 + 1 = W."),
        ("F=3 S=2 P=1", "S=2, P=1: fits where W divided by 2 leaves 1 (W = 3, 5, 7, ...)."),
        ("F=11 S=4 P=0", "leaves 3 (W = 11, 15, 19, ...)."),
    ],
)
def test_questions(question: str, expected: str) -> None:
    assert is_question([question])
    assert expected in answer(read_question(question.split())).text


def test_only_strides_that_fit_the_padding_given() -> None:
    """The lectures' example: 7 pixels, a filter of 3, no padding; a stride of 3 does not fit."""
    found = answer(read_question(["W=7, F=3, S=?, P=0"])).fits
    assert [(fit.stride, fit.padding) for fit in found] == [(1, (0, 0)), (2, (0, 0))]


@pytest.mark.parametrize(
    ("question", "output", "exact"),
    [
        ("W=227 F=11 S=4 P=0", 55, True),
        ("W=224 F=11 S=4 P=0", 54, False),  # AlexNet's paper says 224, which gives no 55
        ("W=224 F=7 S=2 P=3", 112, False),  # ResNet's first layer
        ("W=3 F=5 S=1 P=0", 0, None),
        ("W=3 F=5 S=1 P=?", None, None),
    ],
)
def test_what_a_layer_gives(question: str, output: int | None, exact: bool | None) -> None:
    made = answer(read_question([question]))
    assert (made.output, made.exact) == (output, exact)


def test_volume_parameters_and_work_need_what_they_are_made_of() -> None:
    """The lectures' layer: ten filters of 5x5 over 32x32x3."""
    made = answer(read_question(["W=32 F=5 S=1 P=2 D=3 K=10"]))
    assert (made.shape, made.parameters) == ((10, 32, 32), 760)
    assert made.macs == 10 * 32 * 32 * 5 * 5 * 3
    without = answer(read_question(["W=32 F=5 S=1 P=2 K=10"]))
    assert (without.shape, without.parameters, without.macs) == ((10, 32, 32), None, None)
    nothing = answer(read_question(["W=3 F=5 S=1 P=0 D=3 K=10"]))
    assert (nothing.shape, nothing.parameters, nothing.macs) == (None, 760, None)
    assert "Output volume" not in nothing.text and "Multiply-adds" not in nothing.text
    asked = answer(read_question(["W=28 F=5 O=28 D=1 K=6"]))
    assert (asked.shape, asked.macs) == ((6, 28, 28), 6 * 28 * 28 * 25)


def test_what_fits_exactly_needs_no_other() -> None:
    assert answer(read_question(["W=7 F=3 S=2 P=0"])).fits == ()
    made = answer(read_question(["W=7 F=3 S=3 P=0"]))
    assert made.text.splitlines()[1:] == [
        "These would fit:",
        "  S=3 P=1: output 3 (a third of the size)",
        "  S=1 P=0: output 5",
        "  S=2 P=0: output 3",
    ]
    other = made.fits
    assert [(fit.stride, fit.padding, fit.output) for fit in other] == [
        (3, (1, 1), 3),
        (1, (0, 0), 5),
        (2, (0, 0), 3),
    ]


def test_what_is_no_question() -> None:
    assert not any(map(is_question, (["vgg16"], [], [""], ["mlp(hidden=(3,))"], ["W=32", "lenet"])))


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("W=32 S=2", "Expected F, the extent .* received W=32 S=2"),
        ("W=32 F=?", "Expected F, the extent .* received W=32 F=."),
        ("W=32 W=64 F=5", "Expected W once, received W=32 and W=64"),
        ("W=32 F=5 X=2", "Expected W .pixels of the input .* received X=2"),
        ("W=32 F=five", "Expected a whole number or . for F, received F=five"),
        ("W=32 F=0", "Expected a whole number or . for F, received F=0"),
        ("W=32 F=5 P=1+2+3", "Expected P as 2, 1.2 or ., received P=1.2.3"),
    ],
)
def test_questions_that_are_none(question: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_question([question])
