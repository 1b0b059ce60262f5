"""Every registered network: declared = computed on paper = counted on the built module."""

from __future__ import annotations

import pytest
import torch
from tests.networks import NAMES
from torch.utils.flop_counter import FlopCounterMode

from striate import zoo
from striate.design import Conv, Network, Rbf
from striate.errors import DesignError, RecordError, UnknownName, UsageError
from striate.layers import build

# Published figures, kept here as well so that no one edits an entry to please its test.
PUBLISHED = {
    "lenet": (61_706, None),
    "lenet5_1998": (60_000, None),
    "resnet50_v1": (25_557_032, 3_857_973_248),
    "resnet101_v1": (44_549_160, 7_570_194_432),
    "resnet152_v1": (60_192_808, 11_282_415_616),
    "resnet1202": (19_421_274, 2_829_238_912),
    "resnext50_32x4d": (25_028_904, 4_230_479_872),
    "resnext101_32x8d": (88_791_336, 16_414_015_488),
    "resnext101_64x4d": (83_455_272, 15_460_270_080),
    "resnext50_32x4d(groups=1, group_width=64)": (25_557_032, 4_089_184_256),  # ResNet-50
    "resnet20_b": (272_474, 40_813_184),
    "preresnet164": (1_703_258, 244_500_992),
    "preresnet1001": (10_327_706, 1_487_849_984),
    "wrn_16_8": (10_961_370, 1_548_145_664),
    "wrn_40_4": (8_949_210, 1_298_582_016),
    "wrn_28_10": (36_479_194, 5_243_328_768),
    "densenet121": (7_978_856, None),
    "densenet161": (28_681_000, None),
    "densenet169": (14_149_480, None),
    "densenet201": (20_013_928, None),
    "densenet_40_12": (1_019_722, 264_812_928),
    "densenet_100_12": (6_979_642, 1_769_516_448),
    "densenet_100_24": (27_249_082, 6_889_347_744),
    "densenet_bc_100_12": (769_162, 287_929_692),
    "densenet_bc_250_24": (15_324_406, 5_418_785_724),
    "densenet_bc_190_40": (25_624_430, 9_301_945_740),
    "alphago_policy_192": (3_882_793, None),
    "alexnet": (61_100_840, 714_188_480),
    "alexnet_onetower": (62_378_344, 1_135_256_096),
    "alexnet_grouped": (60_965_224, 724_406_816),
    "zfnet": (107_627_624, None),
    "zfnet_paper": (62_357_608, 1_168_032_896),
    "nin_cifar": (966_986, 222_486_528),
    "nin_imagenet": (7_595_176, 1_100_188_800),
    "allcnn_c": (1_369_738, 281_174_016),
    "googlenet": (13_378_280, 1_582_671_872),
    "googlenet(auxiliary=False)": (6_998_552, 1_582_671_872),
    "googlenet_bn": (13_004_888, 1_498_376_192),
    "googlenet_bn(auxiliary=False)": (6_624_904, 1_498_376_192),
    "inception_v3": (27_161_264, 5_713_216_096),
    "inception_v3(auxiliary=False)": (23_834_568, 5_713_216_096),
    "squeezenet1_0": (1_248_424, 818_924_576),
    "squeezenet1_1": (1_235_496, 349_151_936),
    "mobilenet_v1": (4_231_976, 568_740_352),
    "mobilenet_v1(width=0.25)": (470_072, None),
    "vgg11_lrn": (132_863_336, 7_609_090_048),
    "vgg11_bn": (132_868_840, 7_609_090_048),
    "vgg13_bn": (133_053_736, 11_308_466_176),
    "vgg16_bn": (138_365_992, 15_470_264_320),
    "vgg19_bn": (143_678_248, 19_632_062_464),
    "vgg11": (132_863_336, 7_609_090_048),
    "vgg13": (133_047_848, 11_308_466_176),
    "vgg16_c": (133_638_952, 11_770_888_192),
    "vgg16": (138_357_544, 15_470_264_320),
    "vgg19": (143_667_240, 19_632_062_464),
    "resnet18": (11_689_512, 1_814_073_344),
    "resnet34": (21_797_672, None),
    "resnet50": (25_557_032, 4_089_184_256),
    "resnet101": (44_549_160, None),
    "resnet152": (60_192_808, 11_513_626_624),
    "resnet20": (269_722, 40_551_040),
    "resnet32": (464_154, 68_862_592),
    "resnet44": (658_586, 97_174_144),
    "resnet56": (853_018, 125_485_696),
    "resnet110": (1_727_962, 252_887_680),
}


