"""Paper notation: what papers print, what is left out, round trips, errors that point."""

from __future__ import annotations

import random
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate import design, zoo
from striate.design import Network, Sketch
from striate.design.notation import parse, to_notation
from striate.design.notation.write import Context, spell
from striate.design.pointwise import Noise
from striate.errors import DesignError, NotationError
from striate.records import kinds

VGG16 = (
    "input (224 × 224 RGB image)\n"
    "conv3-64 conv3-64\nmaxpool\nconv3-128 conv3-128\nmaxpool\n"
    "conv3-256 conv3-256 conv3-256\nmaxpool\nconv3-512 conv3-512 conv3-512\nmaxpool\n"
    "conv3-512 conv3-512 conv3-512\nmaxpool\nFC-4096\nFC-4096\nFC-1000\nsoft-max"
)
ALEXNET = """[227x227x3] INPUT

[55x55x96] CONV1: 96 11x11 filters at stride 4, pad 0
[27x27x96] MAX POOL1: 3x3 filters at stride 2
[27x27x96] NORM1: Normalization layer
[27x27x256] **CONV2**: 256 5x5 filters at stride 1, pad 2
[13x13x256] MAX POOL2: 3x3 filters at stride 2
[13x13x256] NORM2: Normalization layer
[13x13x384] CONV3: 384 3x3 filters at stride 1, pad 1
[13x13x384] CONV4: 384 3x3 filters at stride 1, pad 1
[13x13x256] CONV5: 256 3x3 filters at stride 1, pad 1
[6x6x256] MAX POOL3: 3x3 filters at stride 2
[4096] FC6: 4096 neurons
[4096] FC7: 4096 neurons
[1000] FC8: 1000 neurons (class scores)"""
SHEET = r"""INPUT: [224x224x3] memory: $224 \times 224 \times 3 = 150K$ params: 0
CONV3-64 [224x224x64] memory: 224*224*64=3.2M params: (3*3*3)*64 = 1,728
POOL 2: [112x112x64] memory: 112*112*64=800K params: 0
FC: [1x1x4096] memory: 4096 params: 112*112*64*4096
FC: [1x1x1000] memory: 1000 params: 4096*1000 = 4,096,000"""
ALPHAGO = r"""[$19 \times 19 \times 48$] Input
CONV1: 192 5×5 filters , stride 1, pad 2 => [$19 \times 19 \times 192$]
CONV2..12: 192 3×3 filters, stride 1, pad 1 => [$19 \times 19 \times 192$]
CONV: 1 1×1 filter, stride 1, pad 0 => [19×19] (*probability map of promising moves*)"""
PATTERN = "[(CONV-RELU)*2-POOL]*3-(FC-RELU)*1,SOFTMAX"
LENET = "INPUT 28x28 CONV5-6/1p2 - POOL2/2 - CONV5-16/1p0 - POOL2/2 - FC120 - FC84 - FC10"


@pytest.mark.parametrize(
    ("text", "name", "parameters"),
    [
        (VGG16, "vgg16", 138_357_544),
        (ALEXNET, "alexnet_onetower", 62_378_344),
        (LENET, "lenet", 61_706),
    ],
)
def test_the_same_network_as_registered(text: str, name: str, parameters: int) -> None:
    read, known = parse(text), zoo.network(name)
    assert read.parameter_count() == parameters == known.parameter_count()
    assert read.macs() == known.macs()
    assert read.input_shape == known.input_shape


def test_names_of_a_listing_are_the_layers() -> None:
    names = [layer.name for layer in parse(ALEXNET).layers]
    assert [name for name in names if not name.startswith(("relu", "flatten"))] == (
        "conv1 pool1 norm1 conv2 pool2 norm2 conv3 conv4 conv5 pool3 fc6 fc7 fc8".split()
    )


def test_rows_of_a_sheet() -> None:
    network = parse(SHEET)
    assert [layer.name for layer in network.layers] == (
        "conv1 relu1 pool1 flatten fc1 relu2 fc2".split()
    )
    assert network.parameter_count() == 1_792 + (112 * 112 * 64 + 1) * 4096 + 4097 * 1000


def test_a_range_of_layers() -> None:
    network = parse(ALPHAGO)
    convs = [layer.name for layer in network.layers if isinstance(layer, design.Conv)]
    assert convs == [f"conv{index}" for index in range(1, 14)]
    assert network.macs() == 1_400_726_208  # of all 13 layers, 361 positions each
    assert network.shapes()[convs[-1]] == (1, 19, 19)


