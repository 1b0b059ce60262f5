"""Modules that move values: what memory order changes, and what it does not."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from striate.layers import Shortcut

LAST = torch.channels_last


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (1, 6), (1, 1)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (2, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_shortcut_is_the_same_in_either_memory_order(
    size: tuple[int, int], stride: tuple[int, int], dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    x, shortcut = torch.randn(3, 4, *size, dtype=dtype), Shortcut(4, 7, stride)
    x[0, 1, 0, 0], x[1, 2, 0, 0] = float("nan"), float("inf")
    found = []
    for images in (x.clone(), x.contiguous(memory_format=LAST)):
        images = images.requires_grad_()
        y = shortcut(images)
        weights = torch.arange(y.numel(), dtype=dtype).reshape(y.shape)
        (gradient,) = torch.autograd.grad((y * weights).sum(), images)
        found.append((y.detach(), gradient))
    plain = functional.pad(x[:, :, :: stride[0], :: stride[1]], (0, 0, 0, 0, 1, 2))
    for y, gradient in found:
        torch.testing.assert_close(y, plain, rtol=0, atol=0, equal_nan=True)
        torch.testing.assert_close(gradient, found[0][1], rtol=0, atol=0)


def test_a_shortcuts_gradient_has_the_images_memory_order() -> None:
    for order in (LAST, torch.contiguous_format):
        x = torch.randn(2, 4, 6, 6).contiguous(memory_format=order).requires_grad_()
        (gradient,) = torch.autograd.grad(Shortcut(4, 8, (2, 2))(x).square().sum(), x)
        assert gradient.is_contiguous(memory_format=order)


def test_a_shortcut_has_a_second_derivative_in_either_memory_order() -> None:
    for order in (LAST, torch.contiguous_format):
        x = torch.randn(1, 2, 4, 4, dtype=torch.float64).contiguous(memory_format=order)
        assert torch.autograd.gradgradcheck(Shortcut(2, 4, (2, 2)), x.requires_grad_())
