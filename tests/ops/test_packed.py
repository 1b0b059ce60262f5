"""The direct kernels: epilogues, slices, narrower vectors, threads."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ops.problems import channel_slice
from torch import Tensor
from torch.nn import functional

from striate.errors import UsageError
from striate.ops import packed, windows


def images(*shape: int) -> Tensor:
    return torch.randn(shape).contiguous(memory_format=torch.channels_last)


CASES = [  # channels, features, kernel, stride, padding
    (21, 70, (1, 1), (1, 1), ((0, 0), (0, 0))),
    (32, 16, (1, 1), (2, 2), ((0, 0), (0, 0))),
    (3, 33, (7, 7), (2, 2), ((3, 3), (3, 3))),
    (3, 8, (3, 3), (2, 2), ((0, 1), (0, 1))),
    (18, 40, (3, 2), (2, 1), ((1, 1), (0, 1))),
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("limits", [(0.0, torch.inf), (0.0, 6.0), (-torch.inf, torch.inf)])
def test_what_follows_is_done_as_it_writes(case: tuple, limits: tuple[float, float]) -> None:
    channels, features, kernel, stride, padding = case
    torch.manual_seed(0)
    x, weight = images(2, channels, 13, 12), torch.randn(features, channels, *kernel)
    bias = torch.randn(features)
    (above, below), (left, right) = padding
    around = functional.pad(x, (left, right, above, below))
    plain = functional.conv2d(around, weight, bias, stride)
    residual = images(*plain.shape)
    expected = (plain + residual).clamp(*limits)
    out = channel_slice(torch.zeros(plain.shape))
    run = packed.prepare(weight, stride, padding)
    y = run(x, bias=bias, residual=residual, limits=limits, out=out)
    assert y is out
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-4)
    over = run(x, bias=bias, residual=residual, limits=limits, out=residual)
    assert over is residual and torch.equal(over, y)
    torch.testing.assert_close(
        run(channel_slice(x)), plain - bias[:, None, None], atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize(("lanes", "vectors"), [(4, 2), (4, 4), (8, 2), (16, 4)])
def test_narrower_vectors_compute_the_same(
    monkeypatch: pytest.MonkeyPatch, lanes: int, vectors: int
) -> None:
    """As machines with AVX2 and Arm would."""
    for module in (packed, windows):
        monkeypatch.setattr(module, "registers", lambda: (lanes, vectors))
    torch.manual_seed(1)
    x, weight = images(2, 21, 9, 10), torch.randn(38, 21, 3, 3)
    y = packed.prepare(weight, (2, 1), ((1, 1), (1, 1)))(x)
    expected = functional.conv2d(x, weight, stride=(2, 1), padding=1)
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-4)
    weight = torch.randn(21, 1, 3, 3)
    y = windows.prepare(weight, (1, 1), ((1, 1), (1, 1)))(x)
    torch.testing.assert_close(y, functional.conv2d(x, weight, padding=1, groups=21))
    y = windows.Maximum(21, (3, 3), (2, 2), ((1, 1), (1, 1)))(x)
    assert torch.equal(y, functional.max_pool2d(x, 3, 2, 1))
    for size in (5, windows.NEAR):
        y = windows.Response(21, size, 0.5, 2.0)(x)
        expected = functional.local_response_norm(x, size, 0.5, 0.75, 2.0)
        torch.testing.assert_close(y, expected)


@pytest.mark.parametrize("padding", [((0, 0), (0, 0)), ((2, 1), (0, 3))])
@pytest.mark.parametrize("channels", [1, 3, 8])
def test_images_of_few_channels_in_any_order(channels: int, padding: tuple) -> None:
    torch.manual_seed(8)
    (above, below), (left, right) = padding
    weight = torch.randn(20, channels, 4, 3)
    run = packed.prepare(weight, (2, 1), padding)
    wide = torch.randn(3, 9, 12, 11)
    for x in (
        wide[:, :channels, 1:, ::2],
        wide[:, :channels].transpose(2, 3),
        wide.contiguous(memory_format=torch.channels_last)[:, 1 : 1 + channels],
        wide[:1, :1].expand(2, channels, 12, 11),
    ):
        expected = functional.conv2d(
            functional.pad(x, (left, right, above, below)), weight, None, (2, 1)
        )
        torch.testing.assert_close(run(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("lanes", [4, 16])
def test_any_number_of_pixels(monkeypatch: pytest.MonkeyPatch, lanes: int) -> None:
    """What is left after whole rows of the registers, in whole panels and in the last."""
    monkeypatch.setattr(packed, "registers", lambda: (lanes, 4))
    torch.manual_seed(6)
    weight, bias = torch.randn(150, 19, 1, 1), torch.randn(150)
    run = packed.prepare(weight)
    for pixels in range(1, 15):
        x = images(1, 19, 1, pixels)
        out = torch.full((1, 150, 1, pixels + 1), 7.0).contiguous(memory_format=torch.channels_last)
        y = run(x, bias=bias, limits=(-3.0, 3.0), out=out[..., :pixels])
        expected = functional.conv2d(x, weight, bias).clamp(-3, 3)
        torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
        assert (out[..., pixels] == 7).all()


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("shape", [(1, 5, 3, 4), (1, 70, 7, 7), (4, 33, 1, 1), (0, 8, 2, 2)])
def test_the_mean_of_an_image(shape: tuple[int, ...], threads: int) -> None:
    torch.manual_seed(7)
    x, before = images(*shape), torch.get_num_threads()
    run = windows.Average(shape[1])
    torch.set_num_threads(threads)
    try:
        expected = x.mean((2, 3), keepdim=True)
        torch.testing.assert_close(run(x), expected)
        torch.testing.assert_close(run(channel_slice(x)), expected)
        out = torch.zeros(shape[0], shape[1] + 3, 1, 1)[:, 1:-2]
        assert run(x, out=out) is out
        torch.testing.assert_close(out, expected)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("shape", [(1, 16, 8, 8), (2, 64, 40, 40), (1, 200, 6, 6)])
def test_threads_change_no_bit(shape: tuple[int, ...], threads: int) -> None:
    torch.manual_seed(2)
    x = images(*shape)
    run = packed.prepare(torch.randn(200, shape[1], 1, 1))
    single = windows.prepare(torch.randn(shape[1], 1, 3, 3), (1, 1), ((1, 1), (1, 1)))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = run(x), single(x)
        torch.set_num_threads(threads)
        assert torch.equal(run(x), expected[0]) and torch.equal(single(x), expected[1])
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (3, 1, 1), (5, 3, 2)]
)
def test_the_largest_of_a_window(kernel: int, stride: int, padding: int) -> None:
    torch.manual_seed(3)
    x = -images(3, 37, 13, 14).abs()  # zeros around it would win
    around = ((padding, padding), (padding, padding))
    run = windows.Maximum(37, (kernel, kernel), (stride, stride), around)
    assert torch.equal(run(x), functional.max_pool2d(x, kernel, stride, padding))
    x[1, 5, 6, 7] = torch.nan
    y = run(x)
    assert y[1].isnan().any() and not y[[0, 2]].isnan().any()
    assert torch.equal(y.isnan(), functional.max_pool2d(x, kernel, stride, padding).isnan())


@pytest.mark.parametrize("size", [1, 4, 5, 8])
def test_responses_by_their_neighbours(size: int) -> None:
    x = 3 * images(2, 23, 5, 6)
    y = windows.Response(23, size, 0.7, 1.5)(x)
    expected = functional.local_response_norm(x.double(), size, 0.7, 0.75, 1.5)
    torch.testing.assert_close(y.double(), expected, rtol=1e-6, atol=1e-6)


def test_memory_that_does_not_fit_is_refused() -> None:
    run = packed.prepare(torch.randn(8, 16, 1, 1))
    with pytest.raises(UsageError, match="out of"):
        run(images(1, 16, 8, 8), out=images(1, 8, 9, 8))
    with pytest.raises(UsageError, match="16 channels"):
        run(images(1, 12, 8, 8))


@given(
    channels=st.integers(1, 40),
    features=st.integers(1, 140),
    size=st.tuples(st.integers(3, 11), st.integers(3, 11)),
    window=st.sampled_from([(1, 1), (2, 2), (3, 2)]),
    batch=st.integers(1, 3),
    limits=st.sampled_from([(0.0, torch.inf), (0.0, 1.0), (-torch.inf, torch.inf)]),
)
@settings(max_examples=40)
def test_means_of_what_is_scaled(
    channels: int,
    features: int,
    size: tuple[int, int],
    window: tuple[int, int],
    batch: int,
    limits: tuple[float, float],
) -> None:
    torch.manual_seed(4)
    x, weight = images(batch, channels, *size), torch.randn(features, channels, 1, 1)
    scale, shift = torch.randn(2, channels)
    run = packed.prepare(weight, means=packed.Means(scale, shift, limits, window))
    read = (x * scale[:, None, None] + shift[:, None, None]).clamp(*limits)
    plain = functional.conv2d(functional.avg_pool2d(read, window), weight)
    residual = images(*plain.shape)
    y = run(channel_slice(x), residual=residual, out=channel_slice(torch.zeros(plain.shape)))
    torch.testing.assert_close(y, plain + residual, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_means_keep_to_their_pixels_whatever_the_threads(threads: int) -> None:
    """Of one block, of panels shared out, and of many blocks."""
    before = torch.get_num_threads()
    for shape in ((2, 24, 6, 6), (2, 40, 24, 22)):
        torch.manual_seed(5)
        x = images(*shape)
        means = packed.Means(torch.randn(shape[1]), torch.randn(shape[1]), (0.0, 6.0), (2, 2))
        run = packed.prepare(torch.randn(150, shape[1], 1, 1), means=means)
        torch.set_num_threads(1)
        clean = run(x)
        try:
            torch.set_num_threads(threads)
            assert torch.equal(run(x), clean)
            x[1, 3, 4, 5] = torch.nan
            spoilt = run(x).isnan()
        finally:
            torch.set_num_threads(before)
        assert spoilt[1, :, 2, 2].all() and int(spoilt.sum()) == 150


def test_only_1x1_filters_read_means() -> None:
    means = packed.Means(torch.ones(8), torch.zeros(8))
    with pytest.raises(UsageError, match="1x1 filters"):
        packed.prepare(torch.randn(4, 8, 3, 3), means=means)
