"""Networks without convolution: the linear classifier and the multi-layer perceptron."""

from __future__ import annotations

from striate.design import He, Network, Normal, Sketch
from striate.zoo.registry import Shape, register


@register(
    name="softmax",
    summary="linear classifier on pixels",
    citation="the linear classifier of every course",
    input=(3, 32, 32),
    classes=10,
    parameters=30_730,
    macs=30_720,
)
def softmax(*, name: str, classes: int, input: Shape) -> Network:
    """Write scores = W x + b on the flattened pixels."""
    net = Sketch(name, input, weight_init=Normal(std=0.001))
    net.flatten()
    net.linear("fc", classes)
    return net.finish()


@register(
    name="mlp",
    summary="{affine, [batch norm], relu, [dropout]} x (L - 1), affine",
    citation="the fully connected network of every course",
    input=(3, 32, 32),
    classes=10,
    parameters=394_634,
    macs=394_496,
)
def mlp(
    *,
    name: str,
    classes: int,
    input: Shape,
    hidden: tuple[int, ...] = (128,),
    batch_norm: bool = False,
    dropout: float = 0.0,
) -> Network:
    """Write a perceptron with a hidden layer for each width in `hidden`."""
    net = Sketch(name, input, weight_init=He())
    net.flatten()
    for index, width in enumerate(hidden, start=1):
        net.linear(f"fc{index}", width)
        if batch_norm:
            net.batch_norm(f"bn{index}")
        net.relu(f"relu{index}")
        if dropout:
            net.dropout(f"drop{index}", dropout)
    net.linear(f"fc{len(hidden) + 1}", classes)
    return net.finish()