@pytest.mark.parametrize(
    ("text", "like"),
    [
        (
            r"$[(CONV-RELU)^*2-POOL?]^*3-(FC-RELU)^*1,SOFTMAX$",
            "[(CONV-RELU)*2-POOL?]*3 FC RELU SOFTMAX",
        ),
        (
            r"$$[(\text{conv-ReLU}) \times 2 - \text{pool}] \times 3"
            r" \rightarrow (\text{dense-ReLU}) \times 1$$",
            "[(CONV-RELU)x2-POOL]x3-(FC-RELU)x1",
        ),
        ("[CONV-POOL-CONV-POOL-FC]", "conv, pool; conv -> maxpool | fully connected"),
        ("Conv 3x3x64, stride 1 pad 1", "conv3-64/1p1"),
        (
            "CONV1 96 11x11 filters at stride 4, pad 0\nMAX POOL1 3x3 filters at stride 2",
            "conv11-96/4p0 pool3/2",
        ),
        ("7x7 conv, 64, /2", "convolution 7×7/2, 64"),
        ("3x3 max pool, stride 2", "max pool 3×3/2"),
        ("conv3-64*3", "conv3-64 conv3-64 conv3-64"),
        ("conv1-10 gap, 1000-d fc, softmax", "conv1-10 global average pool FC1000 soft-max"),
        ("FC-10 dropout (40%) FC", "FC 10 neurons dropout0.4 FC"),
        ("(CONV-RELU)*0 FC", "FC"),
        ("a: 3x3 max pool, stride 2, b: 10-d fc", "a: maxpool3/2 b: FC-10"),
        ("MAX POOL4: 2x2 windows, stride 2", "pool4: maxpool2/2"),
        ("GAP2 FC7: 10 neurons", "pool2: gap fc7: FC-10"),
        ("NORM1: normalization layer LRN2", "norm1: LRN norm2: LRN"),
        ("BN1 GLOBAL MAX POOL1 LEAKY RELU3", "bn1: BN pool1: gmp relu3: lrelu"),
        ("conv 11x11x96 stride=4 padding=same", "conv11-96/4psame"),
        ("conv with stride 2, zero-padding 1, dilation: 2, groups 1", "conv/2p1d2g1"),
        ("conv 5x5, 16", "conv5-16"),
        ("conv3-64, applied with stride 2", "conv3-64/2"),
        ("conv3-64 / 2", "conv3-64/2"),
        ("1x1 conv, 10; avgpool 7x7", "conv1-10 avgpool7"),
        ("conv3-8 # the first one\nmaxpool (the end) FC", "conv3-8 maxpool FC"),
        ("FC 20 units, FC: 10 outputs", "FC-20 FC-10"),
        (r"$\text{conv3-8} \to \mathrm{pool2} \rightarrow FC$", "conv3-8 pool2 FC"),
        (r"$\left(conv3-8\right) \times 2$", "(conv3-8)*2"),
        ("**conv3-8** **pool2**", "conv3-8 pool2"),
        ("conv3-8 \u2192 pool2 \u2013 FC-10", "conv3-8 pool2 FC-10"),
    ],
)  # fmt: skip
def test_two_spellings_of_one_network(text: str, like: str) -> None:
    assert parse(text) == parse(like)


WORDS = {
    design.AdaptiveAvgPool: "gap; global average pooling; global avg-pool; global mean pool",
    design.AdaptiveMaxPool: "gmp; global max pool; Global Max Pooling; global-maxpool",
    design.MaxPool: "pool; pooling; maxpool; max pooling; MAX-POOL",
    design.AvgPool: "avgpool; average pooling; ave pool; mean-pooling",
    design.Conv: "conv; convolution; convolutional layer; CONV",
    design.Linear: "fc; fully connected; fully-connected layer; dense; linear",
    design.LeakyReLU: "leaky relu; leaky-relu; leakyrelu; lrelu",
    design.ReLU6: "relu6",
    design.ReLU: "relu; ReLU",
    design.Tanh: "tanh",
    design.Sigmoid: "sigmoid",
    design.GELU: "gelu",
    design.SiLU: "silu; swish",
    design.Elementwise: "hardswish; hard-swish; h-swish; Hard Swish",
    design.PReLU: "prelu; PReLU; p-relu; channel-wise PReLU; shared prelu; channel-shared PReLU",
    design.BatchNorm: "bn; batch norm; batchnorm; batch normalization; batch-normalisation",
    design.LRN: "lrn; norm; local response normalization; response norm; normalisation layer",
    design.Dropout: "dropout; drop-out",
    design.Flatten: "flatten",
    design.Pad: "zeropad1; zero-padding 1",
}


@pytest.mark.parametrize(
    ("written", "kind"),
    [(each, kind) for kind, words in WORDS.items() for each in words.split("; ")],
)
def test_every_spelling_of_a_kind(written: str, kind: type[design.Layer]) -> None:
    first, *_ = parse(f"input 8x8x4 {written} relu FC-10").layers
    if kind is design.Linear:  # what it flattens comes before it
        first = parse(f"input 9 {written}").layers[0]
    assert type(first) is kind


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("input 32x24x3", (3, 32, 24)),
        ("input 28x28", (1, 28, 28)),
        ("input 784", (784,)),
        ("INPUT [227x227x3]", (3, 227, 227)),
        ("input (64 x 48 RGB image)", (3, 64, 48)),
        ("input (28x28 greyscale images)", (1, 28, 28)),
        ("[19x19x48] input", (48, 19, 19)),
        ("input 3x4x4", (4, 3, 4)),  # three rows, not three channels: too small for that
        ("conv3-8", (3, 224, 224)),
    ],
)
def test_inputs(text: str, shape: tuple[int, ...]) -> None:
    assert parse(f"{text} FC-10").input_shape == shape