@pytest.mark.parametrize("name", zoo.names())
def test_declared_computed_counted(name: str) -> None:
    entry, network = zoo.entry(name), zoo.network(name)
    net = build(network, seed=None).eval()
    counted = sum(parameter.numel() for parameter in net.parameters())
    assert network.parameter_count() == counted
    assert entry.parameters in (None, counted)
    with FlopCounterMode(display=False) as counter:
        net(torch.empty(1, *network.input_shape, device="meta"))
    assert network.macs() == counter.get_total_flops() // 2 + _counted_otherwise(network)
    assert entry.macs in (None, network.macs())
    assert [n for n, _ in net.named_parameters()] == [p.name for p in network.parameters()]
    assert [p.shape for p in net.parameters()] == [p.shape for p in network.parameters()]


def _counted_otherwise(network: Network) -> int:
    """Return the multiply-adds that torch's counter misses, less those that are of zeros.

    It knows no squared distances; and a table of connections is built as a full weight.
    """
    missed = 0
    for layer in network.layers:
        shapes = network.input_shapes(layer)
        if isinstance(layer, Rbf):
            missed += layer.macs(*shapes)
        if isinstance(layer, Conv) and layer.connections is not None:
            missed += layer.macs(*shapes) - layer.replace(connections=None).macs(*shapes)
    return missed


@pytest.mark.parametrize("name", PUBLISHED)
def test_published(name: str) -> None:
    parameters, macs = PUBLISHED[name]
    network = zoo.network(name)
    assert network.parameter_count() == parameters
    assert macs is None or network.macs() == macs


@pytest.mark.parametrize("name", NAMES)
def test_other_classes_sizes_and_channels(name: str) -> None:
    for channels in (1, 3):
        _, height, width = zoo.entry(name).input
        shape = (channels, height + 32, width + 64)
        classes = shape[1] * shape[2] if zoo.entry(name).per_position else 5
        network = zoo.network(name, classes=classes, input=shape)
        net = build(network, seed=None).eval()
        assert net(torch.empty(2, *shape, device="meta")).shape == (2, classes)


def test_a_policy_answers_with_the_boards_points() -> None:
    assert zoo.network("alphago_policy_128", input=(48, 9, 9)).classes == 81
    with pytest.raises(DesignError, match="9x9 points .* expected classes=81, received classes=7"):
        zoo.network("alphago_policy_128", classes=7, input=(48, 9, 9))


SMALL = ["softmax", "mlp", "lenet", "convnet", "resnet20", "resnet18(stem='cifar', width=16)"]


@pytest.mark.parametrize("spec", [*SMALL, "mlp(hidden=(30, 20), batch_norm=True, dropout=0.2)"])
def test_one_step(spec: str) -> None:
    network = zoo.network(spec, classes=10)
    net = build(network, seed=1)
    logits = net(torch.randn(8, *network.input_shape, generator=torch.Generator().manual_seed(0)))
    loss = torch.nn.functional.cross_entropy(logits, torch.arange(8))
    loss.backward()
    assert loss.isfinite()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("resnt20", "There is no network named 'resnt20'. Did you mean resnet20"),
        ("resnet20(widht=8)", "There is no knob of resnet20 named 'widht'. Did you mean width"),
        ("softmax(a=1)", "Known: .* has none|softmax has none"),
    ],
)
def test_unknown(spec: str, message: str) -> None:
    with pytest.raises(UnknownName, match=message):
        zoo.network(spec)


@pytest.mark.parametrize("spec", ["mlp(3)", "mlp(hidden=open('x'))", "mlp(", "mlp(hidden=)"])
def test_knobs_are_literals(spec: str) -> None:
    with pytest.raises(UsageError, match=r"Expected a network as name\(key=value"):
        zoo.network(spec)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("resnet20(width='a')", r"resnet20\(width=\): expected an integer, received 'a'"),
        ("resnet20(width=1.5)", r"resnet20\(width=\): expected an integer, received 1.5"),
        ("resnet18(stem='huge')", r"resnet18\(stem=\): expected one of 'imagenet', 'cifar'"),
        ("mlp(hidden=5)", r"mlp\(hidden=\): expected"),
    ],
)
def test_knobs_have_types(spec: str, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        zoo.network(spec)


def test_knobs_may_be_lists_and_whole_numbers() -> None:
    net = zoo.network("mlp(hidden=[30, 20], dropout=0)")
    assert net == zoo.network("mlp(hidden=(30, 20))")


def test_names_are_taken_once() -> None:
    with pytest.raises(ValueError, match="name='lenet', which is taken"):
        zoo.register(name="lenet", summary="", citation="", input=(1, 1, 1))(lambda: None)
