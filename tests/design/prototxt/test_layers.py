"""Every field, default, type and older word of caffe.proto that a file may hold."""

from __future__ import annotations

import pytest

from striate import design
from striate.design import Layer, Network
from striate.design.prototxt import parse
from striate.design.transposed import ConvTranspose
from striate.design.wiring import Opaque
from striate.errors import NotationError

DATA = 'input: "data" input_shape { dim: 1 dim: 4 dim: 12 dim: 12 }\n'
FILLER = (
    'type: "gaussian" mean: 0 std: 0.01 sparse: -1 value: 0 min: 0 max: 1 variance_norm: FAN_IN'
)


def read(body: str, **options: object) -> Network:
    return parse(DATA + body, **options)  # type: ignore[arg-type]


def layer(kind: str, fields: str = "", bottom: str = '"data"') -> str:
    return f'layer {{ name: "it" type: "{kind}" bottom: {bottom} top: "it" {fields} }}\n'


def made(kind: str, fields: str = "") -> Layer:
    return read(layer(kind, fields)).layer("it")


# Each field that caffe.proto has for a type, at the value that changes nothing.
FIELDS = {
    "Convolution": f"""convolution_param {{ num_output: 2 kernel_size: 3 bias_term: true pad: 0
        stride: 1 dilation: 1 group: 1 engine: CUDNN axis: 1 force_nd_im2col: false
        weight_filler {{ {FILLER} }} bias_filler {{ {FILLER} }} }}""",
    "Deconvolution": """convolution_param { num_output: 2 kernel_h: 3 kernel_w: 3 pad_h: 0 pad_w: 0
        stride_h: 1 stride_w: 1 }""",
    "InnerProduct": f"""inner_product_param {{ num_output: 2 bias_term: true axis: 1
        transpose: false weight_filler {{ {FILLER} }} bias_filler {{ {FILLER} }} }}""",
    "Pooling": """pooling_param { pool: MAX kernel_h: 2 kernel_w: 2 stride_h: 2 stride_w: 2
        pad_h: 0 pad_w: 0 engine: CAFFE global_pooling: false round_mode: CEIL }""",
    "LRN": """lrn_param { local_size: 5 alpha: 1 beta: 0.75 k: 1 norm_region: ACROSS_CHANNELS
        engine: DEFAULT }""",
    "ReLU": "relu_param { negative_slope: 0 engine: CAFFE }",
    "Dropout": "dropout_param { dropout_ratio: 0.5 scale_train: true }",
    "BatchNorm": """batch_norm_param { use_global_stats: false moving_average_fraction: 0.999
        eps: 1e-5 }""",
    "Scale": f"""scale_param {{ axis: 1 num_axes: 1 bias_term: true filler {{ {FILLER} }}
        bias_filler {{ {FILLER} }} }}""",
    "Concat": "concat_param { axis: 1 concat_dim: 1 }",
    "Eltwise": "eltwise_param { operation: SUM coeff: 1 stable_prod_grad: true }",
    "Flatten": "flatten_param { axis: 1 end_axis: -1 }",
    "PReLU": f"prelu_param {{ channel_shared: false filler {{ {FILLER} }} }}",
}
OF_ANY_LAYER = """phase: TRAIN propagate_down: true loss_weight: 0
    include { phase: TRAIN min_level: 0 max_level: 9 not_stage: "deploy" }
    param { name: "w" share_mode: STRICT lr_mult: 1 decay_mult: 1 }"""


@pytest.mark.parametrize("kind", FIELDS)
def test_every_field_of_caffes_is_read(kind: str) -> None:
    assert read(layer(kind, FIELDS[kind])).layers[-1].name == "it"


def test_every_field_that_all_layers_have_is_read() -> None:
    fields = "inner_product_param { num_output: 2 bias_term: false }"
    plain = made("InnerProduct", fields)
    assert made("InnerProduct", fields + OF_ANY_LAYER) == plain
    older = "blobs { } blobs_lr: 1 weight_decay: 1 blob_share_mode: STRICT exclude { stage: 'x' }"
    assert made("InnerProduct", fields + older) == plain


