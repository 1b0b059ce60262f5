"""docs/notation.md: its Python is run, and writes the networks that its commands read."""

from __future__ import annotations

import inspect
import os
import re
from pathlib import Path

import msgspec
import pytest
import torch

from striate import design, layers, zoo
from striate.records import kinds

PAGE = Path(__file__).parents[2] / "docs" / "notation.md"


def _python() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_networks_of_the_page_are_written_and_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = _python()[0]
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


def test_the_shuffle_of_the_page_shuffles() -> None:
    made: dict[str, design.Network] = {}
    exec(compile(_python()[1], str(PAGE), "exec"), made)  # noqa: S102
    shuffled = made["shuffled"]
    x = torch.arange(2 * 8 * 36, dtype=torch.float32).view(2, 8, 6, 6)
    net = layers.build(shuffled, seed=0)
    with torch.no_grad():
        turned = net.whole(net.turn(net.apart(x)))
        assert torch.equal(turned, torch.nn.functional.channel_shuffle(x, 2))
        assert torch.allclose(net(x), net.conv(turned))
    captions = [row.caption for row in design.sheet(shuffled).layers[:3]]
    assert captions == [
        "reshape 2x4, last 2 kept",
        "permute axes 1 0 2 3 (without batch)",
        "reshape 8, last 2 kept",
    ]


def test_the_page_lists_every_kind_of_layer() -> None:
    start, end = "anew -->\n", "<!-- end of kinds -->"
    found = _kinds()
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(start)
    _, after = rest.split(end)
    if os.environ.get("STRIATE_GOLDEN") == "write":
        PAGE.write_text(f"{before}{start}{found}{end}{after}", encoding="utf-8")
        return
    assert rest.split(end)[0] == found, "write it anew: STRIATE_GOLDEN=write"


def _kinds() -> str:
    """Return the table: each kind by its class, its own fields, the first line said of it."""
    shared = {each.name for each in msgspec.structs.fields(design.Layer)}
    lines = ["| layer | fields | what it does |", "|---|---|---|"]
    for kind in sorted(kinds(design.Layer).values(), key=lambda each: each.__name__.lower()):
        assert getattr(design, kind.__name__) is kind, "not in striate.design"
        own = [each for each in msgspec.structs.fields(kind) if each.name not in shared]
        fields = ", ".join(each.name if each.required else f"[{each.name}]" for each in own)
        said = (inspect.getdoc(kind) or "").partition("\n")[0].replace("|", "\\|")
        lines.append(f"| `{kind.__name__}` | {fields} | {said} |")
    return "\n".join(lines) + "\n"
