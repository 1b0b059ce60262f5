"""The house's own small network: what the default recipes train on small images."""

from __future__ import annotations

from collections.abc import Sequence

from striate.design import Network, Sketch
from striate.errors import UsageError
from striate.zoo.registry import Shape, register


@register(
    name="convnet",
    summary="stages of a pooled 3x3 convolution and a residual chain, global max pooling",
    citation="the ResNet-9 of DAWNBench (Page 2018), thinner; no paper",
    input=(1, 28, 28),
    classes=10,
)
def convnet(
    *,
    name: str,
    classes: int,
    input: Shape,
    widths: Sequence[int] = (32, 64, 128),
    depths: Sequence[int] = (2, 2, 2),
) -> Network:
    """Write stages of conv 3x3, max pool 2, norm, ReLU, then x + (conv 3x3, norm, ReLU) x depth.

    Pooling early keeps it cheap: 17 million multiply-adds on 28x28 images.

    Args:
        name: of the network.
        classes: features of the last layer.
        input: (channels, height, width).
        widths: filters of each stage.
        depths: length of the residual chain of each stage, 0 for none.
    """
    if len(widths) != len(depths):
        raise UsageError(f"{name}: expected a depth a stage, received {widths=}, {depths=}.")
    net = Sketch(name, input)
    for number, (width, depth) in enumerate(zip(widths, depths, strict=True), start=1):
        stage = f"stage{number}"
        net.conv(f"{stage}.conv", width, 3, padding=1, bias="none")
        net.max_pool(f"{stage}.pool", 2)
        net.batch_norm(f"{stage}.bn")
        entry = net.relu(f"{stage}.relu")
        for index in range(depth):
            net.conv(f"{stage}.chain.{index}.conv", width, 3, padding=1, bias="none")
            net.batch_norm(f"{stage}.chain.{index}.bn")
            net.relu(f"{stage}.chain.{index}.relu")
        if depth:
            net.add(f"{stage}.add", entry, net.last)
    net.adaptive_max_pool("pool")
    net.flatten()
    net.linear("fc", classes)
    return net.finish()