@pytest.mark.parametrize("kind", FIELDS)
def test_a_field_that_caffe_lacks_is_refused(kind: str) -> None:
    name = FIELDS[kind].partition("{")[0].strip()
    with pytest.raises(NotationError, match=f"{name} has no field 'colour'"):
        read(layer(kind, f"{name} {{ colour: 3 }}"))


@pytest.mark.parametrize(
    ("where", "field"),
    [
        ("inner_product_param { num_output: 2 } param { rate: 1 }", "param has no field 'rate'"),
        ("include { phase: TRAIN when: 3 }", "a rule has no field 'when'"),
        ("exclude { when: 3 }", "a rule has no field 'when'"),
        (
            "inner_product_param { num_output: 2 weight_filler { gain: 3 } }",
            "weight_filler has no field 'gain'",
        ),
    ],
)
def test_a_field_that_caffe_lacks_is_refused_deeper_too(where: str, field: str) -> None:
    with pytest.raises(NotationError, match=field):
        read(layer("InnerProduct", where))


@pytest.mark.parametrize(
    ("kind", "fields", "record"),
    [
        ("ReLU", "", design.ReLU),
        ("ReLU", "relu_param { negative_slope: 0.1 }", design.LeakyReLU),
        ("Sigmoid", "", design.Sigmoid),
        ("TanH", "", design.Tanh),
        ("Pooling", "pooling_param { pool: MAX global_pooling: true }", design.AdaptiveMaxPool),
        ("Pooling", "pooling_param { pool: AVE global_pooling: true }", design.AdaptiveAvgPool),
        ("Pooling", "pooling_param { pool: 0 kernel_size: 2 }", design.MaxPool),
        ("Pooling", "pooling_param { pool: 1 kernel_size: 2 }", design.AvgPool),
        ("LRN", "lrn_param { norm_region: 0 }", design.LRN),
        ("LRN", "lrn_param { norm_region: 1 }", Opaque),
        ("Eltwise", "eltwise_param { operation: 1 }", design.Add),
        ("Eltwise", "eltwise_param { operation: MAX }", Opaque),
        ("Eltwise", "eltwise_param { operation: PROD }", Opaque),
        ("Eltwise", "eltwise_param { operation: 0 }", Opaque),
        ("Eltwise", "eltwise_param { operation: 2 }", Opaque),
        ("Eltwise", "eltwise_param { coeff: 1 coeff: -1 }", Opaque),
        ("Flatten", "", design.Flatten),
        ("Reshape", "reshape_param { shape { dim: 0 dim: 576 } }", design.Flatten),
        ("Concat", "concat_param { axis: -3 }", design.Concat),
        ("Scale", "scale_param { bias_term: true }", design.Affine),
        *((kind, "", Opaque) for kind in ("ELU", "Power", "Exp", "Log", "AbsVal", "BNLL", "MVN")),
        *((kind, "", Opaque) for kind in ("Threshold", "Bias", "PReLU", "Scale")),
    ],
)
def test_types(kind: str, fields: str, record: type[Layer]) -> None:
    found = made(kind, fields)
    assert type(found) is record
    if record is Opaque:
        assert found.note == "counted, not built"
        assert read(layer(kind, fields)).shapes()["it"] == (4, 12, 12)


@pytest.mark.parametrize(
    ("kind", "fields", "count"),
    [
        ("Bias", "", 4),
        ("Scale", "", 4),
        ("Scale", "scale_param { bias_term: true }", 8),
        ("PReLU", "", 4),
        ("PReLU", "prelu_param { channel_shared: true }", 1),
        ("ELU", "", 0),
    ],
)
def test_what_is_only_counted_has_caffes_parameters(kind: str, fields: str, count: int) -> None:
    assert read(layer(kind, fields)).parameter_count() == count


