"""Units: their patches, their reconstruction, their filters, and the pictures made for them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.explain.nets import contract_for, image_of
from torch import nn

from striate import data, design, explain, zoo
from striate.contract import Contract
from striate.design import Sketch
from striate.draw import Album
from striate.errors import DesignError, UsageError
from striate.explain import gallery
from striate.explain.chance import named
from striate.explain.classical import bank, respond, sobel
from striate.explain.filters import fit_gabor, nearest_classical, spatial
from striate.explain.painting import Fourier, gaussian_blur, shaken
from striate.explain.rectifiers import rectified
from striate.explain.visualise import Style
from striate.inference import PixelNet, of_levels
from striate.layers import Net, build


@pytest.fixture(scope="module")
def net() -> Net:
    return build(zoo.network("lenet", input=(1, 16, 16)), seed=2).eval()


@pytest.fixture(scope="module")
def contract() -> Contract:
    return contract_for((1, 16, 16), 10)


@pytest.fixture(scope="module")
def samples() -> data.Samples:
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 1)).astype(np.uint8)
    return data.ArraySamples(images, np.arange(40) % 10, [f"n{index}" for index in range(40)])


def test_walking_is_calling(net: Net, contract: Contract) -> None:
    images = PixelNet(net, contract).normalise(image_of((3, 1, 16, 16)).float())
    main = net.network.outputs[0].source
    assert torch.equal(explain.walk(net, images)[main], net(images))
    found = explain.walk(net, images, ("conv2", "relu1"))
    again = explain.walk(net, {"relu1": found["relu1"]}, (main, "conv2"))
    assert torch.equal(again[main], net(images)) and torch.equal(again["conv2"], found["conv2"])
    with pytest.raises(UsageError, match="has no layer or scope 'conv9'. Did you mean conv1"):
        explain.walk(net, images, ("conv9",))
    with pytest.raises(DesignError, match="is needed and was not given"):
        explain.walk(net, {"relu2": found["conv2"]}, ("conv1",))


def test_top_patches_are_those_of_a_search_by_hand(
    net: Net, contract: Contract, samples: data.Samples
) -> None:
    levels = [data.prepare(samples.pixels(i, contract), of_levels(contract)) for i in range(40)]
    pixels = torch.from_numpy(np.stack(levels)) / 255
    with torch.no_grad():
        values = explain.walk(net, PixelNet(net, contract).normalise(pixels), ("relu2",))["relu2"]
    (patches,) = explain.top_patches(net, contract, samples, "relu2", [3], count=5)
    peaks = values[:, 3].flatten(1).amax(1)
    best = peaks.argsort(descending=True)[:5]
    assert [patch.sample for patch in patches] == [f"n{index}" for index in best.tolist()]
    for patch, index in zip(patches, best.tolist(), strict=True):
        assert patch.value == pytest.approx(float(peaks[index]), rel=1e-4)
        (top, bottom), (left, right) = patch.box
        assert patch.box == design.crop(net.network, "relu2", patch.unit.place)
        assert np.array_equal(patch.pixels, pixels[index, :, top:bottom, left:right].numpy())
        assert patch.reconstruction.shape == patch.pixels.shape
        assert np.abs(patch.reconstruction).max() > 0
        assert patch.drift < 1e-5


def test_a_dead_unit_has_no_patches(contract: Contract, samples: data.Samples) -> None:
    net = build(zoo.network("lenet", input=(1, 16, 16)), seed=2).eval()
    with torch.no_grad():
        net.get_parameter("conv1.bias")[2] = -1e6
    found = explain.top_patches(net, contract, samples, "relu1", [2, 1], count=3)
    assert found[0] == () and len(found[1]) == 3
    with pytest.raises(DesignError, match="expected a channel of 0 to 5, received 6"):
        explain.top_patches(net, contract, samples, "relu1", [6])


def test_reconstruction_is_the_deconvnet_by_hand(net: Net, contract: Contract) -> None:
    """Transposed filters, rectified, unpooled by switches: Zeiler and Fergus written out."""
    image = image_of((1, 16, 16)).float()
    seen = PixelNet(net, contract)
    unit = explain.Unit(layer="conv2", channel=4, place=(1, 2))
    found, answer = explain.reconstruct(net, contract, image, unit)
    with torch.no_grad():
        maps = explain.walk(net, seen.normalise(image[None]), ("relu1", "pool1", "conv2"))
        conv1, conv2 = net.get_submodule("conv1"), net.get_submodule("conv2")
        signal = torch.zeros_like(maps["conv2"])
        signal[0, 4, 1, 2] = 1.0
        back = nn.functional.conv_transpose2d(signal, conv2.weight, padding=conv2.padding)
        _, switches = nn.functional.max_pool2d(maps["relu1"], 2, return_indices=True)
        back = nn.functional.max_unpool2d(back, switches, 2)
        back = back.relu()
        back = nn.functional.conv_transpose2d(back, conv1.weight, padding=conv1.padding)
        expected = back[0] * seen.scale * answer
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)
    assert answer == pytest.approx(float(maps["conv2"][0, 4, 1, 2]), rel=1e-5)
    assert rectified("guided")(net.network.layers[0], image[None]) is None


def test_gabor_functions_are_found_again() -> None:
    rows, columns = np.meshgrid(np.arange(11) - 5, np.arange(11) - 5, indexing="ij")
    made, truth = [], []
    for turn, wave in ((0, 5.0), (30, 6.0), (100, 7.5), (160, 4.0)):
        angle = np.radians(turn)
        along = columns * np.cos(angle) + rows * np.sin(angle)
        envelope = np.exp(-(rows**2 + columns**2) / (2 * 2.2**2))
        made.append(envelope * np.cos(2 * np.pi * along / wave + 0.7))
        truth.append((turn, wave))
    fits = fit_gabor(np.array(made, np.float32))
    for fit, (turn, wave) in zip(fits, truth, strict=True):
        assert fit.explained > 0.999 and fit.determined
        assert min(abs(fit.angle - turn), 180 - abs(fit.angle - turn)) < 1
        assert fit.wavelength == pytest.approx(wave, rel=0.02)
    noise = np.random.default_rng(0).normal(size=(8, 11, 11)).astype(np.float32)
    assert max(fit.explained for fit in fit_gabor(noise)) < 0.5


def test_filters_of_a_colour_net() -> None:
    net = build(zoo.network("resnet18", classes=3, input=(3, 64, 64)), seed=0)
    found = explain.filters(net)
    assert found.layer == "conv1" and found.weights.shape == (64, 3, 7, 7)
    assert len(found.gabor) == len(found.nearest) == len(found.pictures) == 64
    assert found.pictures[0].shape == (7, 7, 3)
    assert 0 <= found.pictures[0].min() and found.pictures[0].max() <= 1
    assert explain.filters(net, "layer1.0.conv1").pictures[0].shape == (3, 3, 1)
    with pytest.raises(DesignError, match="no such convolution: fc"):
        explain.filters(net, "fc")
    few = explain.filters(net, "layer1.0.conv1")
    assert not any(fit.determined for fit in few.gabor)
    assert {name.split()[0] for name, _ in few.nearest} <= {"gaussian", "laplacian", "edge"}
    assert any(name.startswith("gabor") for name, _ in found.nearest)
    names, templates = bank(7, 7)
    again = nearest_classical(templates)
    assert all(cosine == pytest.approx(1, abs=1e-5) for _, cosine in again)
    assert len(set(names)) == len(names)
    assert spatial(templates[:, None]).shape == templates.shape


def test_sobel_finds_an_edge() -> None:
    picture = np.zeros((9, 9), np.float32)
    picture[:, 5:] = 1
    across, down = respond(picture, sobel())
    assert np.array_equal(np.unique(across[:, 4:6]), [4]) and not down.any()
    assert not across[:, [0, 1, 7, 8]].any()


def test_activations(net: Net, contract: Contract) -> None:
    image = image_of((1, 16, 16)).float()
    found = explain.activations(net, contract, image, "relu1")
    assert found.values.shape == net.network.shapes()["relu1"]
    assert len(found.pictures) == len(found.values) and 0 <= found.idle <= 1
    assert max(each.max() for each in found.pictures) == pytest.approx(1)
    vector = explain.activations(net, contract, image, net.network.outputs[0].source)
    assert vector.values.shape == (10,) and vector.pictures[0].shape == (1, 10)


@pytest.mark.parametrize("style", ["fourier", "simonyan", "yosinski"])
def test_a_picture_made_for_a_class_is_taken_for_it(
    style: str, net: Net, contract: Contract
) -> None:
    goal = explain.class_goal(net, 7)
    found = explain.visualise(net, contract, goal, style=style, steps=40)  # type: ignore[arg-type]
    assert found.pixels.shape == (1, 1, 16, 16)
    assert 0 <= found.pixels.min() and found.pixels.max() <= 1
    assert found.answers[0] > found.start
    seen = PixelNet(net, contract)
    with torch.no_grad():
        likely = seen(torch.from_numpy(found.pixels)).softmax(1)[:, 7]
    assert found.probabilities is not None
    assert found.probabilities[0] == pytest.approx(float(likely), rel=1e-5)


def test_goals_of_every_kind_are_climbed(net: Net, contract: Contract) -> None:
    shape = net.network.shapes()["relu2"]
    goals = (
        explain.Unit(layer="relu2", channel=1),
        explain.Unit(layer="relu2", channel=1, place=(1, 1)),
        explain.Direction("conv2", tuple(np.linspace(-1, 1, shape[0]).tolist())),
    )
    for goal in goals:
        found = explain.visualise(net, contract, goal, steps=30)
        assert found.answers[0] > found.start and found.probabilities is None
    again = explain.visualise(net, contract, goals[0], steps=30)
    first = explain.visualise(net, contract, goals[0], steps=30)
    assert np.array_equal(again.pixels, first.pixels)
    with pytest.raises(UsageError, match="style='oil'"):
        explain.visualise(net, contract, goals[0], style="oil")  # type: ignore[arg-type]


@pytest.mark.parametrize("style", ["fourier", "simonyan", "yosinski"])
def test_pictures_made_together_are_those_made_alone(
    style: Style, net: Net, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module("striate.explain.visualise")
    monkeypatch.setattr(module, "_TOGETHER", 2 * 16 * 16)  # two at once, then one
    goals = [explain.class_goal(net, target) for target in (7, 2, 5)]
    together = explain.visualise_each(net, contract, goals, style=style, steps=12, seed=3)
    for goal, found in zip(goals, together, strict=True):
        alone = explain.visualise(net, contract, goal, style=style, steps=12, seed=3)
        assert found.pixels.shape == alone.pixels.shape
        assert np.abs(found.pixels - alone.pixels).max() < 2.5 / 255  # but for rounding
        assert found.answers == pytest.approx(alone.answers, rel=1e-3)
        assert found.start == pytest.approx(alone.start, rel=1e-5)
        assert found.probabilities == pytest.approx(alone.probabilities, rel=1e-2)
    with pytest.raises(UsageError, match="goals of one layer, received conv1, conv2"):
        units = [explain.Unit(layer=layer, channel=0) for layer in ("conv2", "conv1")]
        explain.visualise_each(net, contract, units)


def test_a_class_picture_that_failed_is_marked(
    net: Net, contract: Contract, tmp_path: Path
) -> None:
    made = gallery.class_section(net, contract, Album(tmp_path), steps=1)
    (picture,) = made.pictures
    assert picture.measures["failed"] == 1 and picture.note.startswith("failed: c0 ")
    assert "framed in orange" in made.text
    with Image.open(tmp_path / picture.file) as shown:
        pixels = np.asarray(shown.convert("RGB")).reshape(-1, 3)
    assert (np.abs(pixels - np.array((232, 89, 12))).max(1) < 3).mean() > 0.01


def test_a_picture_of_some_maps_says_of_how_many(tmp_path: Path) -> None:
    pen = Sketch("wide", (1, 16, 16))
    pen.conv("conv1", 70, 3)
    pen.flatten()
    pen.linear("fc", 10)
    wide, contract = build(pen.finish(), seed=0).eval(), contract_for((1, 16, 16), 10)
    image = image_of((1, 16, 16)).float()
    shown = gallery.activation_section(
        wide, contract, image, Album(tmp_path), ("conv1", "fc"), "activations"
    )
    assert [each.title for each in shown.pictures] == [
        "conv1: the first 64 of 70 channels",
        "fc: 10 channels",
    ]


def test_diversity_makes_pictures_differ(net: Net, contract: Contract) -> None:
    goal = explain.Unit(layer="relu2", channel=1)

    def spread(diversity: float) -> float:
        made = explain.visualise(net, contract, goal, steps=40, count=3, diversity=diversity)
        with torch.no_grad():
            inputs = PixelNet(net, contract).normalise(torch.from_numpy(made.pixels))
            values = explain.walk(net, inputs, ("relu2",))["relu2"].flatten(2)
        gram = (values @ values.transpose(1, 2)).flatten(1)
        unit = gram / gram.norm(dim=1, keepdim=True)
        return float((unit @ unit.T).mean())

    assert spread(5.0) < spread(0.0)


def test_paintings() -> None:
    painting = Fourier((2, 3, 9, 12), seed=1)
    assert painting.pixels().shape == (2, 3, 9, 12)
    flipped = Fourier((2, 3, 9, 12), seed=1, flipped=True)
    assert torch.equal(painting.pixels().flip(1), flipped.pixels())
    constant = torch.full((1, 3, 8, 8), 0.3)
    assert torch.allclose(gaussian_blur(constant, 1.5), constant)
    spot = torch.zeros(1, 1, 15, 15)
    spot[..., 7, 7] = 1
    blurred = gaussian_blur(spot, 1.0)
    assert float(blurred.sum()) == pytest.approx(1, rel=1e-4)
    assert float(blurred[0, 0, 7, 7]) == pytest.approx(1 / (2 * np.pi), rel=0.02)
    assert torch.equal(shaken(constant, 0, 1, 0.0), constant)
    one, other = shaken(spot, 0, 1), shaken(spot, 0, 2)
    assert not torch.equal(one, other) and torch.equal(one, shaken(spot, 0, 1))


def test_an_early_layer_is_inverted_and_a_dream_climbs(net: Net, contract: Contract) -> None:
    image = gaussian_blur(image_of((1, 1, 16, 16)).float(), 1.0)[0]
    found = explain.invert(net, contract, image, "conv1", steps=120, variation=0.001)
    assert found.error < 0.15 * found.start
    assert np.abs(found.pixels - image.numpy()).mean() < 0.05
    dreamt = explain.dream(net, contract, image, "relu2", octaves=2, steps=4)
    assert dreamt.pixels.shape == (1, 16, 16)
    assert dreamt.strength[0] > dreamt.strength[1]
    large = image_of((1, 40, 33)).float()  # what lies behind the layer is not run
    assert explain.dream(net, contract, large, "relu2", steps=2).pixels.shape == (1, 40, 33)
    with pytest.raises(UsageError, match="octaves that leave 4 pixels"):
        explain.dream(net, contract, image, "relu2", octaves=9)


def test_a_relu_at_zero_has_a_way_up(contract: Contract) -> None:
    pen = Sketch("dead", (1, 16, 16))
    pen.conv("conv1", 2, 3, padding=1)
    pen.relu("relu1")
    pen.adaptive_avg_pool("gap")
    pen.flatten()
    pen.linear("fc", 10)
    net = build(pen.finish(), seed=0).eval()
    with torch.no_grad():
        net.get_parameter("conv1.weight")[0] = 1.0
        net.get_parameter("conv1.bias")[0] = -3.0
    found = explain.visualise(net, contract, explain.Unit(layer="relu1", channel=0), steps=60)
    assert found.start == 0 and found.answers[0] > 0


def test_what_random_filters_reach() -> None:
    """Few numbers are near to something by chance; drawn here by another generator."""
    for side, within in ((3, 0.01), (7, 0.01)):
        noise = np.random.default_rng(side).normal(size=(4000, side, side)).astype(np.float32)
        reached = [cosine for _, cosine in nearest_classical(noise)]
        found = explain.classical_chance(side, side)
        assert found.mean == pytest.approx(np.mean(reached), abs=within)
        assert found.high == pytest.approx(np.percentile(reached, 95), abs=2 * within)
    assert 0.5 < explain.classical_chance(3, 3).mean < 0.55
    noise = np.random.default_rng(0).normal(size=(64, 5, 5)).astype(np.float32)
    shares = [fit.explained for fit in fit_gabor(noise)]
    assert explain.gabor_chance(5, 5).mean == pytest.approx(np.mean(shares), abs=0.05)
    assert explain.classical_chance(1, 1).mean == 1  # and so nothing is named


@pytest.mark.parametrize(("side", "kind"), [(3, "cosine"), (7, "Gabor")])
def test_a_filter_is_named_where_it_is_nearer_than_chance(
    side: int, kind: str, tmp_path: Path
) -> None:
    net = Sketch("n", (1, 16, 16))
    net.conv("conv", 64, side)
    built = build(net.finish(), seed=0)
    names, templates = bank(side, side)
    planted = [index for index, name in enumerate(names) if name.startswith("edge")]
    weights = torch.from_numpy(
        np.random.default_rng(1).normal(size=(64, 1, side, side)).astype(np.float32)
    )
    for place, index in enumerate(planted):
        weights[place, 0] = -3 * torch.from_numpy(templates[index])  # the sign is dropped
    with torch.no_grad():
        built.get_submodule("conv").weight.copy_(weights)
    known = named(explain.filters(built))
    assert all(known[: len(planted)])
    assert sum(known[len(planted) :]) <= 7  # 5% of 56 are 2.8; 8 or more are one case in 130
    contract = contract_for((1, 16, 16), 2)
    section = gallery.filter_section(built, contract, None, Album(tmp_path))
    (picture,) = section.pictures
    assert f"; {sum(known)} of 64 are nearer than that percentile" in picture.note
    assert f"of random {side}x{side} filters" in picture.note
    assert ("explains" in picture.note) == ("Gabor function explains" in section.text)
    assert ("explains" in picture.note) == (kind == "Gabor")
    assert ("Laplacian" in section.text) == (kind == "cosine")
    assert "The sign is dropped" in section.text
