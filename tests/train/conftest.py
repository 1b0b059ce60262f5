"""Small recipes on the digits, and processes that train them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from striate.data import Affine, Dataset, Flip, PadAndCrop
from striate.data import open as open_data
from striate.design import Network, Sketch
from striate.records import to_json
from striate.train import SGD, DataChoice, Ema, Preprocessing, Recipe

MakeRecipe = Callable[..., Recipe]


def sketch(*, norm: bool = True, dropout: float = 0.2) -> Network:
    """Return a convolution, a classifier and, in between, what can go wrong."""
    pen = Sketch("small", (1, 8, 8))
    pen.conv("conv1", 8, 3, padding=1)
    if norm:
        pen.batch_norm("norm1")
    pen.relu("relu1")
    pen.max_pool("pool1", 2)
    pen.flatten()
    if dropout:
        pen.dropout("drop", dropout)
    pen.linear("classifier", 10)
    return pen.finish()


@pytest.fixture(scope="session")
def make_network() -> Callable[..., Network]:
    return sketch


@pytest.fixture(scope="session")
def make_recipe() -> MakeRecipe:
    """Make a recipe of 5 steps an epoch, 2 epochs, with everything random that there is."""

    def make(**changes: Any) -> Recipe:
        recipe = Recipe(
            name="small",
            network=sketch(),
            data=DataChoice(path="digits", test=0.8, validation=0.15),
            preprocessing=Preprocessing(channels="grey", size=(8, 8)),
            augmentation=(PadAndCrop(pad=1), Flip(), Affine(rotate_degrees=10.0)),
            optimiser=SGD(rate=0.05, momentum=0.9, decay=1e-3),
            ema=Ema(decay=0.9),
            warmup_epochs=0.5,
            epochs=2,
            batch=64,
            workers=1,
            device="cpu",
        )
        return recipe.replace(**changes)

    return make


@pytest.fixture
def digits() -> Dataset:
    return open_data("digits")


TRAIN = """
import sys
from pathlib import Path
from striate import train
from striate.errors import StriateError
from striate.records import from_json
{before}
try:
    if Path(sys.argv[2], "run.json").exists():
        train.resume(sys.argv[2])
    else:
        recipe = from_json(train.Recipe, Path(sys.argv[1]).read_bytes())
        train.train(recipe, out=sys.argv[2])
except StriateError as error:
    print(f"{{type(error).__name__}}: {{error}}", file=sys.stderr)
    sys.exit(2)
"""


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start a process that trains a recipe into a run folder, or resumes the one that is there.

    `before` is Python that runs first; `environment` is added to the process's.
    """

    def run(
        recipe: Recipe, out: Path, before: str = "", environment: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        document = tmp_path / "recipe.json"
        document.write_bytes(to_json(recipe))
        return subprocess.Popen(
            [sys.executable, "-c", TRAIN.format(before=before), str(document), str(out)],
            env=os.environ
            | {"OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}
            | (environment or {}),
            stderr=subprocess.PIPE,
            text=True,
        )

    return run


@pytest.fixture
def start_together(
    start: Callable[..., subprocess.Popen[str]],
) -> Callable[..., list[subprocess.Popen[str]]]:
    """Start several processes that train one recipe together, as torchrun does."""

    def run(count: int, *arguments: Any, **more: Any) -> list[subprocess.Popen[str]]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
        return [
            start(
                *arguments,
                **more,
                environment=address | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            )
            for rank in range(count)
        ]

    return run