def test_a_volume_may_be_of_one_channel_or_of_a_vector() -> None:
    for volume in ("[19x19]", "[19x19x1]"):
        assert parse(f"input 19x19x48 conv1-1 => {volume}").shapes()["conv1"] == (1, 19, 19)
    assert parse("input 4x4x3 no-relu FC-10 [1x1x10]").classes == 10
    with pytest.raises(NotationError, match="says that conv1 gives 19x19; it gives 19x19x2"):
        parse("input 19x19x48 conv1-2 => [19x19]")


def test_scores_of_a_single_pixel_are_a_vector_and_a_row_of_them_is_none() -> None:
    last = {text: parse(text).layers[-1].name for text in (
        "input 4x4x3 no-relu conv4-5/1p0", "input 3x1x4 no-relu conv1-5", "input 4x4x3 gap relu",
        "input 1x3x4 no-relu conv1-5",
    )}  # fmt: skip
    assert list(last.values()) == ["flatten", "conv1", "flatten", "conv1"]


def test_sizes_of_every_kind() -> None:
    conv, *_ = parse("input 9x9x4 conv3x5-8/2x1p1x2d1g2b0 relu").layers
    assert isinstance(conv, design.Conv)
    assert (conv.kernel, conv.stride, conv.padding) == ((3, 5), (2, 1), ((1, 1), (2, 2)))
    assert (conv.dilation, conv.groups, conv.bias, conv.features) == ((1, 1), 2, "none", 8)
    for written, padding in (
        ("same", (2, 2)),
        ("valid", (0, 0)),
        ("full", (4, 4)),
        ("0:3", (0, 3)),
    ):
        conv, *_ = parse(f"input 9x9x4 conv3-8/1p{written}d2 relu").layers
        assert isinstance(conv, design.Conv) and conv.padding == (padding,) * 2
    pool, *_ = parse("input 9x9x4 avgpool3/2p1ce").layers
    assert isinstance(pool, design.AvgPool) and pool.ceil and not pool.count_padding
    norm, tanh, *_ = parse("input 9x9x4 LRN(3, 1e-3, 0.5, 2) tanh(1.7159, 0.6667)").layers
    assert isinstance(norm, design.LRN) and (norm.size, norm.alpha, norm.k) == (3, 1e-3, 2.0)
    assert isinstance(tanh, design.Tanh) and tanh.outer == 1.7159


@pytest.mark.parametrize(
    ("text", "form", "amount"),
    [
        ("plain dropout(0.3)", "plain", 0.3),
        ("plain drop-out", "plain", 0.5),
        ("gaussian dropout (40%)", "gaussian", 0.4),
        ("multiplicative gaussian noise(0.2)", "gaussian", 0.2),
        ("GAUSSIAN NOISE(1e-2)", "additive", 0.01),
        ("additive gaussian noise(3)", "additive", 3.0),
    ],
)
def test_dropout_in_its_other_forms(text: str, form: str, amount: float) -> None:
    layer, *_ = parse(f"input 8x8 {text} FC-10").layers
    assert isinstance(layer, Noise) and (layer.form, layer.amount) == (form, amount)
    assert layer.name == ("noise1" if form == "additive" else "drop1")


# -- what is left out ------------------------------------------------------------------------------


def notes(text: str) -> list[tuple[str, str]]:
    """Return (layer, sentence) of all that is said."""
    return [
        (layer.name, each)
        for layer in parse(text).layers
        for each in re.split("; (?!the network gives)", layer.note)
        if each
    ]


@pytest.mark.parametrize(
    ("text", "layer", "rule"),
    [
        ("conv-8 FC-10", "conv1", "input"),
        ("input 8x8 conv3/1p1 FC-10", "conv1", "filters"),
        ("input 8x8 conv-8/1p1 FC-10", "conv1", "kernel"),
        ("input 8x8 conv3-8p1 FC-10", "conv1", "stride"),
        ("input 8x8 conv3-8/2 FC-10", "conv1", "padding"),
        ("input 8x8 pool/2", "pool1", "window"),
        ("input 8x8 pool2", "pool1", "steps"),
        ("input 8x8 FC-20 FC-10", "relu1", "relu"),
        ("input 8x8 FC relu FC-10", "fc1", "hidden"),
        ("input 8x8 FC-20 FC", "fc2", "classes"),
        ("input 8x8 dropout", "drop1", "p"),
        ("input 8x8 gaussian dropout", "drop1", "p"),
        ("input 8x8 LRN", "norm1", "lrn"),
        ("input 8x8 leakyrelu", "relu1", "slope"),
        ("input 8x8 FC-20 relu softmax", "fc2", "classifier"),
        ("input 8x8 FC relu", "fc2", "added"),
        ("input 8x8 FC-10 softmax", "fc1", "softmax"),
        ("input 8x8 POOL2/2?", "pool1", "optional"),
        ("input 3x3 pool2/2 POOL2/2?", "pool1", "dropped"),
    ],
)
def test_what_is_left_out_is_said_once(text: str, layer: str, rule: str) -> None:
    said = [each for each in notes(text) if each[1] == SAID[rule]]
    assert said == [(layer, SAID[rule])]


