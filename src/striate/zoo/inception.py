"""Inception-v3, with torchvision's names: factorised convolutions, 1xN and Nx1."""

from __future__ import annotations

from striate.design import Network, Normal, Output, Sketch
from striate.zoo.declared import Figure, torchvision
from striate.zoo.registry import Shape, register

_PAPER = "Szegedy et al., 'Rethinking the Inception Architecture', CVPR 2016"

Kernel = int | tuple[int, int]


class _Writer:
    """Writes units of convolution, batch norm and ReLU, and the modules made of them."""

    def __init__(self, net: Sketch) -> None:
        self.net = net

    def unit(
        self,
        scope: str,
        features: int,
        kernel: Kernel,
        *,
        stride: int = 1,
        same: bool = True,
        std: float = 0.1,
        of: str | None = None,
    ) -> str:
        """Write a unit; `same` pads to keep the size at stride 1. Returns its ReLU's name."""
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        self.net.conv(
            f"{scope}.conv",
            features,
            (height, width),
            stride=stride,
            padding=(height // 2, width // 2) if same else 0,
            bias="none",
            weight_init=Normal(std=std),
            of=of,
        )
        self.net.batch_norm(f"{scope}.bn", eps=1e-3)
        return self.net.relu(f"{scope}.relu")

    def chain(
        self, scope: str, names: tuple[str, ...], layers: tuple[tuple[int, Kernel], ...], of: str
    ) -> str:
        """Write units one after another: a branch of a module."""
        last = of
        for name, (features, kernel) in zip(names, layers, strict=True):
            last = self.unit(f"{scope}.{name}", features, kernel, of=last)
        return last

    def pooled(self, scope: str, features: int, of: str) -> str:
        """Write the branch of average pooling and a 1x1 unit."""
        pool = self.net.avg_pool(f"{scope}.pool", 3, stride=1, padding=1, of=of)
        return self.unit(f"{scope}.branch_pool", features, 1, of=pool)

    def fine(self, scope: str, pooled: int) -> None:
        """Write a module of 5x5 and doubled 3x3 (the paper's figure 5, at 35x35)."""
        source = self.net.last
        one = self.unit(f"{scope}.branch1x1", 64, 1)
        five = self.chain(scope, _numbered("branch5x5", 2), ((48, 1), (64, 5)), source)
        layers = ((64, 1), (96, 3), (96, 3))
        double = self.chain(scope, _numbered("branch3x3dbl", 3), layers, source)
        pool = self.pooled(scope, pooled, source)
        self.net.concat(f"{scope}.concat", one, five, double, pool)

    def halve(self, scope: str) -> None:
        """Write the reduction from 35x35 to 17x17."""
        source = self.net.last
        three = self.unit(f"{scope}.branch3x3", 384, 3, stride=2, same=False)
        self.chain(scope, _numbered("branch3x3dbl", 2), ((64, 1), (96, 3)), source)
        double = self.unit(f"{scope}.branch3x3dbl_3", 96, 3, stride=2, same=False)
        pool = self.net.max_pool(f"{scope}.pool", 3, stride=2, of=source)
        self.net.concat(f"{scope}.concat", three, double, pool)

    def factorised(self, scope: str, width: int) -> None:
        """Write a module of 1x7 and 7x1 (figure 6, n = 7, at 17x17)."""
        source, row, column = self.net.last, (1, 7), (7, 1)
        one = self.unit(f"{scope}.branch1x1", 192, 1)
        layers: tuple[tuple[int, Kernel], ...] = ((width, 1), (width, row), (192, column))
        single = self.chain(scope, _numbered("branch7x7", 3), layers, source)
        layers = ((width, 1), (width, column), (width, row), (width, column), (192, row))
        double = self.chain(scope, _numbered("branch7x7dbl", 5), layers, source)
        pool = self.pooled(scope, 192, source)
        self.net.concat(f"{scope}.concat", one, single, double, pool)

    def halve_again(self, scope: str) -> None:
        """Write the reduction from 17x17 to 8x8."""
        source = self.net.last
        self.unit(f"{scope}.branch3x3_1", 192, 1)
        three = self.unit(f"{scope}.branch3x3_2", 320, 3, stride=2, same=False)
        names = _numbered("branch7x7x3", 3)
        self.chain(scope, names, ((192, 1), (192, (1, 7)), (192, (7, 1))), source)
        seven = self.unit(f"{scope}.branch7x7x3_4", 192, 3, stride=2, same=False)
        pool = self.net.max_pool(f"{scope}.pool", 3, stride=2, of=source)
        self.net.concat(f"{scope}.concat", three, seven, pool)

    def spread(self, scope: str) -> None:
        """Write a module that ends in 1x3 beside 3x1 (figure 7, at 8x8)."""
        source = self.net.last
        one = self.unit(f"{scope}.branch1x1", 320, 1)
        split = self.unit(f"{scope}.branch3x3_1", 384, 1, of=source)
        a = self.unit(f"{scope}.branch3x3_2a", 384, (1, 3), of=split)
        b = self.unit(f"{scope}.branch3x3_2b", 384, (3, 1), of=split)
        three = self.net.concat(f"{scope}.concat3x3", a, b)
        split = self.chain(scope, _numbered("branch3x3dbl", 2), ((448, 1), (384, 3)), source)
        a = self.unit(f"{scope}.branch3x3dbl_3a", 384, (1, 3), of=split)
        b = self.unit(f"{scope}.branch3x3dbl_3b", 384, (3, 1), of=split)
        double = self.net.concat(f"{scope}.concat3x3dbl", a, b)
        pool = self.pooled(scope, 192, source)
        self.net.concat(f"{scope}.concat", one, three, double, pool)

    def stem(self) -> None:
        """Write the layers down to 35x35x192 (on 299x299)."""
        self.unit("Conv2d_1a_3x3", 32, 3, stride=2, same=False)
        self.unit("Conv2d_2a_3x3", 32, 3, same=False)
        self.unit("Conv2d_2b_3x3", 64, 3)
        self.net.max_pool("maxpool1", 3, stride=2)
        self.unit("Conv2d_3b_1x1", 80, 1)
        self.unit("Conv2d_4a_3x3", 192, 3, same=False)
        self.net.max_pool("maxpool2", 3, stride=2)

    def head(self, classes: int) -> Output:
        """Write the auxiliary classifier beside the last value, which stays the last."""
        net, source = self.net, self.net.last
        net.avg_pool("AuxLogits.pool", 5, stride=3)
        self.unit("AuxLogits.conv0", 128, 1)
        self.unit("AuxLogits.conv1", 768, 5, same=False, std=0.01)
        net.adaptive_avg_pool("AuxLogits.avgpool")
        net.flatten("AuxLogits.flatten")
        head = net.linear("AuxLogits.fc", classes, weight_init=Normal(std=0.001))
        net.last = source
        return Output(name="aux", source=head, train_only=True, loss_weight=0.4)


@register(
    name="inception_v3",
    summary="factorised inception modules at 35, 17 and 8 pixels, one head for training",
    citation=f"{_PAPER}, section 6, as torchvision builds it",
    input=(3, 299, 299),
    parameters=27_161_264,
    macs=5_713_216_096,
    deviations="the layers are those of the published weights, which differ in widths from the "
    "paper's table 1; the weight of the head's loss, 0.4, is torchvision's. The published weights "
    "want images normalised with mean 0.5 and deviation 0.5, which torchvision's transform_input "
    "computes inside the network and which belongs to the contract here; images under 299x299 do "
    "not fit the head: auxiliary=False",
    declared=(
        Figure(what="macs", printed="5G"),
        Figure(what="macs", printed="5.713G", source="torchvision"),
        Figure(what="parameters", printed="23,834,568", source="torchvision"),
    ),
    accuracy=(torchvision(77.294, 93.450),),
)
def inception_v3(
    *, name: str, classes: int, input: Shape, auxiliary: bool = True, dropout: float = 0.5
) -> Network:
    """Write the network.

    Args:
        name: of the network.
        classes: features of the last layer.
        input: (channels, height, width).
        auxiliary: whether to write the head on the last 17x17 module, whose loss counts 0.4. Its
            5x5 filter wants those 17 pixels, so images under 299x299 go without it.
        dropout: before the classifier.
    """
    net = Sketch(name, input, weight_init=Normal(std=0.1))
    writer = _Writer(net)
    writer.stem()
    for index, pooled in (("b", 32), ("c", 64), ("d", 64)):
        writer.fine(f"Mixed_5{index}", pooled)
    writer.halve("Mixed_6a")
    for index, width in (("b", 128), ("c", 160), ("d", 160), ("e", 192)):
        writer.factorised(f"Mixed_6{index}", width)
    heads = [writer.head(classes)] if auxiliary else []
    writer.halve_again("Mixed_7a")
    for index in ("b", "c"):
        writer.spread(f"Mixed_7{index}")
    net.adaptive_avg_pool("avgpool")
    net.flatten()
    net.dropout("dropout", dropout)
    net.linear("fc", classes)
    return net.finish(*heads)


def _numbered(branch: str, count: int) -> tuple[str, ...]:
    return tuple(f"{branch}_{number}" for number in range(1, count + 1))
