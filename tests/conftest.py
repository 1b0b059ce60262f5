"""What the tests share: where the data sets are, and how many threads torch may take."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hypothesis
import pytest

# Set before torch is first imported, here and in every process a test starts: the tests run many
# small networks, and two cores are shared by all of them.
os.environ.setdefault("OMP_NUM_THREADS", "1")

hypothesis.settings.register_profile(
    "striate", deadline=None, derandomize="CI" in os.environ, max_examples=60
)
hypothesis.settings.load_profile("striate")


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    """Draw the same numbers in a test whichever ran before it, and on whichever worker."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none."""
    wanting = [item for item in items if item.get_closest_marker("gpu")]
    if wanting:
        import torch

        if not torch.cuda.is_available():
            for item in wanting:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


def _named_set(name: str) -> Path:
    folder = os.environ.get("STRIATE_DATA")
    if not folder:
        pytest.skip(f"needs {name}: set STRIATE_DATA to a folder of data sets")
    path = Path(folder, name)
    if not path.exists():
        pytest.skip(f"needs {name}, which is not in STRIATE_DATA={folder}")
    return path


@pytest.fixture(scope="session")
def mnist() -> Path:
    """The folder of MNIST's four IDX files."""
    return _named_set("mnist")


@pytest.fixture(scope="session")
def fashion_mnist() -> Path:
    """The folder of Fashion-MNIST's four IDX files."""
    return _named_set("fashion_mnist")


@pytest.fixture(scope="session")
def cifar10() -> Path:
    """The folder that holds cifar-10-batches-bin."""
    return _named_set("cifar10")


@pytest.fixture(scope="session")
def grocery() -> Path:
    """The folder of photographs: train and test, 24 class folders each."""
    return _named_set("grocery")


@pytest.fixture(scope="session")
def published_weights() -> Path:
    """The folder of weights that others trained, in their formats."""
    return _named_set("weights")


@pytest.fixture(scope="session")
def imagenet_samples() -> Path:
    """The folder of 250 labelled photographs of ImageNet's classes, in one tar."""
    return _named_set("imagenet_samples")