SAID = {
    "input": "no input written: 224x224x3",
    "filters": "no filters written: 32, twice as many after each pooling, at most 512",
    "kernel": "no filter size written: 3x3",
    "stride": "no stride written: 1",
    "padding": "no padding written: what keeps the size at stride 1, none at other strides",
    "window": "no pooling window written: 2x2",
    "steps": "no pooling stride written: as large as the window",
    "relu": "no activation written: a ReLU after every convolution and fully connected layer "
    "but the last",
    "hidden": "no width written: 128",
    "classes": "no number of classes written: 10",
    "p": "no probability written: 0.5",
    "lrn": "no constants written: size 5, alpha 1e-4 (divided by the size), beta 0.75, k 1",
    "slope": "no slope written: 0.01",
    "softmax": "soft-max: applied by the loss and by predict; the network gives what goes into it",
    "classifier": "soft-max with no fully connected layer before it: this layer is its weights",
    "added": "the last fully connected layer written has an activation: this one gives the classes",
    "dropped": "'?': no pooling after it, the image is too small",
    "optional": "'?': taken wherever the image is large enough for it",
}


def test_what_is_said_is_what_is_taken() -> None:
    """The sizes in the sentences are those of the layers."""
    network = parse("conv LRN leakyrelu pool dropout FC relu FC")
    conv, norm, leaky, pool, drop, _, hidden, _, last = network.layers
    assert network.input_shape == (3, 224, 224)
    assert isinstance(conv, design.Conv) and (conv.features, conv.kernel) == (32, (3, 3))
    assert (conv.stride, conv.padding) == ((1, 1), ((1, 1), (1, 1)))
    assert isinstance(norm, design.LRN)
    assert (norm.size, norm.alpha, norm.beta, norm.k) == (5, 1e-4, 0.75, 1.0)
    assert isinstance(leaky, design.LeakyReLU) and leaky.slope == 0.01
    assert isinstance(pool, design.MaxPool) and pool.kernel == pool.stride == (2, 2)
    assert isinstance(drop, design.Dropout) and drop.p == 0.5
    assert isinstance(hidden, design.Linear) and hidden.features == 128
    assert isinstance(last, design.Linear) and last.features == 10
    strided = parse("conv5/2 FC").layers[0]
    assert isinstance(strided, design.Conv) and strided.padding == ((0, 0), (0, 0))


def test_nothing_is_said_where_all_is_written() -> None:
    assert notes("input 8x8 conv3-8/1p1 relu maxpool2/2 dropout(0.5) FC-10") == []


def test_filters_double_after_each_pooling() -> None:
    layers = parse("(CONV-POOL)*6 FC").layers
    widths = [layer.features for layer in layers if isinstance(layer, design.Conv)]
    assert widths == [32, 64, 128, 256, 512, 512]


def test_an_optional_pooling_stops_where_the_image_is_small() -> None:
    network = parse("(CONV-POOL?)*6 FC", input=(1, 8, 8))
    assert sum(isinstance(layer, design.MaxPool) for layer in network.layers) == 3
    with pytest.raises(NotationError, match="window"):
        parse("(CONV-POOL)*6 FC", input=(1, 8, 8))


def test_relu_comes_after_the_batch_norm_and_never_last() -> None:
    kinds = [type(layer).__name__ for layer in parse("conv BN pool conv gap softmax").layers]
    assert kinds == "Conv BatchNorm ReLU MaxPool Conv AdaptiveAvgPool Flatten".split()
    kinds = [type(layer).__name__ for layer in parse("no-relu conv conv").layers]
    assert kinds == ["Conv", "Conv"]


def test_classes_and_input_of_the_data() -> None:
    network = parse(PATTERN, classes=7, input=(1, 28, 28))
    assert (network.classes, network.input_shape) == (7, (1, 28, 28))
    assert parse(ALEXNET, input=(3, 251, 251)).input_shape == (3, 251, 251)  # volumes not checked


# -- round trips -----------------------------------------------------------------------------------

TEXTS = [
    VGG16, ALEXNET, SHEET, ALPHAGO, PATTERN, LENET, "CONV-POOL-CONV-POOL-FC",
    "[(conv-relu)*2-pool?]*3 (dense-relu)*1", "conv1-10 gap softmax", "no-relu conv3 conv5-7/2",
    "input 784 FC-100 tanh FC", "conv5-20/1p0 pool2/2 leakyrelu FC-500 dropout FC-10 soft-max",
    "a: conv b.c: relu b.d: conv-7 maxpool=2 flatten dropout(0.1) FC LRN", "conv BN-conv BN-gap",
    "(CONV-POOL?)*9 softmax", "input 5x5x2 zeropad1:0x2 conv5x3-4/1pfullbxy sigmoid gmp",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_parse_print_parse(text: str) -> None:
    network = parse(text)
    assert parse(to_notation(network)) == network


def test_what_was_left_out_stays_left_out() -> None:
    text = "conv3-64 conv3-64 maxpool conv3-128 conv3-128 maxpool FC-4096 FC-1000 soft-max"
    assert to_notation(parse(text)) == text
    text = "conv relu conv relu maxpool FC relu soft-max"
    assert to_notation(parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "input 32x24x3 conv3x5-8/2x1p1x2d2x1 relu FC-10",
        "input 32x32x3 conv3-9/1p0:1x2:0g3b0 tanh(1.7159, 0.6667) FC-10b0",
        "input 8x8x4 conv3-5/1p1bxy relu6 maxpool3/2p1c avgpool2/1p1e FC-10",
        "input 8x8x4 maxpool=3x2 avgpool=2 silu gelu gap",
        "input 8x8x4 conv3-4/1p1 prelu conv3-4/1p1 shared prelu conv3-4/1p1 hardswish gap",
        "input 9x9x4 conv3-4/1p1 gate: hardswish conv3-4/1p1 prelu7: prelu shared prelu gap",
        "input 784 FC-20 prelu FC-10",
        "input 9x9x4 conv1-4/1p0 leakyrelu(0.2) LRN(3, 0.001, 0.5, 2.0) gmp",
        "input 9x9x4 zeropad1:2x3 conv3-4/1p0 BN sigmoid softmax relu FC-10",
        "input 9x9x4 relu dropout(0.3) plain dropout(0.4) gaussian dropout(0.1) gap",
        "input 9x9x4 gaussian noise(2.0) relu gap",
        "input 784 no-relu first: FC-20 second: FC-10",
        "input 9x9x4 relu flatten relu FC-10",
        "input 784 relu flatten FC-10",
        "input 9x9x4 relu stem.conv: conv3-4/1p1 relu gap",
        "conv relu POOL2? conv-7 relu FC-10",
    ],
)
def test_what_is_written_is_what_was_read_letter_by_letter(text: str) -> None:
    assert to_notation(parse(text)) == text.replace("POOL", "maxpool")


