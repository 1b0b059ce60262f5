"""What notation leaves out, and what it then is; names in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from striate.design.arithmetic import Padding, same_padding, window_extent
from striate.design.elementwise import Elementwise, PReLU
from striate.design.layer import Layer, Shape
from striate.design.notation.items import Item, Sizes
from striate.design.pointwise import GELU, LeakyReLU, ReLU, ReLU6, Sigmoid, SiLU, Tanh

DEFAULT_INPUT: Shape = (3, 224, 224)
DEFAULT_CLASSES = 10
HIDDEN = 128
KERNEL, WINDOW = (3, 3), (2, 2)

# What is left out in writing -> what it then is. The first layer concerned carries the sentence as
# its note; the writer leaves out again only what was left out before.
RULES = {
    "input": "no input written: 224x224x3",
    "filters": "no filters written: 32, twice as many after each pooling, at most 512",
    "kernel": "no filter size written: 3x3",
    "stride": "no stride written: 1",
    "padding": "no padding written: what keeps the size at stride 1, none at other strides",
    "window": "no pooling window written: 2x2",
    "steps": "no pooling stride written: as large as the window",
    "relu": "no activation written: a ReLU after every convolution and fully connected layer "
    "but the last",
    "hidden": "no width written: 128",
    "classes": "no number of classes written: 10",
    "p": "no probability written: 0.5",
    "lrn": "no constants written: size 5, alpha 1e-4 (divided by the size), beta 0.75, k 1",
    "slope": "no slope written: 0.01",
    "softmax": "soft-max: applied by the loss and by predict; the network gives what goes into it",
    "classifier": "soft-max with no fully connected layer before it: this layer is its weights",
    "added": "the last fully connected layer written has an activation: this one gives the classes",
    "dropped": "'?': no pooling after it, the image is too small",
    "optional": "'?': taken wherever the image is large enough for it",
}

ACTIVATIONS: dict[str, Callable[..., Layer]] = {
    "relu": ReLU,
    "relu6": ReLU6,
    "tanh": Tanh,
    "leaky_relu": LeakyReLU,
    "sigmoid": Sigmoid,
    "gelu": GELU,
    "silu": SiLU,
    "hardswish": partial(Elementwise, function="hardswish"),
    "prelu": partial(PReLU, each=True),
    "shared_prelu": PReLU,
}
# The other forms of dropout, and what a design.Noise calls them.
NOISES = {"plain_dropout": "plain", "gaussian_dropout": "gaussian", "gaussian_noise": "additive"}
WEIGHTED = ("conv", "fc", "classifier")


def filters_after(pools: int) -> int:
    """Return the filters of a convolution that does not say them, after so many poolings."""
    return min(32 << pools, 512)


def padding_of(written: Any, kernel: Sizes, stride: Sizes, dilation: Sizes) -> tuple[Padding, ...]:
    """Return (before, after) on each axis: numbers, `same`, `valid`, `full`; None is not said."""
    if written == "same":
        return tuple(map(same_padding, kernel, dilation))
    if written == "valid":
        return ((0, 0),) * len(kernel)
    if written == "full":
        extents = map(window_extent, kernel, dilation)
        return tuple((extent - 1, extent - 1) for extent in extents)
    if written is None:
        same = map(same_padding, kernel, dilation)
        return tuple(p if s == 1 else (0, 0) for p, s in zip(same, stride, strict=True))
    return tuple(written)


def gives_scores(items: Sequence[Item]) -> bool:
    """Tell whether layers end in scores, so that a soft-max needs no weights of its own."""
    return bool(items) and items[-1].kind in (
        "conv", "fc", "global_avg", "global_max", "avg_pool", "flatten",
    )  # fmt: skip


def lacks_classifier(items: Sequence[Item]) -> bool:
    """Tell whether the last layers are a fully connected one of no written width, activated."""
    behind = list(items)
    while behind and behind[-1].kind in (*ACTIVATIONS, *NOISES, "dropout"):
        behind.pop()
    active = any(item.kind in ACTIVATIONS for item in items[len(behind) :])
    last = behind[-1] if behind else None
    return active and last is not None and last.kind == "fc" and "features" not in last.values


class Namer:
    """Names in order: conv1, conv2; after a label `fc6` comes fc7."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def name(self, base: str, label: str = "") -> str:
        """Return the label, or the next name, and count it."""
        after = self._counts.get(base, 0) + 1
        if label:
            number = label[len(base) :] if label.startswith(base) else ""
            plain = number.isdecimal() and len(number) < 8 and str(int(number)) == number
            self._counts[base] = int(number) if plain else after
            return label
        self._counts[base] = after
        return base if base == "flatten" and after == 1 else f"{base}{after}"
