"""The memory of a training step on paper, against arithmetic by hand and autograd itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from striate import zoo
from striate.design import Network, Sketch
from striate.design.forecast import forecast, largest_batch, saved_bytes
from striate.errors import UsageError
from striate.layers import build


def chain() -> Network:
    """Return conv, relu, pool, linear on 4x4."""
    pen = Sketch("chain", (1, 4, 4))
    pen.conv("conv", 2, 3, padding=1)
    pen.relu("relu")
    pen.max_pool("pool", 2)
    pen.flatten()
    pen.linear("fc", 3)
    return pen.finish()


def test_a_chain_by_hand() -> None:
    """Per image: input 64 bytes, relu's output 128, pool's output 32 and its indices 64."""
    assert saved_bytes(chain(), batch=1) == 64 + 128 + 32 + 64
    assert saved_bytes(chain(), batch=5) == 5 * (64 + 128 + 32 + 64)
    found = forecast(chain(), batch=5)
    parameters = 2 * 9 + 2 + 8 * 3 + 3
    assert found.weights == 4 * parameters
    assert found.state == 4 * parameters
    assert forecast(chain(), batch=5, optimiser="adamw").state == 8 * parameters
    assert forecast(chain(), batch=5, optimiser="sgd_plain").state == 0
    assert forecast(chain(), batch=5, average=True).weights == 8 * parameters
    assert found.peak == sum(
        (found.weights, found.gradients, found.state, found.activations, found.workspace)
    )


def test_the_peak_of_a_chain_by_hand() -> None:
    """Where relu's gradient is made, of one image, in bytes.

    The batch 64 and relu's output 128 are kept; two gradients of 128 and the scores' 12 are on
    their way; the linear layer's own gradient, 27 numbers, is there.
    """
    found = forecast(chain(), batch=1, layout="contiguous")
    assert (found.layer, found.phase) == ("relu", "backward")
    assert found.activations == 64 + 128
    assert found.workspace == 128 + 128 + 12
    assert found.gradients == 4 * 27
    frozen = chain()
    frozen = frozen.replace(layers=tuple(x.replace(trainable=False) for x in frozen.layers))
    found = forecast(frozen, batch=1, layout="contiguous")  # nothing is kept, nothing goes back
    assert (found.layer, found.phase) == ("relu", "forward")
    assert (found.activations, found.workspace, found.gradients) == (64, 256, 0)
    assert found.state == 0


def test_a_sum_needs_no_gradient_of_its_own() -> None:
    """Both its sides get the one that came, so that the most is there a layer further back.

    The sum of 64 bytes, the gradients of both sides, and that of the filter's one weight.
    """
    pen = Sketch("sum", (1, 4, 4))
    left = pen.conv("left", 1, 1)
    right = pen.conv("right", 1, 1, of="x")
    pen.add("sum", left, right)
    found = forecast(pen.finish(), batch=1, layout="contiguous")
    assert found.activations == 64  # the batch, which both convolutions keep
    assert (found.layer, found.phase, found.workspace) == ("right", "backward", 3 * 64 + 4)


def test_a_mean_over_all_places_keeps_nothing_and_over_some_its_input() -> None:
    def saved(size: int) -> int:
        pen = Sketch("mean", (1, 4, 4))
        pen.conv("conv", 2, 1)
        pen.adaptive_avg_pool("pool", size)
        pen.flatten()
        pen.linear("fc", 3)
        return saved_bytes(pen.finish(), batch=1)

    assert saved(1) == 64 + 4 * 2  # the image, and what the linear layer reads
    assert saved(2) == 64 + 4 * 2 * 16 + 4 * 2 * 4


def test_images_are_copied_to_the_other_order() -> None:
    colour = zoo.network("allcnn_c", input=(3, 32, 32))
    last, first = (
        forecast(colour, batch=4, layout=layout) for layout in ("channels_last", "contiguous")
    )
    assert last.activations - first.activations == 4 * 4 * 3 * 32 * 32
    assert last.peak - first.peak == last.activations - first.activations


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("sgd", lambda own: torch.optim.SGD(own, lr=0.1, momentum=0.9)),
        ("sgd_plain", lambda own: torch.optim.SGD(own, lr=0.1)),
        ("adam", lambda own: torch.optim.Adam(own)),
        ("adamw", lambda own: torch.optim.AdamW(own)),
        ("adagrad", lambda own: torch.optim.Adagrad(own)),
        ("rmsprop", lambda own: torch.optim.RMSprop(own)),
        ("rmsprop_momentum", lambda own: torch.optim.RMSprop(own, momentum=0.9)),
    ],
)
def test_the_state_is_what_torchs_optimiser_keeps(
    name: str, make: Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer]
) -> None:
    net = build(chain(), seed=0)
    optimiser = make(list(net.parameters()))
    net(torch.rand(2, 1, 4, 4)).sum().backward()
    optimiser.step()
    kept = sum(
        4 * value.numel()
        for state in optimiser.state.values()
        for value in state.values()
        if isinstance(value, torch.Tensor) and value.dim()  # the number of steps apart
    )
    assert forecast(chain(), batch=2, optimiser=name).state == kept


def test_the_state_of_optimisers_that_torch_lacks_or_keeps_in_lists() -> None:
    """L-BFGS: ten pairs, the last gradient, the last update. Muon: AdamW's, where it is that."""
    weights = forecast(chain(), batch=1).weights
    assert forecast(chain(), batch=1, optimiser="lbfgs").state == (2 * 10 + 2) * weights
    assert forecast(chain(), batch=1, optimiser="muon").state == 2 * weights


