"""Evaluation and training as one graph: what both do once, what only training does beside it.

Two traces of a module are laid over each other: a call is the same where it is the same record on
the same values. Dropout that only training has belongs to both, since it does nothing in
evaluation. What is then left of the training trace leads to outputs for training only.
"""

from __future__ import annotations

from typing import NamedTuple

from striate.design import Dropout, Layer, Opaque
from striate.design.elementwise import ChannelDropout
from striate.layers.describe.recorder import Recorder
from striate.layers.describe.steps import Step


class Traced(NamedTuple):
    """One forward pass.

    Args:
        steps: in order.
        outputs: what it returned: names given by the module (or made up), and values.
        recorder: that noted the calls, where that was asked for.
    """

    steps: tuple[Step, ...]
    outputs: tuple[tuple[str, str], ...]
    recorder: Recorder | None = None


class Merged(NamedTuple):
    """Both passes.

    Args:
        steps: of both, each once.
        outputs: in evaluation.
        train_only: what training returns beside those.
        apart: whether training does something that cannot be written beside evaluation.
    """

    steps: tuple[Step, ...]
    outputs: tuple[tuple[str, str], ...]
    train_only: tuple[tuple[str, str], ...] = ()
    apart: bool = False


def merge(evaluation: Traced, training: Traced | None) -> Merged:
    """Lay the two over each other."""
    alone = Merged(evaluation.steps, evaluation.outputs, apart=True)
    if training is None:
        return alone
    same = _matched(evaluation, training)
    ours = {name: mine for mine, name in same.items()}  # by the name in training
    extra = [step for step in training.steps if step.layer.name not in ours]
    if any(isinstance(step.layer, Opaque) for step in extra):
        return alone
    steps = _joined(evaluation, training, same)
    if steps is None:
        return alone
    have = {same.get(value, value): name for name, value in evaluation.outputs}
    outputs = tuple(
        (_named(training, same.get(value, value), name), same.get(value, value))
        for name, value in evaluation.outputs
    )
    passed = _through(training)
    reached = {passed.get(value, value) for value in have}
    train_only = tuple(
        (name, value)
        for name, value in training.outputs
        if value not in have and passed.get(value, value) not in reached
    )
    return Merged(steps, outputs, train_only)


def _key(layer: Layer, inputs: tuple[str, ...], owned: dict[str, str]) -> object:
    return (
        layer.replace(name="same", inputs=inputs, shares=None, note=""),
        tuple(sorted(owned.items())),
    )


def _through(training: Traced) -> dict[str, str]:
    """Return each value of training as evaluation sees it: what dropout was given."""
    seen: dict[str, str] = {}
    for step in training.steps:
        if isinstance(step.layer, Dropout | ChannelDropout):
            source = step.layer.inputs[0]
            seen[step.layer.name] = seen.get(source, source)
    return seen


def _matched(evaluation: Traced, training: Traced) -> dict[str, str]:
    """Return the step of training that each step of evaluation is, by name."""
    waiting: dict[object, list[str]] = {}
    loose: dict[object, list[str]] = {}  # the same, its inputs seen through dropout
    seen = _through(training)
    for step in training.steps:
        layer = step.layer
        waiting.setdefault(_key(layer, layer.inputs, step.owned), []).append(layer.name)
        inputs = tuple(seen.get(name, name) for name in layer.inputs)
        loose.setdefault(_key(layer, inputs, step.owned), []).append(layer.name)
    same: dict[str, str] = {}
    used: set[str] = set()
    for step in evaluation.steps:
        inputs = tuple(same.get(name, name) for name in step.layer.inputs)
        found = [n for n in waiting.get(_key(step.layer, inputs, step.owned), []) if n not in used]
        if not found:
            through = tuple(seen.get(name, name) for name in inputs)
            key = _key(step.layer, through, step.owned)
            found = [name for name in loose.get(key, []) if name not in used]
        if found:
            same[step.layer.name] = found[0]
            used.add(found[0])
    return same


def _joined(evaluation: Traced, training: Traced, same: dict[str, str]) -> tuple[Step, ...] | None:
    """Return the steps of training, and behind them those that only evaluation has.

    None where training goes on from what only evaluation makes: they are two networks then.
    """
    only = [step for step in evaluation.steps if step.layer.name not in same]
    renamed = {step.layer.name: f"e{step.layer.name}" for step in only}
    steps = list(training.steps)
    for step in only:
        if step.owned and step.layer.shares is None and _claimed(step, training):
            return None
        inputs = tuple(renamed.get(n, same.get(n, n)) for n in step.layer.inputs)
        shares = step.layer.shares and same.get(step.layer.shares)
        layer = step.layer.replace(name=renamed[step.layer.name], inputs=inputs, shares=shares)
        steps.append(step._replace(layer=layer))
        same[step.layer.name] = layer.name
    return tuple(steps)


def _claimed(step: Step, training: Traced) -> bool:
    mine = set(step.owned.values())
    return any(mine & set(other.owned.values()) for other in training.steps)


def _named(training: Traced, value: str, name: str) -> str:
    """Return what training calls an output, where that is no mere number."""
    names = (other for other, source in training.outputs if source == value)
    return next((other for other in names if not other.startswith("output")), name)
