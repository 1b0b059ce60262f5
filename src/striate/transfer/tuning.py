"""Fine-tuning, on paper: which layers move, how fast, and what a network ends in instead.

Everything here gives a Network; `train` obeys the records.
"""

from __future__ import annotations

from collections.abc import Sequence

from striate.design import AdaptiveAvgPool, BatchNorm, Flatten, Layer, Linear, Network, Output
from striate.design.centred import centred
from striate.design.names import no_such_part
from striate.errors import UsageError

HEAD = "transfer_head"

# The lectures': a new head at the full rate, the later half at a tenth, the earlier at a hundredth.
RATES = (1.0, 0.1, 0.01)


def classifier(network: Network) -> tuple[str, ...]:
    """Return the layers that another number of classes makes anew."""
    kept = {name.rpartition(".")[0] for name in network.with_classes(network.classes)[1]}
    every = [name.name.rpartition(".")[0] for name in network.parameters()]
    return tuple(dict.fromkeys(name for name in every if name not in kept))


def blocks(network: Network) -> tuple[tuple[str, ...], ...]:
    """Return the layers in blocks, first to last, without the classifier.

    A block is what a scope holds (`layer4.1`, `inception5b`, `features.denseblock4`); of layers
    that stand alone, one with weights and what follows it up to the next.
    """
    anew, holder = set(classifier(network)), _holder(network)
    found: list[list[str]] = []
    before, open_ = "", False  # whether the last block has weights yet
    for layer in network.layers:
        if layer.name in anew:
            continue
        scope = _scope(layer.name, holder)
        weighted = bool(layer.parameters(*network.input_shapes(layer)))
        alone = weighted and not isinstance(layer, BatchNorm)
        if not found or (open_ and (scope != before if scope else alone)):
            found.append([])
            open_ = False
        found[-1].append(layer.name)
        before, open_ = scope, open_ or weighted
    if len(found) > 1 and not open_:
        tail = found.pop()
        found[-1] += tail
    return tuple(map(tuple, found))


def _holder(network: Network) -> str:
    """Return the scope that holds most of the network, as torchvision's `features`, if one does."""
    tops = [layer.name.partition(".")[0] for layer in network.layers if "." in layer.name]
    likely = max(set(tops), key=tops.count, default="")
    return likely if 2 * tops.count(likely) > len(network.layers) else ""


def _scope(name: str, holder: str) -> str:
    """Return the block's scope, empty for a layer that stands alone."""
    parts = name.split(".")[:-1]
    start = 1 if parts and parts[0] == holder else 0
    own = parts[start:]
    if not own:
        return ""
    taken = 2 if len(own) > 1 and own[1].isdecimal() else 1
    return ".".join(parts[: start + taken])


def tuned(
    network: Network,
    classes: int,
    last: int | None,
    *,
    rates: Sequence[float] = RATES,
    layer_decay: float | None = None,
    freeze_norm: bool = True,
) -> tuple[Network, tuple[str, ...]]:
    """Return a network for other classes of which the head and the last blocks move.

    Args:
        network: trained for other classes.
        classes: how many there are now.
        last: how many blocks move beside the head; None for all.
        rates: of the head, the later half of the blocks, and the earlier half.
        layer_decay: each block's rate is this much of the one after it, in place of `rates`.
        freeze_norm: batch normalisation keeps statistics, scale and shift, wherever it is.

    Returns:
        The network, and the layers that are drawn anew.
    """
    anew = classifier(network)
    groups = blocks(network)
    moving = len(groups) if last is None else last
    if not 0 <= moving <= len(groups):
        raise UsageError(f"Expected 0 to {len(groups)} last blocks, received {last}.")
    changed = _freed(network.with_classes(classes)[0])
    rate_of: dict[str, float] = {}
    for index, group in enumerate(groups):
        below = len(groups) - index  # 1 for the block under the head
        rate = rates[1] if 2 * index >= len(groups) else rates[2]
        rate = layer_decay**below if layer_decay is not None else rate
        for name in group:
            rate_of[name] = rate if below <= moving else 0.0
    layers = tuple(_moved(each, rate_of, rates[0], freeze_norm) for each in changed.layers)
    return changed.replace(layers=layers), anew


def _moved(layer: Layer, rate_of: dict[str, float], head: float, freeze_norm: bool) -> Layer:
    rate = rate_of.get(layer.name, head)
    if rate == 0.0 or (freeze_norm and isinstance(layer, BatchNorm)):
        return layer.replace(trainable=False)
    return layer.replace(rates=tuple(rate * each for each in layer.rates))


def thawed(network: Network) -> Network:
    """Return a network all of whose layers move at the full rate, for training from scratch."""
    return _freed(centred(network, "none"))  # what centres it was measured on other images


def _freed(network: Network) -> Network:
    """Return a network of which everything moves at the full rate, but what centres images.

    A network that was transferred before has layers that stood still, or were slow, for its sake.
    """
    own = {each.name for each in centred(network, "none").layers}
    layers = tuple(
        each.replace(trainable=True, rates=(1.0, 1.0)) if each.name in own else each
        for each in network.layers
    )
    return network.replace(layers=layers)


def penultimate(network: Network) -> str:
    """Return the layer whose answer the classifier reads."""
    last = network.layer(classifier(network)[-1])
    known = {layer.name for layer in network.layers}
    source = last.inputs[0]
    while type(network.layer(source)).__name__ == "Dropout":
        source = network.layer(source).inputs[0]
    return source if source in known else last.name


def cut_at(network: Network, name: str, classes: int) -> Network:
    """Return the network up to a layer, frozen, with a linear classifier on its mean features.

    Raises:
        UsageError: there is no such layer; carries the nearest names.
    """
    known = [layer.name for layer in network.layers]
    if name not in known:
        raise no_such_part(network.name, name, known)
    wanted = {name}
    kept: list[Layer] = []
    for layer in reversed(network.layers):
        if layer.name in wanted:
            kept.insert(0, layer.replace(trainable=False))
            wanted.update(layer.inputs)
    shape = network.shapes()[name]
    if len(shape) > 1:
        pool = AdaptiveAvgPool(name="transfer_pool", inputs=(name,), size=(1,) * (len(shape) - 1))
        kept += [pool, Flatten(name="transfer_flat", inputs=("transfer_pool",))]
    head = Linear(name=HEAD, inputs=(kept[-1].name,), features=classes, bias=True)
    return network.replace(
        name=f"{network.name}_linear",
        inputs=tuple(each for each in network.inputs if each.name in wanted),
        layers=(*kept, head),
        outputs=(Output(name="logits", source=head.name),),
        renamed=(),
    )