@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution", "Pooling"])
def test_sizes_of_height_and_width(kind: str) -> None:
    """Both for themselves, both at once, or one of them, the other then at its default."""
    name = "pooling_param" if kind == "Pooling" else "convolution_param"
    for fields, kernel, stride, pad in (
        (
            "kernel_h: 4 kernel_w: 2 stride_h: 2 stride_w: 3 pad_h: 2 pad_w: 1",
            (4, 2),
            (2, 3),
            (2, 1),
        ),
        ("kernel_size: 4 stride: 2 pad: 1", (4, 4), (2, 2), (1, 1)),
        ("kernel_size: 4 kernel_size: 2 stride: 3 pad: 1", (4, 2), (3, 3), (1, 1)),
        ("kernel_size: 4 stride_w: 3 pad_h: 1", (4, 4), (1, 3), (1, 0)),
    ):
        more = "" if kind == "Pooling" else "num_output: 2"
        found = made(kind, f"{name} {{ {fields} {more} }}")
        assert isinstance(found, design.Conv | design.MaxPool | ConvTranspose)
        assert (found.kernel, found.stride) == (kernel, stride)
        assert found.padding == tuple((each, each) for each in pad)


def test_defaults_are_caffe_protos() -> None:
    """A field that is left out has the default written in caffe.proto."""
    norm = made("LRN")
    assert isinstance(norm, design.LRN)
    assert (norm.size, norm.alpha, norm.beta, norm.k) == (5, 1.0, 0.75, 1.0)
    drop = made("Dropout")
    assert isinstance(drop, design.Dropout) and drop.p == 0.5
    batch = made("BatchNorm")
    assert isinstance(batch, design.BatchNorm)
    assert (batch.eps, batch.momentum, batch.affine) == (1e-5, 0.001, False)
    pool = made("Pooling", "pooling_param { kernel_size: 2 }")
    assert isinstance(pool, design.MaxPool)
    assert (pool.stride, pool.padding, pool.ceil) == ((1, 1), ((0, 0), (0, 0)), True)
    conv = made("Convolution", "convolution_param { num_output: 2 kernel_size: 3 }")
    assert isinstance(conv, design.Conv) and conv.bias == "channel"
    assert (conv.stride, conv.padding, conv.dilation) == ((1, 1), ((0, 0), (0, 0)), (1, 1))
    assert (conv.groups, conv.bias_init) == (1, design.Constant(value=0.0))
    scale = made("Scale", "scale_param { bias_term: true }")
    assert isinstance(scale, design.Affine)
    assert (scale.weight_init, scale.bias_init) == (
        design.Constant(value=1.0),
        design.Constant(value=0.0),
    )


@pytest.mark.parametrize(
    ("filler", "init"),
    [
        ("", design.Constant(value=0.0)),
        ('type: "gaussian"', design.Normal(std=1.0)),
        ('type: "uniform"', design.Uniform(bound=1.0)),
        ('type: "uniform" min: -3', design.Uniform(bound=3.0)),
    ],
)
def test_defaults_of_fillers_are_caffe_protos(filler: str, init: design.Init) -> None:
    fields = f"inner_product_param {{ num_output: 2 weight_filler {{ {filler} }} }}"
    dense = made("InnerProduct", fields)
    assert isinstance(dense, design.Linear) and dense.weight_init == init


def test_how_a_scale_starts_is_written_in_its_own_filler() -> None:
    value = "filler { value: 0.5 } bias_term: true bias_filler { value: 2 }"
    scale = made("Scale", f"scale_param {{ {value} }}")
    assert isinstance(scale, design.Affine)
    assert (scale.weight_init, scale.bias_init) == (
        design.Constant(value=0.5),
        design.Constant(value=2.0),
    )