def test_uneven_zeros_are_no_name() -> None:
    """`zeropad1:0` has one pixel before and none after; with a space the number is a name."""
    (pad,) = parse("input 5x5x2 zeropad1:0x2 no-relu").layers
    assert isinstance(pad, design.Pad) and pad.padding == ((1, 0), (2, 2))
    (pad,) = parse("input 5x5x2 zeropad7: 2 no-relu").layers
    assert isinstance(pad, design.Pad)
    assert (pad.name, pad.padding) == ("pad7", ((2, 2), (2, 2)))


def test_without_names_or_without_what_was_left_out() -> None:
    named = parse("input 9x9x4 a: conv3-4/1p1 relu b: FC-10")
    assert to_notation(named, names=False) == "input 9x9x4 conv3-4/1p1 relu FC-10"
    assert to_notation(named) == "input 9x9x4 a: conv3-4/1p1 relu b: FC-10"
    half = parse("input 8x8x3 conv FC")
    again = half.replace(layers=tuple(each.replace(note="") for each in half.layers))
    assert to_notation(again) == "input 8x8x3 conv3-32/1p1 relu FC-10"
    for other in ({"trainable": False}, {"rates": (1.0, 2.0)}, {"decays": (1.0, 0.0)}):
        changed = tuple(each.replace(**other) for each in named.layers)
        assert to_notation(named.replace(layers=changed)) == to_notation(named)  # no word for it


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernel": (3,), "stride": (1,), "padding": ((1, 1),), "dilation": (1,)}, "of images on"),
        ({"connections": ((0,),) * 4}, "full convolutions of images only"),
    ],
)
def test_convolutions_that_notation_cannot_write(change: dict[str, object], message: str) -> None:
    net = Sketch("t", (4, 8) if "kernel" in change else (4, 8, 8))
    net.put(design.Conv(**{
        "name": "c", "inputs": ("x",), "features": 4, "kernel": (3, 3), "stride": (1, 1),
        "padding": ((1, 1), (1, 1)), "dilation": (1, 1), **change,
    }))  # fmt: skip
    with pytest.raises(DesignError, match=message):
        spell(net.layers[0], Context())


def test_parameters_that_are_shared_have_no_word() -> None:
    network = parse("input 8x8x4 conv3-4/1p1 relu conv3-4/1p1 relu gap")
    layers = tuple(
        each.replace(shares="conv1") if each.name == "conv2" else each for each in network.layers
    )
    with pytest.raises(DesignError, match="conv2: notation has no word for sharing parameters of"):
        to_notation(network.replace(layers=layers))


def test_other_outputs_and_inputs_than_one_image_or_vector_have_none() -> None:
    network = parse("input 8x8x4 conv3-4/1p1 relu gap")
    early = network.replace(outputs=(design.Output(name="logits", source="conv1"),))
    aux = design.Output(name="aux", source="conv1", train_only=True)
    for other in (early, network.replace(outputs=(*network.outputs, aux))):
        with pytest.raises(DesignError, match="notation writes chains with one output, the last"):
            to_notation(other)
    line = Sketch("line", (4, 9))
    line.relu("relu")
    with pytest.raises(DesignError, match="line: notation writes images and vectors only"):
        to_notation(line.finish())


def sizes(network: Network) -> list[tuple[object, ...]]:
    shapes = network.shapes()
    return [(type(layer), shapes[layer.name]) for layer in network.layers]


CHAINS = ["alexnet", "alexnet_onetower", "lenet", "vgg11", "vgg16", "mlp", "softmax"]


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("names", [True, False])
def test_registered_chains(name: str, names: bool) -> None:
    network = zoo.network(name)
    read = parse(to_notation(network, names=names))
    assert sizes(read) == sizes(network)
    assert read.parameter_count() == network.parameter_count()
    if names:
        assert [layer.name for layer in read.layers] == [layer.name for layer in network.layers]


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda net: net.add("sum", net.conv("a", 3, 3), "a"), "sum: notation writes chains"),
        (lambda net: net.put(design.Affine(name="s", inputs=("x",))), "no word for a affine"),
        (lambda net: net.put(design.Softmax(name="s", inputs=("x",))), "leaves a final soft-max"),
        (lambda net: net.batch_norm("b", eps=1e-3), "eps 1e-5"),
    ],
)
def test_what_notation_cannot_express(write: object, message: str) -> None:
    net = Sketch("t", (3, 8, 8))
    write(net)  # type: ignore[operator]
    with pytest.raises(DesignError, match=message):
        to_notation(net.finish())


