"""Batch normalisation over the global batch, on any device and any number of processes.

torch's SyncBatchNorm refuses CPUs. Here the statistics of all processes are gathered (count, mean
and sum of squared deviations, joined by Chan's formula in float64, in rank order), so that two
processes agree with one on the same global batch to rounding, also where their shares differ in
size or one has no row at all. In a single process this is torch's own kernel and nothing else.

With gradient accumulation the statistics are those of each micro-batch, as everywhere: a batch of 4
x 32 normalises over 32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from striate.errors import TrainingError
from striate.ops.normalise import normalise, possible


class BatchNorm(_BatchNorm):
    """Normalise each channel over batch and space, then scale and shift it.

    y = (x - mean) / sqrt(var + eps) * weight + bias. In training mean and (biased) variance are
    those of the global batch, and the running estimates move by `momentum` towards the mean and
    the unbiased variance; in evaluation the running estimates are used.

    Attributes:
        corrected: divide the running estimates by the weight of the batches seen so far, as Caffe
            does, so that nothing is left of what they start with.
        frozen: use the running estimates in training too, and leave them as they are: batch
            normalisation that is not trainable on paper.
        algorithm: `default` is torch's own; `fused` computes on CPUs by `striate.ops.normalise`,
            with the sum and the rectifier after it where a net's forward has them together
            (`layers.fuse`); a plan sets that.

    Input shape: (batch, channels) or (batch, channels, *space).
    Output shape: the same.

    Raises:
        TrainingError: in training, one value a channel (a batch of one on a 1x1 map): its
            variance does not exist.

    Source: Ioffe and Szegedy, ICML 2015, algorithm 1; Chan, Golub, LeVeque 1979 for the joining;
    Caffe's batch_norm_layer.cpp for the correction.
    """

    corrected: bool = False
    frozen: bool = False
    algorithm: str = "default"

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise TrainingError(
                "Batch normalisation expected (batch, channels, ...), "
                f"received {tuple(input.shape)}."
            )

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised input: (batch, channels, ...) -> (batch, channels, ...)."""
        if self.frozen and self.running_mean is not None:
            mean, variance = self.running_mean, self.running_var
            return functional.batch_norm(
                input, mean, variance, self.weight, self.bias, False, 0.0, self.eps
            )
        if not self.training or not self.track_running_stats:
            return super().forward(input)
        if _processes() > 1:
            return self._forward_together(input)
        if input.numel() == input.shape[1]:
            raise _too_few(input)
        if self.fuses(input):
            return self.together(input)
        return self._forward_corrected(input) if self.corrected else super().forward(input)

    def fuses(self, input: Tensor) -> bool:
        """Say whether `together` computes this input as `forward` is to."""
        return (
            self.algorithm == "fused"
            and self.training
            and self.track_running_stats
            and self.num_batches_tracked is not None
            and not self.frozen
            and _processes() == 1
            and possible(input, self.weight, self.bias, self.running_mean, self.running_var)
        )

    def together(
        self, input: Tensor, residual: Tensor | None = None, rectified: bool = False
    ) -> Tensor:
        """Return the normalised input, + residual, rectified; for what `fuses` says.

        Shapes: (batch, channels, height, width), twice -> the same.
        """
        mean, variance = self.running_mean, self.running_var
        if mean is None or variance is None or self.num_batches_tracked is None:
            raise TypeError("fuses() says no without running estimates")
        self.num_batches_tracked.add_(1)
        return normalise(
            input,
            self.weight,
            self.bias,
            (mean, variance),
            momentum=self._rate(),
            eps=self.eps,
            residual=residual,
            rectified=rectified,
        )

    def _rate(self) -> float:
        """Return how far the running estimates move."""
        if self.num_batches_tracked is None:
            return self.momentum or 0.0
        if self.momentum is None or (self.corrected and self.momentum == 0.0):
            return 1.0 / float(self.num_batches_tracked)
        if self.corrected:
            kept = math.pow(1 - self.momentum, int(self.num_batches_tracked))
            return self.momentum / (1 - kept)
        return self.momentum

    def _forward_corrected(self, input: Tensor) -> Tensor:
        """Return what torch's does; the share of the batch is worked out where the tensors are."""
        mean, variance, count = self.running_mean, self.running_var, self.num_batches_tracked
        if mean is None or variance is None or count is None or self.momentum is None:
            return super().forward(input)
        now = torch.zeros_like(mean), torch.zeros_like(variance)
        y = functional.batch_norm(input, *now, self.weight, self.bias, True, 1.0, self.eps)
        with torch.no_grad():
            count.add_(1)
            weight = 1 - (1 - self.momentum) ** count.double() if self.momentum else count.double()
            rate = ((self.momentum or 1.0) / weight).to(mean.dtype)
            mean.lerp_(now[0], rate)
            variance.lerp_(now[1], rate)
        return y

    def _forward_together(self, input: Tensor) -> Tensor:
        count, mean, variance = _global_statistics(input)
        if count < 2:
            raise _too_few(input)
        with torch.no_grad():
            self._update_running(mean, variance * (count / (count - 1)))
        weight = self.weight if self.affine else torch.ones_like(mean)
        bias = self.bias if self.affine else torch.zeros_like(mean)
        normalise: Callable[..., Tensor] = _Normalise.apply
        return normalise(input, weight, bias, mean, variance, count, self.eps)

    def _update_running(self, mean: Tensor, unbiased_variance: Tensor) -> None:
        if (
            self.running_mean is None
            or self.running_var is None
            or self.num_batches_tracked is None
        ):
            return
        self.num_batches_tracked.add_(1)
        rate = self._rate()
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), rate)
        self.running_var.lerp_(unbiased_variance.to(self.running_var.dtype), rate)


