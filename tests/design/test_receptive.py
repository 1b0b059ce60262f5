"""Receptive fields: published values, and those that a gradient measures."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from striate import design, zoo
from striate.design import Network, Sketch, receptive_fields
from striate.design.layer import Window
from striate.design.receptive import Axis, Field, _upsampled, last_with_places, union
from striate.layers import build, describe
from striate.records import kinds


@pytest.mark.parametrize(
    ("network", "value", "size", "stride"),
    [
        ("alexnet_onetower", "pool5", 195, 32),
        ("vgg16", "features.30", 212, 32),
        ("resnet18", "layer4.1.relu1", 435, 32),
        ("resnet50", "layer4.2.relu2", 427, 32),
        ("resnet152", "layer4.2.relu2", 1451, 32),
    ],
)
def test_published(network: str, value: str, size: int, stride: int) -> None:
    field = receptive_fields(zoo.network(network))[value]
    assert [(axis.size, axis.stride) for axis in field.axes] == [(size, stride)] * 2
    assert field.aligned


SLOW = {"resnet1202", "preresnet1001"}
NAMES = [
    pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in zoo.names()
]
NAMES.append("resnet18(average=True)")  # its averaging shortcuts are not aligned


@pytest.mark.parametrize("name", NAMES)
def test_equal_to_the_gradient(name: str) -> None:
    """Positive weights, average pooling, no norms: the gradient is non-zero just on the field."""
    network = zoo.network(name)
    value = last_with_places(network)
    field = receptive_fields(network)[value]
    if field.whole:
        assert len(network.shapes()[value]) == 1  # a network without convolutions
        return
    thinned = {_thin(network, value, axis, field.axes[axis]): axis for axis in (0, 1)}
    for thin, axis in thinned.items():  # one of them where both axes are alike
        assert _measured(thin) == _expected(thin, field.axes[axis])


def _expected(thin: Network, axis: Axis) -> tuple[int, int]:
    unit = thin.shapes()[thin.outputs[0].source][1] // 2
    start = axis.offset + unit * axis.stride
    assert start >= 0 and start + axis.size <= thin.input_shape[1]  # nothing is cut off
    return start, start + axis.size - 1


def _measured(thin: Network) -> tuple[int, int]:
    """Return the first and last pixel that the middle unit's gradient reaches."""
    net = build(thin, seed=None)
    for name, parameter in list(net.named_parameters()):
        owner = net.get_submodule(name.rpartition(".")[0])
        values = torch.full(parameter.shape, 1 / parameter.shape[-1], dtype=torch.float64)
        owner.register_parameter(name.rpartition(".")[2], nn.Parameter(values))
    for part in net.modules():
        part.register_forward_hook(_only_where)
    x = torch.zeros(1, *thin.input_shape, dtype=torch.float64, requires_grad=True)
    unit = net(x)[0, 0]
    unit[len(unit) // 2].backward()
    assert x.grad is not None and x.grad.isfinite().all()
    seen = x.grad[0, 0].nonzero().flatten()
    return int(seen[0]), int(seen[-1])


def _only_where(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
    """Let the gradient say where and not how much: the edge of 1,202 layers is below 1e-500."""
    output.register_hook(lambda gradient: (gradient > 0).to(gradient.dtype))


def _thin(network: Network, value: str, axis: int, field: Axis) -> Network:
    """Return what leads to a value along one axis: one channel, no norms, pooling as average."""
    wanted = {value}
    for layer in reversed(network.layers):
        if layer.name in wanted:
            wanted.update(layer.inputs)
    length = field.size + 2 * abs(field.offset) + 4 * field.stride
    sketch = Sketch(network.name, (1, length))
    names = {network.inputs[0].name: sketch.input.name}
    for layer in network.layers:
        if layer.name in wanted:
            inputs = tuple(names[name] for name in layer.inputs)
            names[layer.name] = sketch.put(_thin_layer(network, layer, inputs, axis))
    return sketch.finish()


def _thin_layer(
    network: Network, layer: design.Layer, inputs: tuple[str, ...], axis: int
) -> design.Layer:
    window = layer.window(*network.input_shapes(layer))
    if isinstance(layer, design.Add | design.Concat):
        return design.Add(name=layer.name, inputs=inputs)
    if isinstance(layer, design.Shortcut):
        return layer.replace(inputs=inputs, features=1, stride=layer.stride[axis : axis + 1])
    if isinstance(layer, design.Slice):
        return layer.replace(inputs=inputs, ranges=(layer.ranges[0], layer.ranges[1 + axis]))
    if isinstance(layer, design.Pad):
        return layer.replace(inputs=inputs, padding=layer.padding[axis : axis + 1], mode="zero")
    if isinstance(layer, design.Pool):
        return design.AvgPool(
            name=layer.name,
            inputs=inputs,
            kernel=layer.kernel[axis : axis + 1],
            stride=layer.stride[axis : axis + 1],
            padding=layer.padding[axis : axis + 1],
            ceil=layer.ceil,
        )
    if window is None or set(window.kernel) == set(window.stride) == {1}:
        assert layer.output(*network.input_shapes(layer))[1:] == network.input_shapes(layer)[0][1:]
        return design.Identity(name=layer.name, inputs=inputs)
    dilation = getattr(layer, "dilation", (1, 1))
    return design.Conv(
        name=layer.name,
        inputs=inputs,
        features=1,
        kernel=layer.kernel[axis : axis + 1],
        stride=layer.stride[axis : axis + 1],
        padding=layer.padding[axis : axis + 1],
        dilation=dilation[axis : axis + 1],
        bias="none",
    )


def test_unaligned_branches_are_said() -> None:
    net = Sketch("t", (1, 20, 20))
    left = net.conv("left", 1, 3, padding=((0, 2), (0, 2)))
    right = net.conv("right", 1, 3, padding=1, of="x")
    net.add("sum", left, right)
    field = receptive_fields(net.finish())["sum"]
    assert not field.aligned
    assert [(a.size, a.offset) for a in field.axes] == [(4, -1)] * 2
    assert sorted(axes[0].offset for axes in field.alternatives) == [-1, 0]


# -- brute force: which pixels each unit depends on, as sets --------------------------------------

Seen = list[frozenset[int]]


def _slide(values: Seen, kernel: int, stride: int, padding: tuple[int, int], step: int) -> Seen:
    padded = [frozenset[int]()] * padding[0] + values + [frozenset[int]()] * padding[1]
    reach = (kernel - 1) * step
    return [
        frozenset().union(*(padded[at + tap * step] for tap in range(kernel)))
        for at in range(0, len(padded) - reach, stride)
    ]


pads = st.tuples(st.integers(0, 2), st.integers(0, 2))


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), pads, st.integers(1, 2)), max_size=4),
    st.lists(st.tuples(st.sampled_from([1, 3, 5]), st.integers(0, 2)), min_size=1, max_size=3),
)
def test_graphs_against_brute_force(
    trunk: list[tuple[int, int, tuple[int, int], int]], branches: list[tuple[int, int]]
) -> None:
    """A trunk of windows, then branches that keep the size, off centre by a shift, and a sum."""
    net = Sketch("t", (1, 400))
    seen: Seen = [frozenset({pixel}) for pixel in range(400)]
    for index, (kernel, stride, padding, dilation) in enumerate(trunk):
        net.conv(f"trunk{index}", 1, kernel, stride=stride, padding=[padding], dilation=dilation)
        seen = _slide(seen, kernel, stride, padding, dilation)
    source, sums, ends = net.last, [frozenset[int]()] * len(seen), [net.last]
    sums = [a | b for a, b in zip(sums, seen, strict=True)]
    for index, (kernel, shift) in enumerate(branches):
        shift = min(shift, (kernel - 1) // 2)
        padding = ((kernel - 1) // 2 - shift, kernel // 2 + shift)
        ends.append(net.conv(f"branch{index}", 1, kernel, padding=[padding], of=source))
        sums = [a | b for a, b in zip(sums, _slide(seen, kernel, 1, padding, 1), strict=True)]
    net.add("sum", *ends)
    field = receptive_fields(net.finish())["sum"]
    (axis,) = field.axes
    unit = len(sums) // 2
    start = axis.offset + unit * axis.stride
    assume(start >= 0 and start + axis.size <= 400)
    assert (min(sums[unit]), max(sums[unit])) == (start, start + axis.size - 1)
    shifted = any(min(shift, (kernel - 1) // 2) for kernel, shift in branches)
    assert field.aligned != shifted
    assert (len(field.alternatives) > 1) == shifted


def test_adaptive_windows_that_differ_are_said() -> None:
    net = Sketch("t", (1, 8, 8))
    net.adaptive_avg_pool("pool", 3)
    net.adaptive_avg_pool("even", 1)
    fields = receptive_fields(net.finish())
    assert not fields["pool"].aligned
    assert [axes[0].size for axes in fields["pool"].alternatives] == [4, 3]


def test_which_kinds_look_at_more_than_their_own_pixel() -> None:
    """A new kind fails here until somebody says what its units look at."""
    pixelwise = {
        tag
        for tag, kind in kinds(design.Layer).items()
        if kind.window is design.Layer.window
        and kind.whole is design.Layer.whole
        and kind.carried is design.Layer.carried
    }
    assert pixelwise == {
        *("relu", "relu6", "leaky_relu", "tanh", "sigmoid", "gelu", "silu", "softmax"),
        *("dropout", "noise", "batch_norm", "affine", "lrn", "identity", "add", "concat"),
        *("elementwise", "prelu", "log_softmax", "channel_dropout", "multiply", "combine"),
        *("group_norm", "layer_norm"),
    }


def test_averaging_shortcuts_are_not_aligned() -> None:
    field = receptive_fields(zoo.network("resnet18(average=True)"))["layer2.0.add"]
    assert not field.aligned and len(field.alternatives) == 2


@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 5), st.integers(1, 5))
def test_transposed_windows_against_brute_force(k: int, up: int, before: int, size: int) -> None:
    """Unit o of a transposed convolution sees the pixels i with 0 <= o + before - i up < k."""
    below = Axis(size=size, stride=4 * up, offset=-3)
    field = _upsampled(Field(axes=(below,)), Window((k,), (1,), (before,), (up,)))
    (axis,) = field.axes
    starts, ends, sizes = [], [], set()
    for unit in range(50 * up, 52 * up):
        seen = [pixel for pixel in range(200) if 0 <= unit + before - pixel * up < k]
        if seen:
            starts.append(below.offset + seen[0] * below.stride - unit * axis.stride)
            ends.append(below.offset + seen[-1] * below.stride + size - unit * axis.stride)
            sizes.add(len(seen))
    assert axis.stride == 4
    if k >= up:  # else some units see nothing
        assert (min(starts), max(ends)) == (axis.offset, axis.offset + axis.size)
        assert field.aligned == (len(sizes) == 1)


def test_axes_have_fields_of_their_own() -> None:
    """By hand: r + (k - 1) j, j s, o - p j, first of the rows, then of the columns."""
    net = Sketch("t", (1, 60, 60))
    net.conv("a", 1, (3, 5), stride=(2, 1), padding=(1, 2))
    net.max_pool("b", (2, 4), stride=(1, 3))
    net.conv("c", 1, (3, 1), dilation=(2, 1))
    fields = receptive_fields(net.finish())
    seen = {
        name: [(axis.size, axis.stride, axis.offset) for axis in fields[name].axes]
        for name in ("a", "b", "c")
    }
    assert seen == {
        "a": [(3, 2, -1), (5, 1, -2)],
        "b": [(5, 2, -1), (8, 3, -2)],
        "c": [(13, 2, -1), (8, 3, -2)],
    }
    assert all(field.aligned and not field.whole for field in fields.values())


def test_of_branches_with_different_strides_the_coarsest_counts() -> None:
    """Subsampled and enlarged again beside what was never subsampled."""
    net = Sketch("t", (1, 16, 16))
    fine = net.conv("fine", 1, 3, padding=1)
    coarse = net.conv("coarse", 1, 1, stride=2, of="x")
    net.put(design.Resize(name="up", inputs=(coarse,), scale=(2.0, 2.0)))
    fields = receptive_fields(net.finish())
    assert fields["up"].axes[0].stride == 1
    both = union([fields[fine], fields[coarse]])
    assert [axis.stride for axis in both.axes] == [2, 2] and not both.aligned
    assert [(axis.size, axis.offset) for axis in both.axes] == [(3, -1)] * 2
    assert both.alternatives == (fields[fine].axes, fields[coarse].axes)


def test_a_branch_that_sees_everything_hides_where_others_end() -> None:
    net = Sketch("t", (4, 9, 9))
    net.conv("c", 4, 3, padding=1)
    gate = net.put(design.Reduce(name="gate", inputs=("c",), function="mean", axes=(1, 2)))
    net.put(design.Multiply(name="gated", inputs=("c", gate)))
    net.conv("after", 4, 3)
    fields = receptive_fields(net.finish())
    for name in ("gate", "gated", "after"):
        assert fields[name].whole and [axis.size for axis in fields[name].axes] == [9, 9]


class Gate(nn.Module):
    """Squeeze and excitation, by parts or by a vector that is put back into its places."""

    def __init__(self, channels: int, vector: bool) -> None:
        super().__init__()
        kind = nn.Linear if vector else lambda a, b: nn.Conv2d(a, b, 1)
        self.vector, self.down, self.up = vector, kind(channels, 2), kind(2, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        squeezed = x.mean((2, 3)) if self.vector else functional.adaptive_avg_pool2d(x, 1)
        gate = torch.sigmoid(self.up(torch.relu(self.down(squeezed))))
        return x * (gate[:, :, None, None] if self.vector else gate)


class Shuffle(nn.Module):
    """The channels of each group spread over all: ShuffleNet's."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, channels, height, width = x.shape
        apart = x.view(n, 2, channels // 2, height, width).transpose(1, 2).contiguous()
        return apart.view(n, channels, height, width)


class ChannelsLast(nn.Module):
    """A fully connected layer at each place, as ConvNeXt has it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Turned(nn.Module):
    """Rows and columns exchanged, a window of 1x3, and back."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(8, 8, (1, 3), padding=(0, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x.transpose(2, 3)).transpose(2, 3)


@pytest.mark.parametrize(
    ("part", "size"),
    [
        (Gate(8, vector=False), "whole"),
        (Gate(8, vector=True), "whole"),
        (Shuffle(), (7, 7)),
        (nn.ChannelShuffle(2), (7, 7)),
        (ChannelsLast(), (7, 7)),
        (Turned(), (11, 7)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_moved_or_repeated_sees_what_has_a_gradient(
    part: nn.Module, size: tuple[int, int] | str
) -> None:
    """A window of 3 with stride 2, the part, and a window of 3: a module read off torch."""
    first, last = nn.Conv2d(1, 8, 3, 2, padding=1), nn.Conv2d(8, 8, 3, padding=1)
    module = nn.Sequential(first, part, last)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(0.01)
    network = describe(module, (1, 20, 20))
    value = network.outputs[0].source
    image = torch.ones(1, 1, 20, 20, requires_grad=True)
    (slope,) = torch.autograd.grad(module(image)[0, :, 5, 5].sum(), image)
    seen = slope[0, 0].nonzero()
    box = tuple(zip(seen.amin(0).tolist(), (seen.amax(0) + 1).tolist(), strict=True))
    field = receptive_fields(network)[value]
    assert design.crop(network, value, (5, 5)) == box
    assert [axis.stride for axis in field.axes] == [2, 2]
    if size == "whole":
        assert field.whole and box == ((0, 20), (0, 20))
    else:
        edges = [(a.offset + 5 * a.stride, a.offset + 5 * a.stride + a.size) for a in field.axes]
        assert not field.whole and field.aligned and tuple(edges) == box
        assert tuple(axis.size for axis in field.axes) == size


def test_a_layer_along_the_columns_leaves_no_place() -> None:
    """MLP-Mixer's: a fully connected layer whose features happen to be as many as the columns."""
    net = Sketch("t", (2, 6, 6))
    net.put(design.LinearLast(name="mixed", inputs=("x",), features=6))
    network = net.finish()
    assert receptive_fields(network)["mixed"].whole
    assert design.crop(network, "mixed", (3, 3)) == ((0, 6), (0, 6))


def test_the_last_value_with_places_comes_before_what_pools_them_all() -> None:
    def last(write: Callable[[Sketch], object], shape: tuple[int, ...] = (2, 8, 8)) -> str:
        net = Sketch("t", shape)
        net.conv("conv", 2, 3)
        net.relu("relu")
        write(net)
        return last_with_places(net.finish())

    assert last(lambda net: net.adaptive_avg_pool("pool")) == "relu"
    assert last(lambda net: net.avg_pool("pool", 6)) == "relu"
    assert last(lambda net: net.avg_pool("pool", 3)) == "pool"
    assert last(lambda net: (net.flatten(), net.linear("fc", 3))) == "relu"
    assert last(lambda net: (net.adaptive_avg_pool("p"), net.conv("scores", 3, 1))) == "relu"
    assert last(lambda net: net.conv("whole", 3, 6)) == "whole"  # a window, not pooling
    assert last(lambda net: net.avg_pool("pool", (6, 1))) == "pool"  # columns are left
    assert last(lambda net: net.avg_pool("row", (1, 6), stride=1), (2, 3, 8)) == "relu"
    vector = Sketch("t", (5,))
    vector.linear("fc", 3)
    assert last_with_places(vector.finish()) == "fc"
