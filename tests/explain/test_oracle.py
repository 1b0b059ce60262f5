"""The same maps as captum's, on networks where captum is right; and ours where it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from captum import attr
from PIL import Image
from tests.explain.nets import contract_for, image_of
from torch import Tensor, nn

import striate
from striate import explain
from striate.inference import PixelNet, read_pixels, to_picture
from striate.layers import build
from striate.weights import Weights

pytestmark = [
    pytest.mark.filterwarnings("ignore:Setting .*backward hooks:UserWarning"),
    pytest.mark.filterwarnings("ignore:Input Tensor .* did not already require:UserWarning"),
]

NETS = {
    "lenet": (1, 28, 28),
    "vgg11": (3, 32, 32),
    "resnet18": (3, 64, 64),
    "googlenet": (3, 80, 80),
}
TARGET = 3


def apart(ours: np.ndarray, theirs: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    truth = theirs.detach().numpy()
    assert ours.shape == truth.shape
    assert np.abs(truth).max() > 0
    return float(np.abs(ours - truth).max() / np.abs(truth).max())


@pytest.mark.parametrize("name", NETS)
def test_gradients(name: str, seen: Callable[..., tuple]) -> None:
    net, contract, image = seen(name, NETS[name])
    given = (net, contract, image, TARGET)
    oracle, batch = PixelNet(net, contract), image[None].clone().requires_grad_()
    nothing = oracle.nothing.expand_as(batch)
    theirs = attr.Saliency(oracle).attribute(batch, target=TARGET)[0]
    assert apart(explain.saliency(*given).values, theirs) < 1e-5
    theirs = attr.InputXGradient(net).attribute(oracle.normalise(batch).detach(), target=TARGET)[0]
    assert apart(explain.input_x_gradient(*given).values, theirs) < 1e-5
    theirs = attr.IntegratedGradients(oracle).attribute(
        batch.detach(), baselines=nothing, target=TARGET, n_steps=4
    )[0]
    assert apart(explain.integrated_gradients(*given, steps=4).values, theirs) < 1e-5


@pytest.mark.parametrize("name", NETS)
def test_rectifiers(name: str, seen: Callable[..., tuple]) -> None:
    net, contract, image = seen(name, NETS[name])
    given = (net, contract, image, TARGET)
    oracle, batch = PixelNet(net, contract), image[None].clone().requires_grad_()
    theirs = attr.GuidedBackprop(oracle).attribute(batch, target=TARGET)[0]
    assert apart(explain.guided_backprop(*given).values, theirs) < 1e-5
    theirs = attr.Deconvolution(oracle).attribute(batch, target=TARGET)[0]
    assert apart(explain.deconvolution(*given).values, theirs) < 1e-5


@pytest.mark.parametrize("name", NETS)
def test_grad_cam(name: str, seen: Callable[..., tuple]) -> None:
    net, contract, image = seen(name, NETS[name])
    found = explain.grad_cam(net, contract, image, TARGET)
    assert found.layer is not None
    cam = attr.LayerGradCam(PixelNet(net, contract), net.get_submodule(found.layer))
    theirs = cam.attribute(image[None], target=TARGET, relu_attributions=True)
    assert apart(dict(found.extra)["coarse"], theirs[0, 0]) < 1e-5
    larger = attr.LayerAttribution.interpolate(theirs, image.shape[1:], "bilinear")
    assert apart(found.values, larger[0]) < 1e-5


@pytest.mark.parametrize("name", NETS)
def test_occlusion(name: str, seen: Callable[..., tuple]) -> None:
    net, contract, image = seen(name, NETS[name])
    oracle = PixelNet(net, contract)
    side, step = image.shape[1] // 2 + 1, image.shape[1] // 4 + 1
    found = explain.occlusion(net, contract, image, TARGET, window=side, stride=step)
    theirs = attr.Occlusion(oracle).attribute(
        image[None],
        sliding_window_shapes=(len(image), side, side),
        strides=(len(image), step, step),
        baselines=oracle.nothing.expand_as(image)[None],
        target=TARGET,
    )
    assert apart(found.values, theirs[0, :1]) < 1e-5
    probability = dict(found.extra)["probability"]
    assert probability.shape[0] == -(-(image.shape[1] - side) // step) + 1
    covered = image.clone()
    covered[:, :side, :side] = oracle.nothing
    expected = oracle(covered[None]).softmax(1)[0, TARGET].detach()
    assert probability[0, 0] == pytest.approx(float(expected), rel=1e-5)


class Modules(nn.Module):
    """Three convolutions with an activation each, in four spellings."""

    def __init__(self, spelling: str) -> None:
        super().__init__()
        self.spelling = spelling
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.conv3, self.fc = nn.Conv2d(8, 8, 3, stride=2), nn.Linear(8 * 7 * 7, 5)
        inplace = spelling == "in place"
        if spelling != "functional":
            self.relu1 = nn.ReLU(inplace)
        if spelling in ("modules", "in place"):
            self.relu2, self.relu3 = nn.ReLU(inplace), nn.ReLU(inplace)

    def act(self, x: Tensor, which: int) -> Tensor:
        if self.spelling == "functional":
            return nn.functional.relu(x)
        return self.relu1(x) if self.spelling == "reused" else getattr(self, f"relu{which}")(x)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.conv1(x), 1)
        x = x + self.act(self.conv2(x), 2)
        return self.fc(self.act(self.conv3(x), 3).flatten(1))


SPELLINGS = ("modules", "functional", "in place", "reused")


@pytest.fixture(scope="module")
def spelled() -> dict[str, nn.Module]:
    first = Modules("modules").double()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.15)
    made = {each: Modules(each).double().eval() for each in SPELLINGS}
    for net in made.values():
        net.load_state_dict(first.state_dict())
    return made


METHODS = (
    explain.saliency,
    explain.input_x_gradient,
    explain.integrated_gradients,
    explain.guided_backprop,
    explain.deconvolution,
    explain.grad_cam,
    explain.occlusion,
    explain.smooth_grad(explain.guided_backprop, samples=3),
)


@pytest.mark.parametrize("method", METHODS, ids=lambda each: each.__name__)
def test_every_spelling_of_a_relu_gives_the_same_map(
    method: explain.Method, spelled: dict[str, nn.Module]
) -> None:
    contract, image = contract_for((3, 16, 16), 5), image_of((3, 16, 16))
    maps = []
    for module in spelled.values():
        network = striate.describe(module, (3, 16, 16))
        net = build(network, parameters=module).eval()
        maps.append(method(net, contract, image, 2).values)
    for other in maps[1:]:
        assert np.array_equal(maps[0], other)
    assert np.abs(maps[0]).max() > 0


def test_a_module_of_ones_own_is_looked_into_like_a_run(tmp_path: Path) -> None:
    contract, image = contract_for((3, 16, 16), 5), image_of((3, 16, 16)).float()
    file = tmp_path / "image.png"
    Image.fromarray(to_picture(image, contract)).save(file)
    module = Modules("reused").train()
    model = Weights.of(module, contract)
    look = explain.Look(parts=("maps", "activations"), methods=("grad_cam", "guided_backprop"))
    report = explain.look_inside(model, [file], out=tmp_path / "explained", look=look)
    assert "grad cam at relu" in " ".join(each.title for each in report.sections[0].pictures)
    assert module.training and (tmp_path / "explained" / "index.html").is_file()
    with torch.no_grad():
        expected = PixelNet(module.eval(), contract)(read_pixels(file, contract)[None]).softmax(1)
    measured = report.sections[0].pictures[0].measures
    best = int(expected.argmax())
    assert measured[f"c{best}"] == pytest.approx(float(expected[0, best]), rel=1e-4)


def test_captum_fails_or_differs_where_ours_does_not(spelled: dict[str, nn.Module]) -> None:
    """Guided backprop on the raw modules: what users of captum report as #199, #578 and #1082."""
    contract, image = contract_for((3, 16, 16), 5), image_of((3, 16, 16))
    net = build(striate.describe(spelled["modules"], (3, 16, 16)), parameters=spelled["modules"])
    ours = explain.guided_backprop(net, contract, image, 2).values
    wrong = []
    for spelling, module in spelled.items():
        oracle = PixelNet(module, contract)
        try:
            batch = image[None].clone().requires_grad_()
            theirs = attr.GuidedBackprop(oracle).attribute(batch, target=2)[0]
        except (AssertionError, RuntimeError):
            wrong.append(spelling)
            continue
        if apart(ours, theirs) > 1e-5:
            wrong.append(spelling)
    assert "modules" not in wrong
    assert "functional" in wrong
    assert wrong
