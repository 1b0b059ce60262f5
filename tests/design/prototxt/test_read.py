"""From blobs to a network: outputs and losses, joined scales, what is left out, shapes of data."""

from __future__ import annotations

import pytest

from striate import design
from striate.design import Network
from striate.design.prototxt import parse, parse_named, to_prototxt
from striate.errors import NotationError

DATA = 'input: "data" input_shape { dim: 1 dim: 4 dim: 6 dim: 6 }\n'


def layer(kind: str, bottom: str, top: str, more: str = "") -> str:
    bottoms = " ".join(f'bottom: "{each}"' for each in bottom.split())
    return f'layer {{ name: "{top}" type: "{kind}" {bottoms} top: "{top}" {more} }}\n'


def dense(bottom: str, top: str, features: int = 3, more: str = "") -> str:
    fields = f"inner_product_param {{ num_output: {features} {more} }}"
    return layer("InnerProduct", bottom, top, fields)


def loss(bottom: str, top: str, weight: str = "", kind: str = "SoftmaxWithLoss") -> str:
    return layer(kind, f"{bottom} label", top, f"loss_weight: {weight}" if weight else "")


def read(body: str) -> Network:
    return parse(DATA + body)


def outputs(body: str) -> list[tuple[str, str, bool, float]]:
    return [(o.name, o.source, o.train_only, o.loss_weight) for o in read(body).outputs]


def note(body: str) -> str:
    return read(body).layers[-1].note


TWO = dense("data", "a") + dense("data", "b")


def test_the_heaviest_loss_is_the_main_output() -> None:
    assert outputs(TWO + loss("a", "one", "0.3") + loss("b", "two")) == [
        ("logits", "b", False, 1.0),
        ("one", "a", True, 0.3),
    ]
    assert outputs(TWO + loss("a", "one", "2") + loss("b", "two")) == [
        ("logits", "a", False, 2.0),
        ("two", "b", True, 1.0),
    ]


def test_of_losses_alike_the_last_is_the_main_output() -> None:
    assert outputs(TWO + loss("a", "one") + loss("b", "two"))[0] == ("logits", "b", False, 1.0)


def test_the_first_loss_of_a_value_counts() -> None:
    body = dense("data", "a") + loss("a", "one", "0.5") + loss("a", "again", "3")
    assert outputs(body) == [("logits", "a", False, 0.5)]


def test_without_losses_the_ends_are_the_outputs() -> None:
    """The last one is the main; none is for training only."""
    assert outputs(TWO) == [("logits", "b", False, 1.0), ("a", "a", False, 1.0)]


def test_outputs_have_names_of_their_own() -> None:
    body = TWO + dense("data", "c") + loss("a", "logits", "0.1") + loss("b", "it/1", "0.2")
    assert [each[0] for each in outputs(body + loss("c", "end"))] == [
        "logits",
        "logits_2",
        "it_1",
    ]


def test_a_single_pixel_is_flattened_for_the_loss() -> None:
    fields = "convolution_param { num_output: 3 kernel_size: 6 }"
    network = read(layer("Convolution", "data", "c", fields))
    assert [each.name for each in network.layers] == ["c", "c_flat"]
    assert network.outputs[0].source == "c_flat" and network.classes == 3
    wider = read(layer("Convolution", "data", "c", fields.replace("6", "5")))
    assert [each.name for each in wider.layers] == ["c"]
    taken = read(
        layer("Convolution", "data", "c", fields)
        + layer("Flatten", "c", "c_flat")
        + layer("Sigmoid", "c", "s")
    )
    assert {"s_flat", "c_flat"} <= {each.name for each in taken.layers}


def test_a_single_step_of_a_line_is_flattened_too() -> None:
    line = parse('input: "data" input_shape { dim: [1, 4, 1] }' + layer("ReLU", "data", "r"))
    assert [each.name for each in line.layers] == ["r", "r_flat"] and line.classes == 4


def test_every_field_of_a_network_is_read() -> None:
    fields = "force_backward: true state { phase: TRAIN } debug_info: false "
    assert parse(fields + DATA + dense("data", "a")) == read(dense("data", "a"))
    older = 'input: "data" input_dim: [1, 4, 6, 6] '
    assert parse(older + dense("data", "a")) == read(dense("data", "a"))
    with pytest.raises(NotationError, match="a network has no field 'colour'"):
        parse("colour: 3 " + DATA)