class _Normalise(torch.autograd.Function):
    """Normalisation by given statistics, whose gradient sums over all processes."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        count: int,
        eps: float,
    ) -> Tensor:
        inverse_std = torch.rsqrt(variance + eps)
        scale = inverse_std * weight
        ctx.save_for_backward(x, weight, mean, inverse_std)
        ctx.count = count
        shift = bias - mean * scale
        return torch.addcmul(_wide(shift, x), _precise(x), _wide(scale, x)).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse_std = ctx.saved_tensors
        centred, grad = _precise(x) - _wide(mean, x), _precise(grad)
        axes = _all_but_channels(x)
        sums = torch.stack([grad.sum(axes), (grad * centred).sum(axes)])
        grad_weight, grad_bias = sums[1] * inverse_std, sums[0].clone()
        dist.all_reduce(sums)
        mean_grad, mean_product = sums / ctx.count
        slope = inverse_std.square() * mean_product
        inner = grad - _wide(mean_grad, x) - centred * _wide(slope, x)
        grad_x = (inner * _wide(inverse_std * weight, x)).to(x.dtype)
        return grad_x, grad_weight, grad_bias, None, None, None, None


def _global_statistics(x: Tensor) -> tuple[int, Tensor, Tensor]:
    """Return (count, mean (channels,), biased variance (channels,)) over all processes."""
    axes = _all_but_channels(x)
    own_count = x.numel() // x.shape[1]
    own = torch.zeros(2 * x.shape[1] + 1, dtype=torch.float64, device=x.device)
    if own_count:
        with torch.no_grad():
            variance, mean = torch.var_mean(_precise(x), axes, correction=0)
        own[0], own[1:] = own_count, torch.cat([mean, variance * own_count])
    gathered = [torch.empty_like(own) for _ in range(_processes())]
    dist.all_gather(gathered, own)
    every = torch.stack(gathered)
    counts = every[:, :1]
    means, squares = every[:, 1:].chunk(2, dim=1)
    count = counts.sum()
    mean = (counts * means).sum(0) / count
    variance = (squares + counts * (means - mean).square()).sum(0) / count
    precision = _precise(x).dtype
    return int(count), mean.to(precision), variance.to(precision)


def _all_but_channels(x: Tensor) -> list[int]:
    return [axis for axis in range(x.dim()) if axis != 1]


def _precise(x: Tensor) -> Tensor:
    """Return x in float32, or float64 where it is: no sum is taken in half precision."""
    return x if x.dtype == torch.float64 else x.float()


def _wide(values: Tensor, like: Tensor) -> Tensor:
    return values.view(1, -1, *[1] * (like.dim() - 2))


def _processes() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _too_few(x: Tensor) -> TrainingError:
    return TrainingError(
        "Batch normalisation expected at least two values a channel in training, received one: "
        f"input {tuple(x.shape)}. Use a batch of at least 2."
    )