def test_the_kinds_that_notation_has_words_for() -> None:
    other = spell.dispatch(design.Layer)
    known = {tag for tag, kind in kinds(design.Layer).items() if spell.dispatch(kind) is not other}
    assert known == set(
        "conv linear max_pool avg_pool adaptive_avg_pool adaptive_max_pool dropout noise lrn "
        "batch_norm prelu elementwise "
        "relu relu6 leaky_relu tanh sigmoid gelu silu softmax flatten pad".split()
    )


NUMBER = st.integers(1, 9)
WINDOW = st.one_of(NUMBER.map(str), st.tuples(NUMBER, NUMBER).map(lambda p: f"{p[0]}x{p[1]}"))
PART = st.one_of(
    st.builds("conv{}".format, WINDOW),
    st.builds("conv{}-{}".format, WINDOW, NUMBER),
    st.builds("conv{}-{}/{}p{}d{}".format, WINDOW, NUMBER, NUMBER, NUMBER, NUMBER),
    st.builds("{}pool{}/{}".format, st.sampled_from(["max", "avg"]), WINDOW, NUMBER),
    st.builds("{}: conv-{}".format, st.sampled_from(["conv7", "a", "a.b", "fc2"]), NUMBER),
    st.sampled_from(["conv", "pool", "POOL?", "relu", "BN", "LRN", "dropout", "tanh", "gap"]),
    st.sampled_from(["FC", "FC-7", "dense", "flatten", "soft-max", "no-relu", "leakyrelu(0.2)"]),
    st.sampled_from(["prelu", "shared prelu", "hardswish", "h-swish", "a.act: PReLU"]),
    st.sampled_from(["plain dropout", "gaussian-dropout", "additive noise(2)", "Gaussian Dropout"]),
    st.builds(
        "{}({!r})".format,
        st.sampled_from(["dropout", "plain dropout", "gaussian dropout", "gaussian noise"]),
        st.floats(0, 1, exclude_max=True),
    ),
)
GROUP = st.builds("({})*{}".format, st.lists(PART, min_size=1, max_size=3).map("-".join), NUMBER)


@given(st.lists(st.one_of(PART, PART, GROUP), min_size=1, max_size=8), st.integers(8, 80))
def test_round_trip_of_anything_that_reads(parts: list[str], size: int) -> None:
    try:
        network = parse(" ".join(parts), input=(2, size, size))
    except NotationError:
        return
    written = to_notation(network) if not isinstance(network.layers[-1], design.Softmax) else ""
    assert not written or parse(written) == network


