"""LeNet as it is used today."""

from __future__ import annotations

from striate.design import He, Network, Sketch
from striate.zoo.registry import Shape, register


@register(
    name="lenet",
    summary="two 5x5 convolutions with pooling, three fully connected layers",
    citation="LeCun et al., Proc. IEEE 1998, with ReLU, max pooling and a softmax",
    input=(1, 28, 28),
    classes=10,
    parameters=61_706,
    macs=416_520,
    deviations="full C3, no trainable subsampling, no RBF output: `lenet5_1998` has them",
)
def lenet(*, name: str, classes: int, input: Shape) -> Network:
    """Write 6-16-120-84; 28x28 images are padded by 2."""
    net = Sketch(name, input, weight_init=He())
    net.conv("conv1", 6, 5, padding=2)
    net.relu("relu1")
    net.max_pool("pool1", 2)
    net.conv("conv2", 16, 5)
    net.relu("relu2")
    net.max_pool("pool2", 2)
    net.flatten()
    net.linear("fc1", 120)
    net.relu("relu3")
    net.linear("fc2", 84)
    net.relu("relu4")
    net.linear("fc3", classes)
    return net.finish()