def test_names_that_are_taken_get_a_number() -> None:
    network = read(layer("ReLU", "data", "a_flat") + dense("a_flat", "a"))
    assert [each.name for each in network.layers] == ["a_flat", "a_flat_2", "a"]
    again = parse('input: "a.b" input: "a_b" ' + "input_shape { dim: [1, 4] } " * 2
                  + layer("Eltwise", "a.b a_b", "sum"))  # fmt: skip
    assert [each.name for each in again.inputs] == ["a_b", "a_b_2"]
    third = read(dense("data", "x") + dense("x", "x") + dense("x", "x"))
    assert [each.name for each in third.layers if each.name[0] == "x"][-3:] == ["x", "x_2", "x_3"]


def test_what_no_output_needs_is_left_out() -> None:
    body = TWO + loss("b", "l")
    assert [each.name for each in read(body).layers] == ["b_flat", "b"]
    assert "left out: 'a' (no output needs it), 'a_flat' (no output needs it)" in note(body)


def test_a_soft_max_at_the_end_is_left_to_the_loss() -> None:
    body = dense("data", "a") + layer("Softmax", "a", "prob")
    assert [each.name for each in read(body).layers][-1] == "a"
    assert "'prob' (soft-max: the loss and predict apply it)" in note(body)
    inside = body + dense("prob", "b")
    assert [type(each) for each in read(inside).layers][-2:] == [design.Softmax, design.Linear]
    alone = layer("Softmax", "data", "prob")
    assert [type(each) for each in read(alone).layers] == [design.Softmax]
    scored = body + loss("prob", "l", kind="MultinomialLogisticLoss")
    assert design.Softmax in {type(each) for each in read(scored).layers}


NORM = layer("BatchNorm", "data", "n")
SCALE = layer("Scale", "n", "s", "scale_param { bias_term: true }")


def test_a_scale_that_alone_reads_a_norm_is_joined_with_it() -> None:
    frozen = SCALE.replace("scale_param", "param { lr_mult: 0 } param { lr_mult: 0 } scale_param")
    for body, trainable in ((NORM + SCALE, True), (NORM + frozen, False)):
        network, named = parse_named(DATA + body)
        (norm,) = network.layers
        assert isinstance(norm, design.BatchNorm) and norm.affine
        assert norm.trainable is trainable and network.outputs[0].source == "n"
        assert named == {"n": "n", "s": "n"}
    faster = SCALE.replace(
        "scale_param", "param { lr_mult: 3 } param { decay_mult: 0 } scale_param"
    )
    (norm,) = read(NORM + faster).layers
    assert (norm.rates, norm.decays) == ((3.0, 1.0), (1.0, 0.0))
    for more in (layer("Eltwise", "n s", "e"), loss("n", "l") + loss("s", "m")):
        kinds = [type(each) for each in read(NORM + SCALE + more).layers]
        assert design.Affine in kinds
    after = read(NORM + SCALE + layer("ReLU", "s", "r") + loss("s", "l") + loss("r", "m"))
    assert after.layer("r").inputs == ("n",) and {o.source for o in after.outputs} == {"n", "r"}


def test_two_scales_of_one_norm_are_no_part_of_it() -> None:
    network = read(NORM + SCALE + SCALE.replace('"s"', '"t"') + layer("Eltwise", "s t", "e"))
    assert [type(each).__name__ for each in network.layers] == [
        *("BatchNorm", "Affine", "Affine", "Add"),
    ]