# -- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("conv3-64 covn3-64", 10, "a layer .* received 'covn3-64'. Did you mean conv3-64?"),
        ("[(CONV-RELU)*N-POOL?]*M", 14, "expected how many times, received 'N-POOL"),
        ("(conv-relu", 1, r"expected '\)' to close this group"),
        ("conv3-64 rleu", 10, r"received 'rleu'. Did you mean relu\?"),
        ("conv $@;", 7, "a layer .* received '@'"),
        ("conv]", 5, "expected a layer, received ']'"),
        ("(conv]", 6, r"expected '\)' to close the group, received ']'"),
        ("conv ()", 6, "an empty one"),
        ("conv3-64foo", 9, "received 'foo'"),
        ("conv3-64/1p1/2", 13, "the next layer or a size"),
        ("pool2-64", 9, "a pooling layer has no features"),
        ("pool2d2", 8, "a pooling layer has no dilation"),
        ("avgpool2g2", 11, "a pooling layer has no groups"),
        ("pool2b0", 8, "a pooling layer has no bias"),
        ("conv3c", 7, "a convolution has no 'ceil'"),
        ("conv3e", 7, "a convolution has no 'exclude'"),
        ("pool3/2e", 1, "max pooling does not average: leave out 'e'"),
        ("3x3 global average pool", 5, "a global_avg takes no size before it"),
        ("10-d fc conv3-1000001", 14, "numbers up to 1,000,000, received 1000001"),
        ("input 0x8", 1, r"sizes of at least 1, received \(0, 8\)"),
        ("tanh(1)", 1, r"expected tanh\(outer, inner\)"),
        ("LRN(5.5, 1, 1, 1)", 1, r"expected LRN\(size, alpha, beta, k\)"),
        ("LRN(0, 1, 1, 1)", 1, r"expected LRN\(size, alpha, beta, k\)"),
        ("dropout(0.1, 0.2)", 8, "expected one number, for example dropout"),
        ("conv => relu", 6, "expected a layer"),
        ("conv3*3*3", 8, "expected the next layer or a size|expected a layer"),
        ("a" * 101 + ": conv", 1, "a name of at most 100 characters"),
        ("conv3=7", 8, "a convolution has no 'to'"),
        ("relu?", 1, r"expected '\?' behind a pooling"),
        ("(pool)?", 7, r"behind a single layer"),
        ("conv INPUT 8x8", 6, "expected the input before all layers, once"),
        ("INPUT 3x32x32 conv", 1, "write 32x32x3, not 3x32x32"),
        ("INPUT 32x32x3 [16x16x8] CONV3-8", 25, "says that conv1 gives 16x16x8; it gives 32x32x8"),
        ("INPUT 8x8 pool3/2 pool3/2 pool3/2", 27, "3x3 window does not fit an input of 1x1"),
        ("INPUT 8x8x3 conv3-4g2", 13, "divisible by groups=2"),
        ("conv1: conv conv1: conv", 13, "two layers are called 'conv1'"),
        ("a: conv a.b: conv", 9, "'a' is a layer and cannot hold 'a.b' as well"),
        ("a.7c: conv", 1, "'7c' is no identifier"),
        ("CONV12..2: 8 3x3 filters", 12, "expected a range such as 2..12"),
        ("dropout(1)", 8, "a probability below 1"),
        ("dropout(a)", 9, "expected a layer"),
        ("plain dropout(1)", 14, "a probability below 1"),
        ("gaussian noise", 1, r"deviation, for example gaussian noise\(0.1\)"),
        ("gaussian noise(-1)", 1, "noise1: expected 0 <= amount < inf, received amount=-1"),
        ("gaussian noise(1e999)", 1, "expected 0 <= amount < inf"),
        ("gaussian noise(10%)", 15, "expected numbers, not per cent"),
        ("LRN(5)", 1, r"expected LRN\(size, alpha, beta, k\)"),
        ("LRN(5, 1, 1, -.-)", 18, "expected numbers"),
        ("zeropad", 8, "expected how many pixels"),
        ("conv*5000", 6, "at most 2,000 layers"),
        ("((((conv)*100)*100)*100)", 16, "at most 2,000 layers"),
        ("conv3-99999999", 6, "numbers up to 1,000,000"),
        ("(" * 40, 31, "at most 30 groups"),
        ("", 1, "expected a layer, received nothing"),
        ("input 8x8", 1, "at least one layer besides the input"),
        ("soft-max", 1, None),
    ],
)  # fmt: skip
def test_errors_point(text: str, column: int, message: str | None) -> None:
    if message is None:
        assert parse(text).parameter_count() == 3 * 224 * 224 * 10 + 10  # a linear classifier
        return
    with pytest.raises(NotationError, match=message) as caught:
        parse(text)
    assert (caught.value.line, caught.value.column) == (1, column)
    shown, caret = str(caught.value).splitlines()[-2:]
    assert caret.strip() == "^" and shown.startswith("    ")


@pytest.mark.parametrize(
    "written",
    "residual;add;+ conv3-64;SE;SE-block;squeeze-and-excitation;ResBlock;concat;skip;shortcut;"
    "Inception;bottleneck(64);DenseBlock;MBConv6;split;eltwise".split(";"),
)
def test_what_looks_like_a_branch_is_told_where_branches_are_written(written: str) -> None:
    with pytest.raises(NotationError, match="Notation writes chains; branches: a proto") as caught:
        parse(f"conv3-64 {written} FC-10")
    assert caught.value.column == 10 and "Sketch" in str(caught.value)


@pytest.mark.parametrize("written", ["seluu", "sigmoyd", "addle", "summ", "rleu"])
def test_what_does_not_is_not(written: str) -> None:
    with pytest.raises(NotationError) as caught:
        parse(f"conv3-64 {written} FC-10")
    assert "chains" not in str(caught.value)


def test_slopes_are_of_each_channel_or_shared() -> None:
    """He et al. 2015 have both, and call them channel-wise and channel-shared."""
    own = parse("input 8x8x4 conv3-6/1p1 prelu gap")
    one = parse("input 8x8x4 conv3-6/1p1 channel-shared prelu gap")
    assert (own.layers[1].name, own.parameter_count()) == ("prelu1", 3 * 3 * 4 * 6 + 6 + 6)
    assert (one.layers[1].name, one.parameter_count()) == ("prelu1", 3 * 3 * 4 * 6 + 6 + 1)
    swish = parse("input 8x8x4 conv3-6/1p1 hardswish gap").layers[1]
    assert isinstance(swish, design.Elementwise)
    assert (swish.name, swish.function) == ("hardswish1", "hardswish")
    net = Sketch("t", (3, 8, 8))
    net.put(design.Elementwise(name="e", inputs=("x",), function="mish"))
    with pytest.raises(DesignError, match="e: notation has no word for mish"):
        to_notation(net.finish())


def test_the_line_is_said_and_the_caret_stands_below() -> None:
    with pytest.raises(NotationError) as caught:
        parse("conv3-64\nmaxpool\n\tconv3-64 rleu")
    assert (caught.value.line, caught.value.column) == (3, 11)
    said, shown, caret = str(caught.value).splitlines()
    assert said.startswith("notation, line 3, column 11: expected a layer")
    assert shown[caret.index("^") :] == "rleu"


def test_a_long_line_is_shown_around_the_place() -> None:
    with pytest.raises(NotationError) as caught:
        parse("conv3-64 " * 50 + "rleu " + "conv3-64 " * 50)
    _, shown, caret = str(caught.value).splitlines()
    assert len(shown) < 100 and shown[caret.index("^") :].startswith("rleu")


