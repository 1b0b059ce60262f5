"""Whether scores can be of any sign: what makes them, and what other weights would make of them."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from striate.doctor.effort import glance
from striate.doctor.subject import Subject, main_output
from striate.doctor.usual import drawn_anew

_DRAWS, _FEW_IMAGES = 16, 16  # of layers drawn anew, and what each draw is shown
_LINEAR: Final = ("AddmmBackward", "MmBackward", "BmmBackward", "ConvolutionBackward")
_RESHAPED: Final = (
    *("ViewBackward", "UnsafeViewBackward", "ReshapeAliasBackward", "SqueezeBackward"),
    *("UnsqueezeBackward", "TransposeBackward", "PermuteBackward", "CloneBackward"),
    *("MeanBackward", "AvgPool2DBackward", "AdaptiveAvgPool2DBackward"),
)


def may_be_negative(subject: Subject) -> bool:
    """Tell whether scores come straight from a linear layer, or are negative with other weights.

    Scores of two classes are all positive in about one draw of four, and in 16 of 16 never.
    """
    images = glance(subject, _FEW_IMAGES, passes=_DRAWS)
    generator = torch.Generator().manual_seed(subject.seed)
    with subject.quiet(training=True) as net:
        with torch.enable_grad():
            scores = main_output(net(images.clone().requires_grad_()))
        if _from_linear(scores):
            return True
        said = False
        with torch.no_grad():
            for _ in range(_DRAWS):
                with drawn_anew(net, generator):
                    scores = main_output(net(images)).float()
                said |= bool(scores.std() > 0)  # what begins at zero stays there: that says nothing
                if bool((scores < 0).any()):
                    return True
    return not said


def _from_linear(scores: Tensor) -> bool:
    """Tell whether the graph has scores come from a linear layer or convolution, reshaped at most.

    A mean over places is a reshaping too.
    """
    made = scores.grad_fn
    while made is not None and made.name().startswith(_RESHAPED):
        made = next((before for before, _ in made.next_functions if before is not None), None)
    return made is not None and made.name().startswith(_LINEAR)