def test_the_note_on_fillers_is_given_once() -> None:
    network = read(dense("data", "a") + dense("a", "b") + dense("b", "c", 3, "bias_filler { }"))
    noted = [each.name for each in network.layers if "no weight_filler written" in each.note]
    assert noted == ["a"]
    other = "weight_filler { type: 'gaussian' mean: 1 }"
    twice = read(dense("data", "a", 3, other) + dense("a", "b", 3, other))
    assert [each.name for each in twice.layers if "sparseness" in each.note] == ["a", "b"]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("GoogleNet", "GoogleNet"),
        ("VGG ILSVRC/16 layers", "VGG_ILSVRC_16_layers"),
        ("..", "mine"),
        ("", "mine"),
        ("a" * 100, "a" * 80),
        (" .x-1.", "x-1"),
    ],
)
def test_the_name_may_be_part_of_a_path(written: str, name: str) -> None:
    assert parse(f'name: "{written}" ' + DATA + dense("data", "a"), name="mine").name == name


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ('"Data" transform_param { crop_size: 5 }', (3, 5, 5)),
        ('"Data" transform_param { crop_size: 5 force_gray: true }', (1, 5, 5)),
        ('"Data" data_param { crop_size: 5 }', (3, 5, 5)),
        ('"Data" transform_param { crop_size: 5 mean_value: 1 mean_value: 2 }', (2, 5, 5)),
        ('"Data" transform_param { crop_size: 5 mean_value: 1 }', (3, 5, 5)),
        ('"ImageData" image_data_param { new_height: 5 new_width: 7 }', (3, 5, 7)),
        ('"ImageData" image_data_param { new_height: 5 new_width: 7 is_color: false }', (1, 5, 7)),
        ('"ImageData" image_data_param { new_height: 5 new_width: 7 } '
         "transform_param { crop_size: 4 }", (3, 4, 4)),
        ('"Input" input_param { shape { dim: [2, 3, 5, 7] } shape { dim: 2 } }', (3, 5, 7)),
        ('"Input" input_param { shape { dim: [2, 3, 5, 7, 9] } }', (3, 5, 7, 9)),
        ('"Input" input_param { shape { dim: [2, 3] } }', (3,)),
        ('"DummyData" dummy_data_param { num: 2 channels: 3 height: 5 width: 7 }', (3, 5, 7)),
        ('"MemoryData" memory_data_param { channels: 3 height: 5 width: 7 }', (3, 5, 7)),
    ],
)  # fmt: skip
def test_shapes_of_data(text: str, shape: tuple[int, ...]) -> None:
    top = f'layer {{ name: "d" top: "data" top: "label" type: {text} }}\n'
    network = parse(top + dense("data", "a"))
    assert network.input_shape == shape
    taken = "three channels taken for granted" in network.layers[-1].note
    assert taken == (shape[0] == 3 and text.startswith(('"Data"', '"ImageData"')))


def test_each_blob_of_a_data_layer_has_its_own_shape_and_the_last_one_serves_the_rest() -> None:
    for shapes in (
        'type: "Input" input_param { shape { dim: [1, 3, 5, 7] } shape { dim: [1, 2, 4, 4] } }',
        'type: "DummyData" dummy_data_param { num: [1, 1] channels: [3, 2] height: [5, 4] '
        "width: [7, 4] }",
    ):
        top = f'layer {{ name: "d" top: "one" top: "two" top: "three" {shapes} }}\n'
        network = parse(top + dense("one", "a") + dense("two", "b") + dense("three", "c"))
        assert {each.name: each.shape for each in network.inputs} == {
            "one": (3, 5, 7),
            "two": (2, 4, 4),
            "three": (2, 4, 4),
        }


@pytest.mark.parametrize("kind", ["Data", "ImageData", "HDF5Data", "WindowData", "Input"])
def test_data_whose_shape_the_file_does_not_say(kind: str) -> None:
    top = f'layer {{ name: "d" top: "data" top: "label" type: "{kind}" }}\n'
    with pytest.raises(NotationError, match="'data', of which the file does not say the shape: gi"):
        parse(top + dense("data", "a"))
    assert parse(top + dense("data", "a"), input=(4, 6, 6)).input_shape == (4, 6, 6)
    half = top.replace(f'"{kind}"', '"ImageData" image_data_param { new_height: 5 }')
    with pytest.raises(NotationError, match="does not say the shape"):
        parse(half + dense("data", "a"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('input: "a" input: "b" input_dim: [1, 2, 3, 4]', "received 4 for 2"),
        ('input: "data" input_shape { dim: [1, 2, 3, 4, 5, 6] }', "at most five dimensions, rec"),
        ('input: "data" input_shape { dim: [1, 0, 3, 4] }', "dim to be a whole number from 1"),
    ],
)
def test_shapes_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(NotationError, match=message):
        parse(text + dense("data", "a"))


def test_tops_have_the_shapes_in_order_and_the_last_again() -> None:
    shapes = "shape { dim: [1, 4, 6, 6] } shape { dim: [1, 2, 6, 6] }"
    tops = 'top: "a" top: "b" top: "c"'
    text = f'layer {{ name: "d" type: "Input" {tops} input_param {{ {shapes} }} }}\n'
    network = parse(text + layer("Concat", "a b c", "all"))
    assert [each.shape[0] for each in network.inputs] == [4, 2, 2]


@pytest.mark.parametrize("dims", ["1, 1, 1, 1", "5", "5, 1, 1, 1"])
def test_a_blob_of_one_number_an_image_holds_labels(dims: str) -> None:
    text = f'input: "y" input_shape {{ dim: [{dims}] }} input: "data" input_shape '
    text += "{ dim: [1, 4, 6, 6] }"
    network = parse(text + dense("data", "a") + loss("a", "l").replace("label", "y"))
    assert [each.name for each in network.inputs] == ["data"]
    with pytest.raises(NotationError, match="layer 'b' reads 'y', of which the file does not say"):
        parse(text + dense("y", "b"))


