"""The house's own small network: what the default recipes train on small images."""

from __future__ import annotations

from collections.abc import Sequence

from striate.design import He, Network, Sketch
from striate.zoo.registry import Shape, register


@register(
    name="convnet",
    summary="stages of 3x3 convolution, batch norm, ReLU; pooled between, averaged at the end",
    citation="a small VGG with batch normalisation; no paper",
    input=(1, 28, 28),
    classes=10,
)
def convnet(
    *,
    name: str,
    classes: int,
    input: Shape,
    stages: Sequence[Sequence[int]] = ((32, 32), (64, 64), (128, 128)),
    dropout: float = 0.0,
) -> Network:
    """Write {{conv 3x3, batch norm, relu} x n, [max pool 2]} x stages, global average, linear.

    Args:
        name: of the network.
        classes: features of the last layer.
        input: (channels, height, width).
        stages: filters of each convolution, stage by stage.
        dropout: before the last layer.
    """
    net = Sketch(name, input, weight_init=He(fan="out"))
    for index, stage in enumerate(stages):
        if index:
            net.max_pool(f"stage{index}.pool", 2)
        for number, features in enumerate(stage):
            place = f"stage{index}.{number}"
            net.conv(f"{place}.conv", features, 3, padding=1, bias="none")
            net.batch_norm(f"{place}.bn")
            net.relu(f"{place}.relu")
    net.adaptive_avg_pool("average")
    net.flatten()
    if dropout:
        net.dropout("dropout", dropout)
    net.linear("classifier", classes)
    return net.finish()
