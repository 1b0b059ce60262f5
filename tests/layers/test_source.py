"""Generated forwards against a flat interpreter, over random graphs in random scopes."""

from __future__ import annotations

import ast

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from striate.design import Add, Input, Layer, Network, Output, Sigmoid, Tanh
from striate.layers import Net, build


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Draw one or two inputs, up to 12 layers that read any earlier values, nested scopes."""
    values = ["x", "y"][: draw(st.integers(1, 2))]
    inputs = tuple(Input(name=name, shape=(3,)) for name in values)
    layers: list[Layer] = []
    scope: list[str] = []
    for index in range(draw(st.integers(1, 12))):
        scope = scope[: draw(st.integers(0, len(scope)))]
        while len(scope) < 3 and draw(st.booleans()):
            scope.append(draw(st.sampled_from(["0", "stage", "x", "block"])) + str(index))
        name = ".".join([*scope, draw(st.sampled_from(["relu", "add", "1", "x"])) + str(index)])
        reads = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3))
        kind = draw(st.sampled_from([Add, Tanh, Sigmoid]))
        layers.append(kind(name=name, inputs=tuple(reads if kind is Add else reads[:1])))
        values.append(name)
    made = [layer.name for layer in layers]
    heads = draw(st.lists(st.sampled_from(made), max_size=2, unique=True))
    outputs = [Output(name="main", source=made[-1])]
    outputs += [
        Output(name=f"head{i}", source=source, train_only=True) for i, source in enumerate(heads)
    ]
    return Network(name="random", inputs=inputs, layers=tuple(layers), outputs=tuple(outputs))


def flat(net: Net, values: dict[str, Tensor]) -> dict[str, Tensor]:
    for layer in net.network.layers:
        values[layer.name] = net.get_submodule(layer.name)(*(values[n] for n in layer.inputs))
    return {output.name: values[output.source] for output in net.network.outputs}


@settings(max_examples=150)
@given(networks())
def test_generated_forward_is_the_graph(network: Network) -> None:
    net = build(network)
    values = {
        each.name: torch.randn(2, 3, generator=torch.Generator().manual_seed(index))
        for index, each in enumerate(network.inputs)
    }
    expected = flat(net, dict(values))
    trained, evaluated = net(*values.values()), net.eval()(*values.values())
    assert torch.equal(evaluated, expected["main"])
    if len(expected) == 1:
        assert torch.equal(trained, expected["main"])
    else:
        assert trained.keys() == expected.keys()
        assert all(torch.equal(trained[name], expected[name]) for name in expected)


@given(networks())
def test_each_value_is_dropped_once_and_not_read_after(network: Network) -> None:
    for module in build(network).modules():
        if not hasattr(type(module), "place"):
            continue
        dropped: set[str] = set()
        for node in ast.walk(ast.parse(module.source)):
            if isinstance(node, ast.Delete):
                names = {ast.unparse(target) for target in node.targets}
                assert not names & dropped
                dropped |= names
