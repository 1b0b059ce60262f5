"""docs/notation.md: its Python is run, and writes the networks that its commands read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from striate import design, layers, zoo

PAGE = Path(__file__).parents[2] / "docs" / "notation.md"


def test_networks_of_the_page_are_written_and_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (source,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    made: dict[str, design.Network] = {}
    exec(compile(source, str(PAGE), "exec"), made)  # noqa: S102
    own, gated = zoo.read("own.json"), zoo.read("gated.json")
    assert own.parameter_count() == 80 + 2890 and gated == made["network"]
    kinds = [type(each) for each in gated.layers]
    assert {design.SiLU, design.Sigmoid, design.Multiply, design.Add} < {*kinds}
    x = torch.rand(2, 1, 8, 8)
    net = layers.build(gated, seed=0)
    with torch.no_grad():
        features = net.conv1(x)
        gate = torch.sigmoid(net.excite(torch.nn.functional.silu(features).mean((2, 3), True)))
        summed = (features + features * gate).flatten(1)
        assert torch.allclose(net(x), net.classes(summed), atol=1e-5)
