"""Edits on paper, checked on built modules: what is left out, and what slides."""

from __future__ import annotations

import pytest
import torch

from striate import zoo
from striate.design import Conv, DesignError, Dropout, MaxPool, Output, Sketch
from striate.errors import UsageError
from striate.layers import Net, build


def carried(old: Net, new: Net, names: dict[str, str]) -> Net:
    """Copy the parameters that carry over, and the statistics."""
    state = old.state_dict()
    with torch.no_grad():
        for name, source in names.items():
            parameter = new.get_parameter(name)
            parameter.copy_(state[source].view_as(parameter))
        for name, buffer in new.named_buffers():
            buffer.copy_(state[name])
    return new


@pytest.mark.parametrize(
    ("spec", "shape", "larger", "map_size"),
    [
        ("lenet", (1, 28, 28), (1, 36, 32), (3, 2)),
        ("resnet20(width=4)", (3, 32, 32), (3, 40, 32), (3, 1)),
        ("mlp(hidden=(9,), batch_norm=True)", (2, 5, 5), (2, 6, 5), (2, 1)),
        ("vgg11(hidden=16)", (3, 224, 224), (3, 224, 256), (1, 2)),
    ],
)
def test_convolutional_answers_alike_and_slides(
    spec: str, shape: tuple[int, ...], larger: tuple[int, ...], map_size: tuple[int, int]
) -> None:
    network = zoo.network(spec, classes=6, input=shape)
    slides, names = network.convolutional()
    assert slides.shapes()[slides.outputs[0].source] == (6, 1, 1)
    assert slides.parameter_count() == network.parameter_count()
    assert set(names) == {parameter.name for parameter in network.parameters()}
    old = build(network, seed=1).eval()
    new = carried(old, build(slides, seed=2), names).eval()
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(new(x).flatten(1), old(x), rtol=1e-4, atol=1e-5)
    assert slides.with_input(larger).shapes()[slides.outputs[0].source] == (6, *map_size)
    assert new(torch.zeros(1, *larger)).shape == (1, 6, *map_size)


def test_windows_of_different_sizes_do_not_slide() -> None:
    with pytest.raises(DesignError, match=r"from \(9, 9\) to \(7, 7\) differ in size"):
        zoo.network("vgg11", input=(3, 300, 300)).convolutional()


def test_pooling_to_a_size_becomes_the_window_that_it_is() -> None:
    net = Sketch("t", (2, 12, 9))
    net.adaptive_max_pool("pool", (4, 1))
    net.flatten()
    net.linear("fc", 3)
    slides, _ = net.finish().convolutional()
    pool = slides.layer("pool")
    assert isinstance(pool, MaxPool)
    assert (pool.kernel, pool.stride) == ((3, 9), (3, 1))
    assert slides.with_input((2, 12, 11)).shapes()["fc"] == (3, 1, 3)
    for size in ((5, 1), (4, 2)):
        uneven = Sketch("t", (2, 12, 9))
        uneven.adaptive_max_pool("pool", size)
        with pytest.raises(DesignError, match="differ in size, so no window slides"):
            uneven.finish().convolutional()


def test_layers_behind_the_vector_see_one_place() -> None:
    net = Sketch("t", (2, 3, 4))
    net.flatten()
    net.linear("fc1", 5)
    net.relu("relu")
    net.layers.append(net.layers[-2].replace(name="fc2", inputs=("relu",), features=7, bias=False))
    net.last = "fc2"
    slides, _ = net.finish().convolutional()
    first, last = slides.layer("fc1"), slides.layer("fc2")
    assert isinstance(first, Conv) and isinstance(last, Conv)
    assert (first.kernel, first.bias) == ((3, 4), "channel")
    assert (last.kernel, last.bias) == ((1, 1), "none")
    assert slides.layer("relu").inputs == ("fc1",)


def test_without_layers_and_heads() -> None:
    network = zoo.network("vgg11(hidden=16)", classes=5)
    dropouts = [each.name for each in network.layers if isinstance(each, Dropout)]
    bare, names = network.without(*dropouts)
    assert not any(isinstance(each, Dropout) for each in bare.layers)
    assert set(names) == {parameter.name for parameter in network.parameters()}
    features, names = network.without("avgpool", "flatten", "classifier")
    assert features.shapes()[features.outputs[0].source] == (512, 7, 7)
    assert all(name.startswith("features.") for name in names)
    assert isinstance(features.layers[0], Conv)


def test_without_an_auxiliary_head() -> None:
    net = Sketch("heads", (1, 6, 6))
    net.flatten()
    main = net.linear("fc", 3)
    net.relu("aux.relu", of="flatten")
    net.linear("aux.fc", 3)
    net.last = main
    whole = net.finish(Output(name="aux", source="aux.fc", train_only=True))
    for part in ("aux", "aux.fc"):
        pruned, names = whole.without(part)
        assert [output.name for output in pruned.outputs] == ["logits"]
        assert [layer.name for layer in pruned.layers] == ["flatten", "fc"]
        assert set(names) == {"fc.weight", "fc.bias"}


def test_without_refuses() -> None:
    network = zoo.network("resnet20")
    with pytest.raises(UsageError, match="resnet20 has no layer or scope 'head'"):
        network.without("head")
    with pytest.raises(DesignError, match=r"layer1.0.add joins layer1.0.bn2, relu and cannot"):
        network.without("layer1.0.add")
