"""Plans: measured, kept, limited, obeyed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.engine.test_accelerate import shaken

from striate import design, engine, zoo
from striate.engine import Limits, Plan
from striate.engine.fast import able
from striate.engine.layer import error
from striate.engine.node import graph
from striate.engine.simplify import take_weights
from striate.engine.table import plan_table
from striate.errors import RecordError, UsageError
from striate.layers import build
from striate.records import from_json, to_json

NETWORK = zoo.network("resnet20", input=(3, 16, 16))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setattr("striate.engine.planning.cache_folder", lambda: tmp_path)
    return tmp_path


def everywhere(network: design.Network, algorithm: str) -> dict[str, str]:
    """Return a plan of one algorithm, where it can compute a layer."""
    names = [each.name for each in network.layers if isinstance(each, design.Conv)]
    return {n: algorithm for n in names if algorithm in able(network, n, "inference")}


@pytest.fixture(scope="module")
def measured() -> Plan:
    return engine.plan(NETWORK, batch=2, rounds=3, cached=False)


def test_filters_computed_as_one_have_both_names_and_blocks_alike_one_row() -> None:
    net = design.Sketch("separable", (8, 12, 12))
    for block in range(3):
        net.conv(f"{block}.each", 8, 3, padding=1, groups=8, bias="none")
        net.batch_norm(f"{block}.norm")
        net.relu(f"{block}.relu")
        net.conv(f"{block}.mix", 8, 1)
    found = engine.plan(net.finish(), rounds=3, cached=False)
    both = [(f"{block}.each", (f"{block}.mix",)) for block in range(3)]
    assert [(each.name, each.fused) for each in found.layers] == both
    assert from_json(Plan, to_json(found), "plan") == found
    _, rows, _ = plan_table(found)
    assert rows.splitlines()[-1].startswith("0.each + 0.mix x3  ") and "1.each" not in rows


def test_every_convolution_is_there(measured: Plan) -> None:
    names = [each.name for each in NETWORK.layers if isinstance(each, design.Conv)]
    assert [each.name for each in measured.layers] == names
    for layer in measured.layers:
        assert layer.candidates["default"].workspace_bytes == 0
        assert layer.remark and layer.chosen in layer.candidates
        assert all(each.ms > 0 and each.deterministic for each in layer.candidates.values())
        assert all(0 < each.relative_rms < 1e-5 for each in layer.candidates.values())
    assert set(measured.layers[1].candidates) > {"default", "winograd_4x4"}
    assert set(measured.layers[0].candidates) == {"default", "packed"}  # three channels
    chosen = sum(each.candidates[each.chosen].ms for each in measured.layers)
    assert measured.total_ms == pytest.approx(chosen)
    assert measured.default_ms == pytest.approx(
        sum(each.candidates["default"].ms for each in measured.layers)
    )


def test_limits_leave_only_the_default(measured: Plan) -> None:
    assert not measured.within(Limits(workspace=0)).algorithms
    assert not measured.within(Limits(error=1e-12)).algorithms
    exact = measured.within(Limits(error=1e-6))
    assert all(
        each.candidates[each.chosen].relative_rms <= 1e-6
        for each in exact.layers
        if each.chosen != "default"
    )


def test_the_second_plan_is_the_first(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = zoo.network("lenet")
    first = engine.plan(small, rounds=3)
    path = next(cache.rglob("*.json"))
    assert engine.read(path) == first
    monkeypatch.setattr("striate.engine.planning.measure", None)  # nothing is measured again
    assert engine.plan(small, rounds=3) == first
    assert engine.plan(small, rounds=3, limits=Limits(workspace=0)).key == first.key
    with pytest.raises(TypeError):  # but for another batch it is
        engine.plan(small, rounds=3, batch=2)


def test_a_kept_plan_that_is_damaged_is_made_again(cache: Path) -> None:
    small = zoo.network("lenet")
    engine.plan(small, rounds=3)
    path = next(cache.rglob("*.json"))
    path.write_text("{")
    with pytest.raises(RecordError):
        engine.read(path)
    engine.plan(small, rounds=3)
    assert engine.read(path).network == "lenet"


def emptied(plan: dict[str, Any]) -> None:
    plan["layers"] = []


def without_default(plan: dict[str, Any]) -> None:
    del plan["layers"][1]["candidates"]["default"]


def unknown(plan: dict[str, Any]) -> None:
    candidates = plan["layers"][1]["candidates"]
    candidates["magic"] = candidates["packed"] | {"ms": 1e-3, "lead": 9.0}


def renamed(plan: dict[str, Any]) -> None:
    plan["layers"][0]["name"] = "nonsense"


def faster(plan: dict[str, Any]) -> None:
    for layer in plan["layers"]:
        for each in layer["candidates"].values():
            each["ms"] = 0.0


@pytest.mark.parametrize("change", [emptied, without_default, unknown, renamed, faster])
def test_a_kept_plan_that_does_not_fit_is_made_again(
    change: Callable[[dict[str, Any]], None], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = zoo.network("lenet")
    first = engine.plan(small, rounds=3)
    monkeypatch.setattr("striate.engine.planning._measure", lambda *_: first.layers)
    path = next(cache.rglob("*.json"))
    changed = json.loads(path.read_text())
    change(changed)
    path.write_text(json.dumps(changed))
    assert engine.plan(small, rounds=3) == first
    assert engine.read(path) == first, "it is kept anew"


def test_a_plan_that_a_network_cannot_follow_is_refused() -> None:
    net = build(zoo.read("conv3-16 conv3-16 FC-10", input=(3, 8, 8)), seed=0).eval()
    for plan, said in (
        ({"nonsense": "packed"}, "'nonsense', which notation lacks"),
        ({"conv3": "packed"}, "did you mean conv"),
        ({"conv2": "winogard_4x4"}, "did you mean winograd_4x4"),
        ({"conv2": "depthwise"}, "conv2 by 'depthwise', which cannot"),
        ({"conv2": None}, "conv2 by None, which cannot"),
    ):
        with pytest.raises(UsageError, match=said):
            engine.accelerate(net, plan=plan)
    assert engine.accelerate(net, plan={"conv2": "default"}).algorithms == {}


@pytest.mark.parametrize("algorithm", ["winograd_4x4", "im2col", "reference", "direct"])
def test_a_program_computes_by_what_it_says(algorithm: str) -> None:
    """Also where it is not worth it: with three channels, by matrices, by loops."""
    net = build(zoo.read("conv3-8 maxpool conv3-8 FC-10", input=(3, 8, 8)), seed=0).eval()
    plan, images = {"conv1": algorithm, "conv2": algorithm}, torch.randn(2, 3, 8, 8)
    fast = engine.accelerate(net, plan=plan)
    assert fast.algorithms == plan
    kind = "Winograd" if algorithm.startswith("winograd") else "Spectral"
    assert [type(step.kernel).__name__ for step in fast._steps].count(kind) == 2
    with torch.no_grad():
        torch.testing.assert_close(fast(images), net(images), rtol=1e-4, atol=1e-5)
    wide = engine.accelerate(net.double(), plan=plan)
    assert wide.algorithms == {}, "nothing of ours computes in double precision there"
    torch.testing.assert_close(wide(images.double()), net(images.double()).detach())


def test_training_is_planned_layer_by_layer() -> None:
    plan = engine.plan(NETWORK, batch=2, direction="training", rounds=3, cached=False)
    assert plan.key.direction == "training"
    assert "winograd_4x4" in plan.layers[3].candidates


@pytest.mark.parametrize("algorithm", ["winograd_2x2", "winograd_4x4", "winograd_6x6"])
def test_a_net_by_any_algorithm_gives_the_same_answers(algorithm: str) -> None:
    for name, shape in (("resnet20", (3, 30, 21)), ("densenet_bc_100_12", (3, 19, 19))):
        net = shaken(zoo.network(name, input=shape))
        images = torch.randn(3, *shape)
        every = everywhere(net.network, algorithm)
        fast = engine.accelerate(net, images, plan=every)
        used = [type(step.kernel).__name__ for step in fast._steps]
        assert used.count("Winograd") > 10
        with torch.no_grad():
            expected = net(images)
        assert (fast(images) - expected).abs().max() <= 1e-4 * expected.abs().max()
        assert torch.equal(fast(images[1:2])[0], fast(images[[1]])[0])


def test_a_joined_value_is_written_where_it_lies() -> None:
    net = shaken(zoo.network("densenet_bc_100_12"))
    every = everywhere(net.network, "winograd_4x4")
    fast = engine.accelerate(net, plan=every)
    inside = [
        step
        for step in fast._steps
        if step.place and step.place.channels < step.place.whole[0] and step.kernel
    ]
    assert sum(type(step.kernel).__name__ == "Winograd" for step in inside) == 1 + 48


def test_an_image_does_not_depend_on_the_others_in_a_tile() -> None:
    net = shaken(NETWORK)
    every = everywhere(NETWORK, "winograd_4x4")
    images = torch.randn(3, 3, 16, 16)
    fast = engine.accelerate(net, images, plan=every)
    clean = fast(images)
    spoilt = images.clone()
    spoilt[1] = float("nan")
    assert torch.equal(fast(spoilt)[[0, 2]], clean[[0, 2]])
    assert torch.equal(fast(images), clean)


def test_the_error_is_of_the_class_that_papers_name() -> None:
    net = build(zoo.network("vgg11", input=(3, 32, 32), classes=10), seed=None)
    node = graph(net, native=True).nodes[8]
    take_weights(node.record, node)
    assert isinstance(node.record, design.Conv) and node.weight is not None
    node.weight = torch.randn(node.weight.shape) / 48
    node.bias = torch.zeros(node.record.features)
    direct, four = (error(node.record, node, each) for each in ("default", "winograd_4x4"))
    assert direct < 1e-6 < four < 3e-6


@pytest.mark.parametrize("side", [32, 45])  # 45: odd maps, whose last row and column pool to none
def test_pooling_is_the_end_of_a_convolution(side: int) -> None:
    net = shaken(zoo.network("vgg11", input=(3, side, side), classes=10))
    images = torch.randn(2, 3, side, side)
    every = everywhere(net.network, "winograd_4x4")
    fused = engine.accelerate(net, images, plan=every)
    kinds = [type(step.kernel).__name__ for step in fused._steps]
    assert kinds.count("Maximum") == 0
    apart = engine.accelerate(net, images, plan="default")
    assert [type(step.kernel).__name__ for step in apart._steps].count("Maximum") == 5
    with torch.no_grad():
        expected = net(images)
    for fast in (fused, apart):
        assert (fast(images) - expected).abs().max() <= 1e-4 * expected.abs().max()
    clean = fused(images)
    images[1] = torch.nan
    assert torch.equal(fused(images)[0], clean[0])


@pytest.mark.parametrize("algorithm", ["packed", "depthwise", "separable"])
def test_direct_kernels_of_our_own_give_the_same_answers(algorithm: str) -> None:
    for name in ("mobilenet_v1", "squeezenet1_1", "resnet20"):
        net = shaken(zoo.network(name, input=(3, 39, 33)))
        images = torch.randn(2, 3, 39, 33)
        every = everywhere(net.network, algorithm)
        fast = engine.accelerate(net, images, plan=every)
        kinds = [type(step.kernel).__name__ for step in fast._steps]
        if name == "mobilenet_v1":
            assert kinds.count("Pair" if algorithm == "separable" else "Chain") == 13
        elif algorithm == "packed":
            assert kinds.count("Packed") > 10 and "Padded" not in kinds
        with torch.no_grad():
            expected = net(images)
        assert (fast(images) - expected).abs().max() <= 1e-5 * expected.abs().max()
        clean = fast(images)
        images[0] = torch.nan
        assert torch.equal(fast(images)[1], clean[1])


@pytest.mark.parametrize("algorithm", ["fft", "fft_tiled"])
def test_large_filters_have_spectra_as_candidates(algorithm: str) -> None:
    seven = {"kernel": (7, 7), "stride": (1, 1), "padding": ((3, 3),) * 2, "dilation": (1, 1)}
    records = [
        design.Conv(name="conv", inputs=("x",), features=12, **seven),
        design.ReLU(name="relu", inputs=("conv",)),
    ]
    network = design.Network(
        name="large",
        inputs=(design.Input(name="x", shape=(9, 20, 18)),),
        layers=tuple(records),
        outputs=(design.Output(name="y", source="relu"),),
    )
    net, images = build(network, seed=0), torch.randn(2, 9, 20, 18)
    fast = engine.accelerate(net, images, plan={"conv": algorithm})
    assert type(fast._steps[0].kernel).__name__ == "Spectral"
    with torch.no_grad():
        torch.testing.assert_close(fast(images), net(images), rtol=1e-4, atol=1e-4)
    plan = engine.plan(network, rounds=3, cached=False)
    assert algorithm in plan.layers[0].candidates