def test_several_inputs() -> None:
    dims = 'input: "a" input_dim: [1, 4, 6, 6] input: "b" input_dim: [1, 2, 6, 6] '
    network = parse(dims + layer("Concat", "a b", "c"))
    assert [each.shape for each in network.inputs] == [(4, 6, 6), (2, 6, 6)]
    assert network.shapes()["c"] == (6, 6, 6)
    other = parse(dims + layer("Concat", "a b", "c"), input=(9, 6, 6))
    assert [each.shape for each in other.inputs] == [(9, 6, 6), (2, 6, 6)]  # of the first
    assert parse(to_prototxt(network)).shapes()["c"] == (6, 6, 6)
    alone = parse(dims + layer("ReLU", "b", "c"))
    assert [each.name for each in alone.inputs] == ["b"]  # what nothing reads is no input


@pytest.mark.parametrize(
    ("rule", "train", "test"),
    [
        ("", True, True),
        ("phase: TEST", False, True),
        ("include { phase: TRAIN }", True, False),
        ("include { phase: TRAIN } include { phase: TEST }", True, True),
        ("exclude { phase: TEST }", True, False),
        ("include { min_level: 1 }", False, False),
        ("include { max_level: 3 }", True, True),
        ("include { stage: 'x' }", False, False),
        ("include { not_stage: 'x' }", True, True),
        ("exclude { stage: 'x' }", True, True),
        ("phase: TRAIN include { phase: TEST }", False, False),
    ],
)
def test_rules_say_when_a_layer_is_there(rule: str, train: bool, test: bool) -> None:
    body = DATA + dense("data", "a") + layer("ReLU", "a", "r", rule)
    for phase, there in (("TRAIN", train), ("TEST", test)):
        network = parse(body, phase=phase)  # type: ignore[arg-type]
        assert ("r" in {each.name for each in network.layers}) is there
        assert ("'r' (of the other phase)" in network.layers[-1].note) is not there


def test_multipliers_of_both_spellings() -> None:
    def made(more: str) -> design.Layer:
        return read(dense("data", "a").replace("inner", f"{more} inner", 1)).layer("a")

    one = made("param { lr_mult: 2 decay_mult: 3 }")
    assert (one.rates, one.decays) == ((2.0, 1.0), (3.0, 1.0))
    half = made("param { lr_mult: 0 } param { lr_mult: 1 }")
    assert half.trainable and half.rates == (0.0, 1.0)
    assert not made("blobs_lr: 0 blobs_lr: 0").trainable
    older = made("param: 'w' param: 'b' blobs_lr: 2 blobs_lr: 4 weight_decay: 5")
    assert (older.rates, older.decays) == ((2.0, 4.0), (5.0, 1.0))
    assert older.shares is None


def test_a_batch_norms_multipliers_are_of_its_statistics() -> None:
    three = "param { lr_mult: 0 } " * 3
    (norm,) = read(layer("BatchNorm", "data", "n", three)).layers
    assert norm.trainable and norm.rates == (1.0, 1.0)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (layer("ReLU", "", "r"), "expected at least one bottom"),
        (loss("", "l").replace('bottom: "label"', ""), "expected a bottom"),
        (layer("Softmax", "data", "p") + layer("Accuracy", "p lab", "x", "nmae: 1"), "no field"),
        (dense("dta", "a"), r"which nothing gives \(did you mean 'data'\?\)\."),
        (dense("qqqq", "a"), "'qqqq', which nothing gives\\."),
        (layer("Silence", "data", "s"), "at least one layer that computes something"),
    ],
)
def test_what_cannot_be_read(body: str, message: str) -> None:
    with pytest.raises(NotationError, match=message):
        read(body)


def test_a_loss_on_the_input_leaves_no_layer() -> None:
    body = layer("ReLU", "data", "r") + loss("data", "l")
    assert outputs(body) == [("logits", "r", False, 1.0)]


def test_slashes_become_scopes_up_to_six() -> None:
    body = layer("ReLU", "data", "a/b/c/d/e/f/g/h") + layer("ReLU", "a/b/c/d/e/f/g/h", "//x//")
    assert [each.name for each in read(body).layers] == ["a.b.c.d.e.f.g_h", "x"]