@pytest.mark.parametrize(
    ("filler", "note"),
    [
        ('type: "gaussian" std: 0.1', ""),
        ('type: "xavier" variance_norm: FAN_IN', ""),
        ('type: "msra" variance_norm: FAN_IN', ""),
        ('type: "gaussian" sparse: -1', ""),
        ('type: "gaussian" mean: 0.5', "the filler's mean or sparseness is left out"),
        ('type: "gaussian" sparse: 0', "the filler's mean or sparseness is left out"),
        ('type: "gaussian" sparse: 15', "the filler's mean or sparseness is left out"),
        ('type: "uniform" min: -1', ""),
        ('type: "uniform"', "the filler is uniform in 0 to 1"),
        ('type: "xavier" variance_norm: FAN_OUT', "the filler's FAN_OUT is fan in here"),
        ('type: "xavier" variance_norm: AVERAGE', ""),
        ('type: "msra" variance_norm: AVERAGE', "the filler's AVERAGE is fan in here"),
        ('type: "msra" variance_norm: FAN_OUT', ""),
    ],
)
def test_how_a_filler_deviates_is_said(filler: str, note: str) -> None:
    fields = f"inner_product_param {{ num_output: 2 weight_filler {{ {filler} }} }}"
    assert made("InnerProduct", fields).note == note


@pytest.mark.parametrize(
    ("fields", "ceil"),
    [
        ("", True),
        ("round_mode: CEIL", True),
        ("round_mode: 0", True),
        ("round_mode: FLOOR", False),
        ("round_mode: 1", False),
        ("ceil_mode: false", False),
        ("ceil_mode: true", True),
        ("round_mode: CEIL ceil_mode: false", False),
    ],
)
def test_how_pooling_rounds(fields: str, ceil: bool) -> None:
    pool = made("Pooling", f"pooling_param {{ kernel_size: 3 stride: 2 {fields} }}")
    assert isinstance(pool, design.MaxPool) and pool.ceil == ceil


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("kernel_size: 2 stride: 2", False),
        ("kernel_size: 3 stride: 3", False),
        ("kernel_size: 2 stride: 3", True),  # windows at 0, 3, 6, 9, 12: behind all pixels
        ("kernel_size: 1 stride: 12", True),
        ("kernel_size: 1 stride: 12 round_mode: FLOOR", False),
        ("kernel_size: 3 stride: 13 pad: 1", False),  # Caffe itself clips it where it pads
        ("kernel_size: 3 stride: 2", False),
    ],
)
def test_a_window_of_caffes_that_sees_no_pixel_is_said(fields: str, said: bool) -> None:
    note = made("Pooling", f"pooling_param {{ {fields} }}").note
    assert note == ("Caffe adds a last window that sees no pixel; it is left out here" * said)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("Convolution", "convolution_param { num_output: 2 kernel_h: 3 }", "both kernel_h and ker"),
        ("Convolution", "convolution_param { num_output: 2 }", "kernel_size once or for height"),
        (
            "Convolution",
            "convolution_param { num_output: 2 kernel_size: [3, 3, 3] }",
            "kernel_size once or for height",
        ),
        ("Convolution", "convolution_param { num_output: 2 kernel_size: 3 axis: 2 }", "axis: 1"),
        ("InnerProduct", "inner_product_param { num_output: 2 axis: 2 }", "expected axis: 1"),
        ("InnerProduct", "inner_product_param { num_output: 0 }", "number from 1 to"),
        ("Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 }", "no counterpart here"),
        ("Scale", "scale_param { axis: 0 }", "expected one bottom, axis: 1 and num_axes: 1"),
        ("Scale", "scale_param { num_axes: 2 }", "expected one bottom, axis: 1 and num_axes: 1"),
        ("Scale", 'bottom: "data"', "expected one bottom, axis: 1 and num_axes: 1"),
        ("Flatten", "flatten_param { axis: 2 }", "expected axis: 1 and end_axis: -1"),
        ("Flatten", "flatten_param { end_axis: 2 }", "expected axis: 1 and end_axis: -1"),
        ("Reshape", "reshape_param { shape { dim: 1 dim: -1 } }", "which flattens"),
        ("Reshape", "reshape_param { shape { dim: 0 dim: 575 } }", "which flattens"),
        ("Concat", "concat_param { axis: 0 }", "the channels, received 0"),
        ("Concat", "concat_param { concat_dim: 2 }", "the channels, received 2"),
        ("Concat", "concat_param { axis: -4 }", "the channels, received -4"),
        ("Concat", "concat_param { axis: -5 }", "number from -4"),
        (
            "InnerProduct",
            'inner_product_param { num_output: 2 weight_filler { type: "he" } }',
            "xavier, msra, bilinear or positive_unitball, received 'he'",
        ),
        ("ReLU", 'top: "two"', "expected one top, received 2"),
    ],
)
def test_what_has_no_counterpart_is_refused(kind: str, fields: str, message: str) -> None:
    with pytest.raises(NotationError, match=message):
        read(layer(kind, fields))


