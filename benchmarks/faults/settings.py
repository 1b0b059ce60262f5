"""Where faults are tried: thinned data, three kinds of network, and a recipe that trains each well.

Rules were tuned on the digits alone; Fashion-MNIST and CIFAR-10 are there to be quoted.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from striate import data, train
from striate.data import Dataset
from striate.data.samples import ArraySamples
from striate.design import Network, Sketch
from striate.design.init import Init
from striate.design.pointwise import Sigmoid
from striate.train import Recipe


@dataclass(frozen=True)
class Setting:
    """A data set, thinned.

    Args:
        name: of the data set.
        shape: (channels, height, width) of its images.
        images: to train on, to validate and to test; the digits keep what they have.
        epochs: of a healthy run.
        tuned_on: whether rules were set with its runs in view.
    """

    name: str
    shape: tuple[int, int, int]
    images: tuple[int, int, int]
    epochs: int
    tuned_on: bool


SETTINGS: dict[str, Setting] = {
    each.name: each
    for each in (
        Setting("digits", (1, 8, 8), (1000, 260, 537), 8, True),
        Setting("fashion_mnist", (1, 28, 28), (1200, 400, 800), 6, False),
        Setting("cifar10", (3, 32, 32), (2000, 500, 1000), 6, False),
    )
}


@dataclass(frozen=True)
class Make:
    """What a network is made of, so that a fault can change one thing of it.

    Args:
        kind: plain (LeNet's), vgg or resnet.
        shape: of images.
        start, bias: initialisation of all layers but the classifier, if not He's and 0.
        squash: sigmoids in place of rectifiers.
        width: features of the first layer; the others follow.
        drop: share dropped before the classifier.
        frozen: layers that do not train, by the beginning of their names.
    """

    kind: str
    shape: tuple[int, int, int]
    start: Init | None = None
    bias: Init | None = None
    squash: bool = False
    width: int = 12
    drop: float = 0.0
    frozen: tuple[str, ...] = ()

    def __call__(self, **changes: object) -> Network:
        """Return the network, with some of its making changed."""
        made = replace(self, **changes)  # type: ignore[arg-type]
        network = KINDS[made.kind](made)
        return network.replace(layers=tuple(map(made._started, network.layers)))

    def _started(self, layer: object) -> object:
        wanted = {"weight_init": self.start, "bias_init": self.bias}
        wanted = {key: value for key, value in wanted.items() if value is not None}
        if self.frozen and layer.name.startswith(self.frozen):
            layer = layer.replace(trainable=False)
        inner = hasattr(layer, "features") and layer.name != "classifier"
        return layer.replace(**wanted) if inner else layer

    @property
    def stride(self) -> int:
        """Of the first convolution: larger images are halved there."""
        return 2 if self.shape[1] > 16 else 1


def plain(make: Make) -> Network:
    """Return LeNet's kind: two convolutions, two fully connected layers, no normalisation."""
    pen = Sketch("plain", make.shape)
    for index, features in enumerate((make.width, 2 * make.width), 1):
        stride = make.stride if index == 1 else 1
        pen.conv(f"conv{index}", features, 3, stride=stride, padding=1)
        _squash(pen, f"act{index}", make)
        pen.max_pool(f"pool{index}", 2)
    pen.flatten()
    pen.linear("fc1", 5 * make.width)
    _squash(pen, "act3", make)
    return _classified(pen, make)


def vgg(make: Make) -> Network:
    """Return VGG's kind: pairs of convolutions with batch-norm."""
    pen = Sketch("vgg", make.shape)
    for block, features in enumerate((make.width, 2 * make.width), 1):
        for index in (1, 2):
            stride = make.stride if (block, index) == (1, 1) else 1
            pen.conv(f"conv{block}_{index}", features, 3, stride=stride, padding=1)
            pen.batch_norm(f"norm{block}_{index}")
            _squash(pen, f"act{block}_{index}", make)
        pen.max_pool(f"pool{block}", 2)
    pen.flatten()
    return _classified(pen, make)


def resnet(make: Make) -> Network:
    """Return ResNet's kind: a stem and two residual blocks."""
    pen = Sketch("resnet", make.shape)
    pen.conv("conv1", make.width, 3, stride=make.stride, padding=1)
    pen.batch_norm("norm1")
    last = _squash(pen, "act1", make)
    if make.stride > 1:
        last = pen.max_pool("pool1", 2)
    for block in (2, 3):
        pen.conv(f"conv{block}_1", make.width, 3, padding=1, of=last)
        pen.batch_norm(f"norm{block}_1")
        _squash(pen, f"act{block}_1", make)
        pen.conv(f"conv{block}_2", make.width, 3, padding=1)
        end = pen.batch_norm(f"norm{block}_2")
        pen.add(f"add{block}", last, end)
        last = pen.relu(f"act{block}_2")
    pen.adaptive_avg_pool("average", 2)
    pen.flatten()
    return _classified(pen, make)


KINDS: dict[str, Callable[[Make], Network]] = {"plain": plain, "vgg": vgg, "resnet": resnet}


def _squash(pen: Sketch, name: str, make: Make) -> str:
    if make.squash:
        return pen.put(Sigmoid(name=name, inputs=(pen.last,)))
    return pen.relu(name)


def _classified(pen: Sketch, make: Make) -> Network:
    if make.drop:
        pen.dropout("drop", make.drop)
    pen.linear("classifier", 10)
    return pen.finish()


def healthy(setting: Setting, network: Network, seed: int) -> Recipe:
    """Return a recipe that trains each kind of network well in a few seconds."""
    channels = "grey" if setting.shape[0] == 1 else "rgb"
    return Recipe(
        name="corpus",
        network=network,
        data=train.DataChoice(path=setting.name),
        preprocessing=train.Preprocessing(channels=channels, size=setting.shape[1:]),
        optimiser=train.SGD(rate=0.03, momentum=0.9, decay=5e-4),
        epochs=setting.epochs,
        batch=32,
        seed=seed,
        workers=0,
        device="cpu",
        checkpoint_minutes=60.0,
    )


@functools.cache
def thinned(setting: Setting, seed: int) -> Dataset:
    """Return some of a data set's images in three parts, other ones for every seed."""
    dataset = data.open(setting.name)
    whole = dataset.parts.get("train", dataset.parts.get("all"))
    if not isinstance(whole, ArraySamples):
        raise TypeError("the corpus works on images in memory")
    order = np.random.default_rng(seed).permutation(len(whole))
    parts, begin = {}, 0
    for name, count in zip(("train", "validation", "test"), setting.images, strict=True):
        parts[name] = whole.subset(order[begin : begin + count])
        begin += count
    return replace(dataset, parts=parts)
