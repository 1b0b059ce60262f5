"""The record of a network: what it refuses, how it edits, and that JSON keeps it whole."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.networks import NAMES

from striate import zoo
from striate.design import DesignError, Input, Multiply, Network, Output, Sketch, Tanh
from striate.errors import UsageError
from striate.records import from_json, to_json


def sketch() -> Sketch:
    net = Sketch("t", (3, 32, 32))
    net.conv("stage.conv", 10, 5, padding=2)
    net.relu("stage.relu")
    net.flatten()
    net.linear("fc", 7)
    return net


def test_lecture_example() -> None:
    net = sketch().finish()
    assert net.shapes()["stage.conv"] == (10, 32, 32)
    conv = [p for p in net.parameters() if p.name.startswith("stage.conv")]
    assert [(p.name, p.size) for p in conv] == [("stage.conv.weight", 750), ("stage.conv.bias", 10)]
    six = Sketch("six", (3, 32, 32))
    six.conv("c", 6, 5)
    assert (six.finish().parameter_count(), six.finish().macs()) == (456, 352_800)


@pytest.mark.parametrize("name", NAMES)
def test_json_keeps_it_whole(name: str) -> None:
    net = zoo.network(name)
    assert from_json(Network, to_json(net)) == net


def test_unknown_source_and_shapes() -> None:
    net = sketch()
    net.add("sum", "fc", "stage.conv")
    with pytest.raises(DesignError, match=r"sum: expected inputs of one shape, received fc \(7,\)"):
        net.finish()
    other = sketch()
    other.relu("r", of="nowhere")
    with pytest.raises(DesignError, match="r reads 'nowhere', which no input or earlier layer"):
        other.finish()


def test_too_small_names_the_layer_and_the_smallest_that_fits() -> None:
    message = (
        r"^lenet takes images of 12x12 and larger, received 8x8: conv2: its 5x5 window does not "
        r"fit an input of 4x4, with .*: set padding=1 for an output of 2x2\.$"
    )
    with pytest.raises(DesignError, match=message) as caught:
        zoo.network("lenet", input=(1, 8, 8))
    assert caught.value.layer == "conv2"
    assert zoo.network("lenet", input=(1, 12, 12)).classes == 10
    with pytest.raises(DesignError, match="alexnet takes images of 63x63 and larger"):
        zoo.network("alexnet").with_input((3, 62, 62))


@pytest.mark.parametrize("name", ["lenet", "alexnet", "vgg11", "resnet18", "resnet20", "mlp"])
def test_other_classes(name: str) -> None:
    net = zoo.network(name)
    other, kept = net.with_classes(17)
    assert other.classes == 17
    assert other == zoo.network(name, classes=17)
    lost = {p.name for p in net.parameters()} - kept.keys()
    last = net.layers[-1].name
    assert lost == {f"{last}.weight", f"{last}.bias"}


def test_train_only_outputs() -> None:
    net = sketch()
    main = net.last
    net.linear("head", 7, of="flatten")
    net.last = main
    whole = net.finish(Output(name="aux", source="head", train_only=True, loss_weight=0.3))
    assert whole.needed(train=False) == whole.needed(train=True) - {"head"}
    assert whole.macs() == sketch().finish().macs()


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda net: net.conv("c", 4, 0), r"c: expected features, .* received .*kernel=\(0, 0\)"),
        (lambda net: net.conv("c", 4, 3, padding=-1), "c: expected no negative padding"),
        (lambda net: net.conv("c", 4, 3, groups=2), "c: expected channels and features divisible"),
        (lambda net: net.conv("c", 4, (3, 3, 3)), "c: expected kernel, stride, padding and dila"),
        (lambda net: net.linear("f", 3), r"f: expected a vector .* received shape \(3, 32, 32\)"),
        (lambda net: (net.flatten(), net.linear("f", 0)), "f: expected at least 1 feature"),
        (lambda net: (net.flatten(), net.conv("c", 3, 3)), r"c: expected \(channels, height, widt"),
        (lambda net: net.max_pool("p", 0), "p: expected kernel and stride of at least 1"),
        (lambda net: net.max_pool("p", 2, padding=2), "p: expected padding of at most half"),
        (lambda net: net.adaptive_avg_pool("p", 0), "p: expected one to three sizes"),
        (lambda net: net.shortcut("s", 2, 1), "s: expected at least 3 features, got 2"),
        (lambda net: net.dropout("d", 1.0), "d: expected 0 <= p < 1, received p=1.0"),
        (lambda net: None, "t: expected at least one input, layer and output"),
    ],
)
def test_impossible_layers(write: Callable[[Sketch], object], message: str) -> None:
    net = Sketch("t", (3, 32, 32))
    with pytest.raises(DesignError, match=message):
        write(net)
        net.finish()


@pytest.mark.parametrize("shape", [(), (3, 0, 5), (1, 2, 3, 4, 5)])
def test_impossible_inputs(shape: tuple[int, ...]) -> None:
    with pytest.raises(DesignError, match="Input x: expected"):
        zoo.network("softmax", input=shape)


def test_who_reads_whom_and_what_is_in_a_scope() -> None:
    net = sketch()
    made = net.finish(Output(name="aux", source="stage.relu", train_only=True))
    assert made.readers() == {
        "x": ["stage.conv"],
        "stage.conv": ["stage.relu"],
        "stage.relu": ["flatten", ""],
        "flatten": ["fc"],
        "fc": [""],
    }
    assert [each.name for each in made.members("stage")] == ["stage.conv", "stage.relu"]
    assert [each.name for each in made.members("")] == [each.name for each in made.layers]
    assert made.needed(train=True) == {"x", "stage.conv", "stage.relu", "flatten", "fc"}
    with pytest.raises(UsageError, match=r"t has no layer or scope 'stage.cov'. Did you mean"):
        made.layer("stage.cov")


def test_parameters_that_are_shared_are_counted_where_they_are_owned() -> None:
    """Without its head for training, a network still owns what a layer of it shares."""
    net = Sketch("t", (4, 8, 8))
    net.conv("head", 4, 3, padding=1)
    net.conv("body", 4, 3, padding=1, of="x")
    layers = [each.replace(shares="head") if each.name == "body" else each for each in net.layers]
    head = Output(name="aux", source="head", train_only=True)
    made = Network(
        name="t", inputs=(net.input,), layers=tuple(layers),
        outputs=(Output(name="logits", source="body"), head),
    )  # fmt: skip
    assert made.parameter_count() == made.parameter_count(train=False) == 4 * 4 * 9 + 4
    assert [each.name for each in made.parameters()] == ["head.weight", "head.bias"]
    assert made.macs() == 4 * 4 * 9 * 64


def test_the_main_output_says_what_it_is() -> None:
    assert sketch().finish().answer == "logits"
    assert zoo.network("lenet5_1998").answer == "distances"
    with pytest.raises(DesignError, match="t: the main output cannot be for training only"):
        sketch().finish().replace(outputs=(Output(name="logits", source="fc", train_only=True),))


def test_another_size_is_that_of_the_first_input_alone() -> None:
    net = Network(
        name="two",
        inputs=(Input(name="x", shape=(3, 8, 8)), Input(name="y", shape=(3, 1, 1))),
        layers=(Multiply(name="gated", inputs=("x", "y")),),
        outputs=(Output(name="logits", source="gated"),),
    )
    other = net.with_input((3, 5, 7))
    assert [each.shape for each in other.inputs] == [(3, 5, 7), (3, 1, 1)]
    assert other.shapes()["gated"] == (3, 5, 7)


def test_the_smallest_image() -> None:
    assert zoo.network("lenet").minimum_input() == (1, 12, 12)
    net = Sketch("huge", (1, 2000, 2000))
    net.conv("c", 1, 1025)
    with pytest.raises(DesignError, match="huge fits no square input of up to 1024 pixels"):
        net.finish().minimum_input()


def test_joins_take_one_value_and_more_but_not_none() -> None:
    net = Sketch("t", (3, 8, 8))
    net.add("one", "x")
    net.concat("three", "one", "one", "x")
    assert net.finish().shapes()["three"] == (9, 8, 8)
    net.add("none")
    with pytest.raises(DesignError, match="none expected at least one input, received 0"):
        net.finish()


def test_what_is_put_reads_the_last_value_unless_it_says_otherwise() -> None:
    net = Sketch("t", (4, 8, 8))
    net.conv("conv", 6, 3)
    assert net.put(Tanh(name="last")) == "last"
    net.put(Tanh(name="first", inputs=("conv",)))
    made = net.finish()
    assert [each.inputs for each in made.layers] == [("x",), ("conv",), ("conv",)]
    with pytest.raises(DesignError, match="tanh expected 1 input, received 0"):
        made.replace(layers=(*made.layers, Tanh(name="tanh")))
