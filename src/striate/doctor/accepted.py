"""What preflight can be asked of: anything else is refused in one sentence, before the checks."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from striate.doctor.subject import Subject, main_output
from striate.errors import StriateError, UsageError


def accepted(subject: Subject) -> Subject:
    """Return a subject that checks can be asked of: its labels as long integers.

    Raises:
        UsageError: what the images, labels or network are, what was expected, and what to do.
    """
    if subject.classes < 1:
        raise UsageError(f"Expected at least one class, received classes={subject.classes}.")
    _refuse_lazy(subject)
    labels = _paired(subject.images, subject.labels, subject.classes, "")
    if len(subject.images) < 2:
        raise UsageError(
            f"Expected at least two images with a label each, received {len(subject.images)}."
        )
    held_out = subject.held_out
    if held_out is not None:
        held_out = held_out[0], _paired(*held_out, subject.classes, "held-out ")
    subject = replace(subject, labels=labels, held_out=held_out)
    for training in (True, False):
        _refuse_outputs(subject, training)
    return subject


def _refuse_lazy(subject: Subject) -> None:
    made = [*subject.net.named_parameters(), *subject.net.named_buffers()]
    lazy = [name for name, value in made if is_lazy(value)]
    if lazy:
        raise UsageError(
            f"Expected a network whose weights are made, received {lazy[0]} of a lazy layer. "
            "Call the network once on a batch of images first."
        )


def _paired(images: Tensor, labels: Tensor, classes: int, which: str) -> Tensor:
    """Return labels as long integers.

    Raises:
        UsageError: images of integers, or labels that are not one class an image.
    """
    if not isinstance(images, Tensor) or not images.is_floating_point():
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise UsageError(
            f"Expected {which}images as a tensor of floats, received {kind}. Scale and normalise "
            "them as the network takes them, for 8 bits images.float() / 255."
        )
    _refuse_labels(labels, which)
    if len(images) != len(labels):
        raise UsageError(
            f"Expected a label for each of the {which}images, received {len(images)} images and "
            f"{len(labels)} labels. Leave out what has none."
        )
    low, high = (int(labels.min()), int(labels.max())) if len(labels) else (0, 0)
    if low < 0 or high >= classes:
        cure = (
            "Leave out images without a label, and count classes from 0."
            if low < 0
            else "Subtract 1: classes are counted from 0."
            if low == 1 and high == classes
            else "See that classes= and the labels are of the same data."
        )
        raise UsageError(
            f"Expected {which}labels from 0 to {classes - 1} for {classes} classes, received "
            f"{low} to {high}. {cure}"
        )
    return labels.long()


def _refuse_labels(labels: Tensor, which: str) -> None:
    expected = f"Expected {which}labels as one integer an image, (n,)"
    if not isinstance(labels, Tensor):
        raise UsageError(f"{expected}, received a {type(labels).__name__}. Use torch.tensor(...).")
    if labels.dim() == 2 and labels.shape[1] > 1:
        raise UsageError(
            f"{expected}, received {tuple(labels.shape)}, a row an image. "
            "Use labels.argmax(1) if they are one-hot."
        )
    if labels.dim() != 1:
        raise UsageError(f"{expected}, received {tuple(labels.shape)}. Use labels.flatten().")
    if labels.is_floating_point() or labels.is_complex():
        raise UsageError(f"{expected}, received {labels.dtype}. Use labels.long().")


def _refuse_outputs(subject: Subject, training: bool) -> None:
    """Refuse a network that does not take two of the images, or answers in another shape."""
    size = tuple(subject.images.shape[1:])
    try:
        with subject.quiet(training=training) as net, torch.no_grad():
            outputs = net(subject.images[:2])
    except StriateError:
        raise
    except Exception as error:  # any: the network is the user's
        mode = "training" if training else "evaluation"
        raise UsageError(
            f"Expected a network that takes images of {size}: in {mode} it does not, received "
            f"{told(error)}. Give images of the size it wants, or mend its forward."
        ) from error
    main = main_output(outputs)
    if not isinstance(main, Tensor):
        raise UsageError(
            "Expected the network to return a tensor, or a tuple, list or dict whose first value "
            f"is one, received {type(main).__name__}. See what its forward returns."
        )
    if tuple(main.shape) != (2, subject.classes) or not main.is_floating_point():
        kind = "" if main.is_floating_point() else f" of {main.dtype}"
        raise UsageError(
            f"Expected outputs of shape (2, {subject.classes}) for 2 images, received "
            f"{tuple(main.shape)}{kind}. Return one score a class and image."
        )


def told(error: Exception) -> str:
    """Return an exception's name and the first line of what it says."""
    first = str(error).strip().splitlines()
    return f"{type(error).__name__}: {first[0]}" if first else type(error).__name__