def test_limits_are_reached_and_not_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    image = (4, 9, 9)
    assert parse("conv1-4/1000000p0 relu", input=image).shapes()["conv1"] == (4, 1, 1)
    with pytest.raises(NotationError, match=r"numbers up to 1,000,000, received 1000001\."):
        parse("conv1-4/1000001p0 relu", input=image)
    assert len(parse("relu*2000", input=image).layers) == 2000
    with pytest.raises(NotationError, match="at most 2,000 layers, received 1 x 2,001"):
        parse("relu*2001", input=image)
    for more in ("relu*1999 relu relu", "conv1-4*1001"):  # with the ReLUs that are not written
        with pytest.raises(NotationError, match="at most 2,000 layers"):
            parse(more, input=image)
    assert parse("(" * 30 + "conv" + ")" * 30).layers
    with pytest.raises(NotationError, match="at most 100,000 characters of notation"):
        parse("relu" + " " * 99_997)
    assert len(parse("relu" + " " * 99_996).layers) == 1
    monkeypatch.setattr("striate.design.notation.build._EXPLAINED", 4)  # the input is one
    for pools, said in ((2, "takes images of 36x36 and larger"), (3, "")):
        with pytest.raises(NotationError) as caught:
            parse("input 8x8 " + "pool2 " * pools + "conv9-4p0")
        assert said in str(caught.value)
        assert ("takes images of" in str(caught.value)) == bool(said)


@pytest.mark.parametrize("side", [1, 4, 8, 15])
def test_the_size_it_names_is_one_that_the_whole_network_takes(side: int) -> None:
    """Not only the layers up to the one at fault, of which fewer fit the smaller the image is."""
    text = "conv3-4 " + "maxpool2 " * 3 + "conv3-4p0 FC-3"  # 3x3 are left of 24x24
    with pytest.raises(NotationError, match="takes images of 24x24 and larger, rec") as caught:
        parse(text, input=(1, side, side))
    assert caught.value.least == (24, 24)
    assert parse(text, input=(1, 24, 24)).classes == 3
    with pytest.raises(NotationError) as caught:
        parse("maxpool2 " * 3 + "maxpool2/0", input=(1, 4, 4))
    assert caught.value.least is None  # no image makes a stride of 0 one


def test_a_layer_that_does_not_fit_comes_with_the_table() -> None:
    with pytest.raises(NotationError) as caught:
        parse("INPUT 8x8 pool3/2 pool3/2 pool3/2")
    assert caught.value.layer == "pool3"
    assert "pool2" in caught.value.table and "received 1x1x1" in caught.value.table


# -- mutations -------------------------------------------------------------------------------------

ALPHABET = "convpolfxrelu0123456789()[]*?-/,:.=×→$\\^ \n\tN\0é" + '"{}#'


def mutate(text: str, chance: random.Random) -> str:
    """Change a text in one to four places: characters, pieces doubled, moved or cut."""
    for _ in range(chance.randint(1, 4)):
        a, b = sorted(chance.randint(0, len(text)) for _ in range(2))
        piece = text[a : min(b, a + 12)]
        text = chance.choice(
            (
                text[:a] + chance.choice(ALPHABET) + text[a + 1 :],
                text[:a] + chance.choice(ALPHABET) + text[a:],
                text[:a] + text[a + len(piece) :],
                text[:b] + piece + text[b:],
                text[:a] + piece * 3 + text[a:],
                text[:a] + str(chance.randint(0, 10**9)) + text[a:],
            )
        )
    return text


def check_mutations(count: int, seed: int) -> None:
    chance = random.Random(seed)
    read = 0
    for _ in range(count):
        text = mutate(chance.choice(TEXTS), chance)
        start = time.process_time()
        try:
            network = parse(text, input=chance.choice((None, (1, 28, 28), (3, 64, 64))))
        except NotationError as error:
            lines = text.split("\n")
            assert 1 <= error.line <= len(lines), text
            assert 1 <= error.column <= len(lines[error.line - 1]) + 1, text
        else:
            read += 1
            assert network.parameter_count() >= 0
        assert time.process_time() - start < 5, text
    assert 0.04 < read / count < 0.9  # neither all broken nor all whole


@pytest.mark.parametrize(
    "text",
    [
        "conv " * 19_000, "(" * 50_000, "(a " * 29 + "conv", "[1" * 30_000, "-" * 99_999,
        "conv3-6" + "4" * 90_000, "conv 1" + " 1" * 40_000, "a." * 49_000 + "a: conv",
        "conv96 11" + "x11" * 30_000, "LRN(" + "-" * 90_000, "conv" + ",:" * 40_000,
        "dropout(" + "1," * 40_000 + ")", "conv " + "stride " * 12_000, "x" * 100_001,
        "conv3-8 " * 1_900 + "pool900",
    ],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_monstrous_texts_are_refused_at_once(text: str) -> None:
    start = time.process_time()
    with pytest.raises(NotationError):
        parse(text)
    assert time.process_time() - start < 2


def test_mutated_notation_is_a_network_or_an_error_with_a_place() -> None:
    check_mutations(500, seed=1)


@pytest.mark.slow
def test_ten_thousand_mutated_notations() -> None:
    check_mutations(10_000, seed=2)