@pytest.mark.parametrize(
    ("older", "today"),
    [
        ("CONVOLUTION", "Convolution"),
        ("DECONVOLUTION", "Deconvolution"),
        ("INNER_PRODUCT", "InnerProduct"),
        ("POOLING", "Pooling"),
        ("RELU", "ReLU"),
        ("PRELU", "PReLU"),
        ("TANH", "TanH"),
        ("LRN", "LRN"),
        ("MVN", "MVN"),
        ("BNLL", "BNLL"),
        ("ABSVAL", "AbsVal"),
        ("SIGMOID", "Sigmoid"),
        ("DROPOUT", "Dropout"),
        ("CONCAT", "Concat"),
        ("ELTWISE", "Eltwise"),
        ("FLATTEN", "Flatten"),
        ("POWER", "Power"),
        ("THRESHOLD", "Threshold"),
        ("EXP", "Exp"),
    ],
)
def test_the_older_words_are_those_of_today(older: str, today: str) -> None:
    fields = FIELDS.get(today, "")
    new = read(layer(today, fields))
    assert read(layer(today, fields).replace(f'"{today}"', older).replace("layer", "layers")) == new


def test_the_older_words_of_data_losses_and_measures() -> None:
    head = 'layers { name: "fc" type: INNER_PRODUCT bottom: "data" top: "fc" '
    head += "inner_product_param { num_output: 3 } }\n"
    for word, said in (
        ("ARGMAX", "ArgMax"),
        ("HDF5_OUTPUT", "HDF5Output"),
        ("ACCURACY", "Accuracy"),
        ("SILENCE", "Silence"),
    ):
        network = read(head + f'layers {{ name: "m" type: {word} bottom: "fc" }}')
        assert network.layers[-1].note.endswith(f"left out: 'm' ({said})")
    for word, said in (
        ("EUCLIDEAN_LOSS", "EuclideanLoss"),
        ("HINGE_LOSS", "HingeLoss"),
        ("INFOGAIN_LOSS", "InfogainLoss"),
        ("CONTRASTIVE_LOSS", "ContrastiveLoss"),
        ("MULTINOMIAL_LOGISTIC_LOSS", "MultinomialLogisticLoss"),
        ("SIGMOID_CROSS_ENTROPY_LOSS", "SigmoidCrossEntropyLoss"),
    ):
        network = read(head + f'layers {{ name: "l" type: {word} bottom: "fc" bottom: "y" }}')
        assert network.layers[-1].note.endswith(f"'l' ({said}: choose the objective in training)")
    network = read(head + 'layers { name: "l" type: SOFTMAX_LOSS bottom: "fc" bottom: "y" }')
    assert "left out" not in network.layers[-1].note
    for word in ("DATA", "IMAGE_DATA", "HDF5_DATA", "MEMORY_DATA", "WINDOW_DATA", "DUMMY_DATA"):
        source = f'layers {{ name: "d" type: {word} top: "data" top: "label" '
        source += "memory_data_param { channels: 4 height: 12 width: 12 } } "
        assert parse(source + head, input=(4, 12, 12)).parameter_count() == 3 * (4 * 144 + 1)


def test_a_loss_of_no_weight_is_left_out() -> None:
    head = layer("InnerProduct", "inner_product_param { num_output: 3 }")
    loss = 'layer { name: "l" type: "SoftmaxWithLoss" bottom: "it" bottom: "y" loss_weight: 0 }'
    assert "'l' (its loss has weight 0)" in read(head + loss).layers[-1].note
