"""Mistakes in code, as PyTorch's forum knows them, made in striate while a context is open.

A recipe cannot hold these: they are what somebody's own loop, loader or module gets wrong. Each is
written where the mistake would be: in the network as it is built, the loader, the optimiser, the
loop. What trains afterwards is striate's own, and so is what looks at it.
"""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Iterator
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from striate import data
from striate.data import Affine, Batch
from striate.layers import Net, build
from striate.randomness import stream
from striate.train import checkpoint, feeding, training
from striate.train.optimiser import Stepper
from striate.train.start import begin

preflight = importlib.import_module("striate.doctor.preflight")  # its name is the function

Tamper = Callable[[], contextlib.AbstractContextManager[object]]


def _built(change: Callable[[nn.Module], None]) -> Tamper:
    """Change every network that preflight or training builds."""

    def wrong(*arguments: object, **options: object) -> nn.Module:
        net = build(*arguments, **options)  # type: ignore[arg-type]
        change(net)
        return net

    @contextlib.contextmanager
    def patched() -> Iterator[None]:
        with (
            mock.patch.object(preflight, "build", wrong),
            mock.patch.object(training, "build", wrong),
        ):
            yield

    return patched


def _hook(change: Callable[[Tensor], Tensor], at: str | None = None) -> Tamper:
    """Change what a module, or the whole network, gives."""

    def hook(module: nn.Module, given: object, made: Tensor) -> Tensor:
        return change(made)

    def onto(net: nn.Module) -> None:
        (net if at is None else net.get_submodule(at)).register_forward_hook(hook)

    return _built(onto)


def _never_evaluating(net: nn.Module) -> None:
    """Leave every module in training mode for good."""
    for module in net.modules():
        module.train = lambda mode=True, module=module: module  # type: ignore[method-assign]


def _divides_by_zero() -> contextlib.AbstractContextManager[object]:
    """Divide the scores by zero from the 60th step on."""
    taken = [0]

    def hook(module: nn.Module, given: object, made: Tensor) -> Tensor:
        taken[0] += made.requires_grad
        return made / 0.0 if taken[0] > 60 else made

    def wrong(*arguments: object, **options: object) -> nn.Module:
        net = build(*arguments, **options)  # type: ignore[arg-type]
        net.get_submodule("classifier").register_forward_hook(hook)
        return net

    return mock.patch.object(training, "build", wrong)


def _loading(kind: type[data.Loader]) -> Tamper:
    """Take another loader for training and validation."""
    return lambda: mock.patch.object(feeding, "Loader", kind)


class InOrder(data.Loader):
    """Forgets to shuffle."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **{**options, "shuffle": False})  # type: ignore[arg-type]


class SameDraws(data.Loader):
    """Draws the same augmentation for every image and epoch, as workers with one seed do."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        if self.augmenter is not None:
            draw = self.augmenter.draw
            self.augmenter.draw = lambda chance: draw(  # type: ignore[method-assign]
                stream(self.seed, "augment", 0, np.zeros(len(chance.keys), np.int64))
            )


class AugmentsAll(data.Loader):
    """Augments validation images as well."""

    def __init__(self, *arguments: object, **options: object) -> None:
        turned = (Affine(rotate_degrees=25.0, translate=1 / 8, scale=(0.8, 1.25)),)
        super().__init__(*arguments, **{**options, "augmentation": turned})  # type: ignore[arg-type]


class Slow(data.Loader):
    """Takes longer over a batch than the network does."""

    def make(self, *arguments: object) -> Batch:
        """Wait, and make a batch."""
        time.sleep(0.03)
        return super().make(*arguments)  # type: ignore[arg-type]


def _stepper(change: Callable[[Stepper], None]) -> Tamper:
    """Change the optimiser of a training once it is made."""
    made = Stepper.__init__

    def wrong(self: Stepper, *arguments: object, **options: object) -> None:
        made(self, *arguments, **options)  # type: ignore[arg-type]
        change(self)

    return lambda: mock.patch.object(Stepper, "__init__", wrong)