def test_a_batch_beyond_all_memory_is_found_too() -> None:
    pen = Sketch("tiny", (1,))
    pen.linear("fc", 1)
    batch = largest_batch(pen.finish(), 1 << 40)
    assert batch > 1 << 24
    assert largest_batch(pen.finish(), 0) == 0


def saved_by_autograd(network: Network, batch: int) -> int:
    """Return the bytes that torch's autograd keeps after a forward pass, parameters apart."""
    net = build(network, seed=0).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    own = {each.untyped_storage().data_ptr() for each in [*net.parameters(), *net.buffers()]}
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = tensor  # alive, so that no address comes twice
        return tensor

    images = torch.rand(batch, *network.input_shape).contiguous(memory_format=torch.channels_last)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        net(images)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("alexnet", 127),
        ("alexnet_grouped", 127),
        ("allcnn_c", 32),
        ("googlenet(auxiliary=False)", 96),
        ("inception_v3(auxiliary=False)", 107),
        ("lenet", 28),
        ("mlp(batch_norm=True)", 32),
        ("mobilenet_v1", 96),
        ("nin_cifar", 32),
        ("resnet18", 96),
        ("resnet20", 32),
        ("resnet50", 96),
        ("squeezenet1_0", 96),
        ("zfnet_paper", 127),
    ],
)
def test_what_is_kept_is_what_autograd_keeps(name: str, size: int) -> None:
    channels = zoo.network(name).input_shape[0]
    network = zoo.network(name, input=(channels, size, size))
    assert saved_bytes(network, batch=2) == pytest.approx(saved_by_autograd(network, 2), rel=0.005)


@pytest.mark.parametrize("padding", [((1, 2), (0, 1)), ((0, 1), (3, 0))])
def test_a_copy_padded_unevenly_is_kept_in_place_of_what_was_read(
    padding: tuple[tuple[int, int], ...],
) -> None:
    pen = Sketch("uneven", (3, 9, 7))
    pen.conv("first", 5, 3)
    pen.conv("uneven", 4, 3, padding=padding)
    network = pen.finish()
    assert saved_bytes(network, batch=2) == saved_by_autograd(network, 2)


def test_a_frozen_front_keeps_nothing() -> None:
    network = zoo.network("resnet18", input=(3, 64, 64))
    frozen = network.replace(
        layers=tuple(
            layer.replace(trainable=not layer.name.startswith(("conv1", "bn1", "layer")))
            for layer in network.layers
        )
    )
    assert saved_bytes(frozen, batch=2) == saved_by_autograd(frozen, 2)
    assert forecast(frozen, batch=2).gradients < 4 * 1000 * 514


@given(st.integers(1, 64), st.integers(1, 64))
def test_more_images_never_take_less(one: int, other: int) -> None:
    less, more = sorted((one, other))
    assert forecast(chain(), batch=less).peak <= forecast(chain(), batch=more).peak


@given(st.integers(0, 10**7), st.sampled_from(["sgd", "adamw"]))
def test_the_largest_batch_fits_and_the_next_does_not(memory: int, optimiser: str) -> None:
    batch = largest_batch(chain(), memory, optimiser=optimiser)
    assert batch == 0 or forecast(chain(), batch=batch, optimiser=optimiser).peak <= memory
    assert forecast(chain(), batch=batch + 1, optimiser=optimiser).peak > memory


def test_half_precision_halves_what_it_can() -> None:
    network = zoo.network("resnet18", input=(3, 96, 96))
    whole, half = (
        forecast(network, batch=8, precision=precision) for precision in ("float32", "bfloat16")
    )
    assert 0.45 < half.activations / whole.activations < 0.7
    assert half.weights == pytest.approx(1.5 * whole.weights, rel=0.01)


def test_an_unknown_optimiser_is_named() -> None:
    with pytest.raises(UsageError, match=r"Expected an optimiser of sgd, .*received 'lion'"):
        forecast(chain(), batch=1, optimiser="lion")
