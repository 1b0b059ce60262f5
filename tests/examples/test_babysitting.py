"""The lectures' slides come out as they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from striate import data
from striate.errors import DataError

SCRIPT = Path(__file__).parents[2] / "examples" / "babysitting.py"


def test_the_slides_are_reproduced() -> None:
    try:
        data.open("cifar10")
    except DataError:
        pytest.skip("CIFAR-10 is not here")
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick"],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == 0, ended.stderr
    text = ended.stdout
    start = float(re.search(r"decay 0: ([\d.]+)", text)[1])  # type: ignore[index]
    raised = float(re.search(r"decay 1000: ([\d.]+)", text)[1])  # type: ignore[index]
    assert start == pytest.approx(2.303, abs=0.002) and raised == pytest.approx(3.07, abs=0.03)
    assert "20 images: accuracy 1.00" in text
    assert re.search(r"rate 1e-06: loss 2.303 to 2.30.*: rate too low", text)
    assert re.search(r"rate 1e\+06: .*: (exploding|not finite)", text)
    assert re.search(r"rate 0.003: .*: (exploding|not finite)", text)
    assert "coarse" in text and "fine" in text and "best: accuracy" in text
