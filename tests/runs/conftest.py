"""A run of LeNet on which nothing has been trained yet."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.runs.made import make

from striate import runs, zoo
from striate.design import Network


@pytest.fixture(scope="module")
def network() -> Network:
    return zoo.network("lenet", classes=10)


@pytest.fixture
def run(tmp_path: Path, network: Network) -> runs.Run:
    return make(tmp_path / "run", network)
