"""A run that was never trained, on images that say their class by their colour."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from striate import data, runs, zoo
from striate.contract import Class, Contract, Resize
from striate.layers import build

COLOURS = {"amber": (255, 190, 0), "blue": (0, 0, 255), "cyan": (0, 255, 255)}
CHOICE = {
    "split_seed": 0,
    "validation": 0.1,
    "validation_most": 5000,
    "test": 0.25,
    "strict": False,
}


def write_images(folder: Path, count: int, colours: dict[str, tuple[int, int, int]]) -> Path:
    random = np.random.default_rng(0)
    for name, colour in colours.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            noise = random.integers(-20, 21, (20, 20, 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number:02d}.png")
    return folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three class folders of 20 images each."""
    return write_images(tmp_path_factory.mktemp("colours"), 20, COLOURS)


@pytest.fixture
def make_run(tmp_path: Path, folder: Path) -> Callable[..., runs.Run]:
    """Make a run whose network tells the colours apart, or (`right=False`) has random weights."""

    def make(right: bool = True, name: str = "run") -> runs.Run:
        contract = Contract(
            classes=tuple(Class(id=each, label=each.title()) for each in COLOURS),
            channels="rgb",
            size=(16, 16),
            resize=Resize(rule="exact", size=(16, 16)),
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
        )
        network = zoo.network("softmax", classes=3, input=(3, 16, 16))
        dataset = data.open(str(folder))
        split = data.split(dataset, seed=0, validation=0.1, validation_most=5000, test=0.25)
        made = runs.create(
            tmp_path / name,
            network=network,
            contract=contract,
            recipe={"data": {"path": str(folder), **CHOICE}},
            data=split.document(),
            env={},
            plan={},
        )
        net = build(network, seed=3)
        if right:
            (weight, bias) = (dict(net.named_parameters())[n.name] for n in network.parameters())
            means = torch.tensor(list(COLOURS.values())) / 127.5 - 1
            with torch.no_grad():  # the nearest mean, as a linear classifier
                planes = means[:, :, None].expand(3, 3, 256) / 256
                weight.copy_(2 * planes.reshape(3, -1))
                bias.copy_(-(means**2).sum(1))
        save_file(net.state_dict(), made.weights, {"run": made.identity})
        return made

    return make


@pytest.fixture
def trained(make_run: Callable[..., runs.Run]) -> runs.Run:
    """A run whose network tells the colours apart."""
    return make_run()
