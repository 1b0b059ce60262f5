"""A thousand photographs: the fused net names what torch names."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from striate import design, engine, zoo
from striate.engine.kernel import Kernel
from striate.engine.lower import Chain
from striate.layers import Net, build

BATCH = 25


def photographs(samples: Path, grocery: Path) -> Iterator[Image.Image]:
    """Yield 250 photographs of ImageNet's classes and 750 of groceries."""
    with tarfile.open(next(samples.glob("*.tar"))) as tar:
        names = sorted(name for name in tar.getnames() if name.lower().endswith((".jpg", ".jpeg")))
        for name in names:
            file = tar.extractfile(name)
            if file is not None:
                yield Image.open(file)
    for path in islice(sorted(grocery.glob("*/*/*.jpg"), key=lambda each: each.name), 750):
        yield Image.open(path)


def pixels(image: Image.Image) -> Tensor:
    """Return the middle 224 x 224 pixels of a photograph whose short side is 256."""
    scale = 256 / min(image.size)
    size = (round(image.width * scale), round(image.height * scale))
    image = image.convert("RGB").resize(size, Image.Resampling.BILINEAR)
    left, top = (size[0] - 224) // 2, (size[1] - 224) // 2
    levels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32)
    return torch.from_numpy((levels / 255 - 0.45) / 0.225).permute(2, 0, 1)


def calibrated(name: str, images: Tensor) -> Net:
    """Return a net with random weights whose batch-norms know the images' statistics."""
    net = build(zoo.network(name), seed=0)
    norms = [each for each in net.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = None
    if norms:
        with torch.no_grad():
            net.train()(images)
    return net.eval()


def kinds(kernel: Kernel | None) -> set[str]:
    """Return what a step is computed by: a chain by its parts."""
    if not isinstance(kernel, Chain):
        return {type(kernel).__name__}
    return {type(each).__name__ for each in (*(each for each, _ in kernel.before), kernel.last)}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v1", "googlenet_bn", "vgg16", "densenet121"]
)
def test_a_thousand_photographs_keep_their_names(
    name: str, imagenet_samples: Path, grocery: Path
) -> None:
    images = torch.stack([pixels(each) for each in photographs(imagenet_samples, grocery)])
    assert len(images) == 1000
    net = calibrated(name, images[np.linspace(0, 999, 64).astype(int)])
    every = {}
    for layer in net.network.layers:
        if not isinstance(layer, design.Conv):
            continue
        single = layer.groups > 1
        square = layer.kernel == (3, 3) and layer.stride == (1, 1)
        every[layer.name] = "depthwise" if single else "winograd_4x4" if square else "packed"
    fast = engine.accelerate(net, images[:BATCH], plan=every)
    assert {"Winograd", "Depthwise"} & {kind for step in fast._steps for kind in kinds(step.kernel)}
    flips, farthest = 0, 0.0
    for batch in images.split(BATCH):
        with torch.inference_mode():
            expected = net(batch)
        received = fast(batch)
        farthest = max(farthest, float((received - expected).abs().max() / expected.abs().max()))
        first, second = expected.topk(2).values.T
        sure = first - second > 1e-3
        flips += int((received.argmax(1) != expected.argmax(1))[sure].sum())
    assert flips == 0
    assert farthest < 1e-4