def _keeps_gradients(stepper: Stepper) -> None:
    stepper.torch.zero_grad = lambda *a, **k: None  # type: ignore[method-assign]


def _never_steps(stepper: Stepper) -> None:
    stepper.torch.step = lambda *a, **k: None  # type: ignore[method-assign,assignment]


def _not_given(stepper: Stepper) -> None:
    """Leave the convolutions' weights out of what the optimiser gets."""
    conv = {id(p) for name, p in stepper.parameters.items() if name.startswith("conv")}
    stepper.parameters = {n: p for n, p in stepper.parameters.items() if id(p) not in conv}
    for group in stepper.torch.param_groups:
        group["params"] = [p for p in group["params"] if id(p) not in conv]


def _made_anew() -> contextlib.AbstractContextManager[object]:
    """Make the network anew at the beginning of every epoch."""
    batches = training.Training.batches

    def wrong(self: training.Training) -> object:
        fresh = build(self.recipe.network, seed=self.recipe.seed + self.done)
        with torch.no_grad():
            for name, value in self.net.state_dict().items():
                value.copy_(fresh.state_dict()[name])
        return batches(self)

    return mock.patch.object(training.Training, "batches", wrong)


def _keeps_the_first() -> contextlib.AbstractContextManager[object]:
    """Keep the weights of before training in place of the best."""
    save = checkpoint.save_weights

    def wrong(run: object, weights: dict[str, Tensor]) -> object:
        if (run.path / "model.safetensors").exists():  # type: ignore[attr-defined]
            return None
        network = run.network()  # type: ignore[attr-defined]
        return save(run, build(network, seed=1).state_dict())  # type: ignore[arg-type]

    return mock.patch.object(checkpoint, "save_weights", wrong)


def _norms_move(net: nn.Module) -> None:
    """Let frozen batch-norm take in the statistics of batches."""
    for norm in net.modules():
        if not isinstance(norm, nn.modules.batchnorm._BatchNorm):
            continue

        def forward(value: Tensor, norm: nn.Module = norm) -> Tensor:
            running = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
            return functional.batch_norm(value, *running, net.training, 0.1, 1e-5)

        norm.forward = forward


def _loads_in_part() -> contextlib.AbstractContextManager[object]:
    """Leave the first layers as they were drawn: their names have changed, and nobody said so."""

    def wrong(net: Net, *arguments: object) -> Net:
        drawn = {name: value.clone() for name, value in net.state_dict().items()}
        begun = begin(net, *arguments)  # type: ignore[arg-type]
        with torch.no_grad():
            for name, value in begun.state_dict().items():
                if name.startswith(("conv1", "norm1")):
                    value.copy_(drawn[name])
        return begun

    stack = contextlib.ExitStack()
    for place in (preflight, training):
        stack.enter_context(mock.patch.object(place, "begin", wrong))
    return stack


def _mixed(images: Tensor) -> Tensor:
    """Reshape where axes should have been exchanged, so that images of a batch are mixed."""
    return images.transpose(0, 1).reshape(images.shape)


def _mixes_batch(net: nn.Module) -> None:
    def hook(module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (_mixed(given[0]),)

    net.get_submodule("classifier").register_forward_pre_hook(hook)


softmax_twice = _hook(lambda made: made.softmax(1))
detached = _hook(lambda made: made.detach() + 0.0, "flatten")
dropout_always = _hook(lambda made: functional.dropout(made, 0.5, training=True), "flatten")
never_evaluating = _built(_never_evaluating)
mixes_batch = _built(_mixes_batch)
norms_move = _built(_norms_move)
divides_by_zero = _divides_by_zero
in_order, same_draws = _loading(InOrder), _loading(SameDraws)
augments_all, slow = _loading(AugmentsAll), _loading(Slow)
not_given, never_steps = _stepper(_not_given), _stepper(_never_steps)
keeps_gradients = _stepper(_keeps_gradients)
made_anew, keeps_the_first = _made_anew, _keeps_the_first
loads_in_part = _loads_in_part
