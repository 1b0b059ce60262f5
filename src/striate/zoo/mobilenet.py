"""MobileNet v1: depthwise and pointwise convolutions, with the names of the published weights."""

from __future__ import annotations

from striate.design import He, Network, ReLU, ReLU6, Sketch
from striate.errors import UsageError
from striate.zoo.declared import Accuracy, Figure
from striate.zoo.registry import Shape, register

# Features and stride of each depthwise-separable pair (table 1).
_PAIRS = (
    ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2))
    + ((512, 1),) * 5
    + ((1024, 2), (1024, 1))
)


@register(
    name="mobilenet_v1",
    summary="thirteen pairs of a depthwise 3x3 and a 1x1 convolution",
    citation="Howard et al., 'MobileNets', 2017, table 1",
    input=(3, 224, 224),
    parameters=4_231_976,
    macs=568_740_352,
    deviations="ReLU6, batch norm's eps of 0.001 and padding after the image where the stride is 2 "
    "are the published weights'; the paper prints none of the three. They want pixels in -1..1",
    declared=(
        Figure(what="parameters", printed="4.2M"),
        Figure(what="macs", printed="569M"),
    ),
    accuracy=(Accuracy(data="imagenet", top1=70.6, source="the paper, one crop"),),
)
def mobilenet_v1(
    *,
    name: str,
    classes: int,
    input: Shape,
    width: float = 1.0,
    relu6: bool = True,
    dropout: float = 0.001,
) -> Network:
    """Write the network with the paper's width multiplier; its resolution multiplier is the input.

    Args:
        name: of the network.
        classes: features of the last layer.
        input: (channels, height, width).
        width: multiplies the channels of every layer, rounded down.
        relu6: cut activations at 6.
        dropout: before the classifier.
    """
    if int(32 * width) < 1:
        raise UsageError(f"Expected a width that leaves channels, received width={width}.")
    net = Sketch(name, input, weight_init=He())
    activation = ReLU6 if relu6 else ReLU

    def unit(layer: str, features: int, kernel: int, stride: int, groups: int = 1) -> None:
        around = kernel // 2
        before = 0 if stride == 2 else around
        padding = ((before, around), (before, around))
        net.conv(
            layer, features, kernel, stride=stride, padding=padding, groups=groups, bias="none"
        )
        net.batch_norm(f"{layer}_bn", eps=1e-3)
        net.put(activation(name=f"{layer}_relu", inputs=(net.last,)))

    channels = int(32 * width)
    unit("conv1", channels, 3, 2)
    for index, (full, stride) in enumerate(_PAIRS, start=1):
        unit(f"conv_dw_{index}", channels, 3, stride, groups=channels)
        channels = int(full * width)
        unit(f"conv_pw_{index}", channels, 1, 1)
    net.adaptive_avg_pool("pool")
    net.flatten()
    if dropout:
        net.dropout("dropout", dropout)
    net.linear("conv_preds", classes)
    return net.finish()
