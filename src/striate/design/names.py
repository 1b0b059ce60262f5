"""What a value may be called: a name is a module path, and a scope becomes a module."""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from striate.design.layer import Layer
from striate.errors import DesignError, UsageError, did_you_mean
from striate.records import nearest

if TYPE_CHECKING:
    from striate.design.network import Network

# What a module cannot be called, since torch.nn.Module or a built net means something else by it.
MODULE_ATTRIBUTES = frozenset(
    """T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda
    double dump_patches eval extra_repr float forward get_buffer get_extra_state get_parameter
    get_submodule half ipu load_state_dict modules mtia named_buffers named_children named_modules
    named_parameters network parameters place register_backward_hook register_buffer
    register_forward_hook register_forward_pre_hook register_full_backward_hook
    register_full_backward_pre_hook register_load_state_dict_post_hook
    register_load_state_dict_pre_hook register_module register_parameter
    register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state
    set_submodule share_memory source state_dict to to_empty train training type xpu
    zero_grad""".split()
)


def check_names(network: Network) -> None:
    """Refuse names that are taken, unusable, or read before anything gives them."""
    known: set[str] = set()
    for each in network.inputs:
        _check_name(network, each.name)
        if "." in each.name or each.name in known:
            raise DesignError(
                f"{network.name}: expected a plain, new input name (image), received {each.name!r}."
            )
        known.add(each.name)
    for layer in network.layers:
        _check_name(network, layer.name)
        if layer.name in known:
            raise DesignError(
                f"{network.name}: two values are called {layer.name!r}: expected names of their "
                "own, conv1 and conv2.",
                layer.name,
            )
        _check_reads(network, layer, known)
        known.add(layer.name)
    outputs = [output.name for output in network.outputs]
    for output in network.outputs:
        if not (output.name.isascii() and output.name.isidentifier()):
            raise DesignError(
                f"{network.name}: {output.name!r} cannot name an output: expected letters, digits "
                "and underscores."
            )
        if outputs.count(output.name) > 1:
            raise DesignError(
                f"{network.name}: two outputs are called {output.name!r}: expected names of their "
                "own."
            )
        if output.source not in known:
            raise DesignError(
                f"{network.name}: output {output.name!r} is {output.source!r}, which "
                f"no layer gives.{_meant(output.source, known)}"
            )


def no_such_part(network: str, name: str, layers: Iterable[str]) -> UsageError:
    """Return the error for a layer or scope that a network has not, with the nearest."""
    own = list(layers)
    parts = (each.split(".") for each in own)
    scopes = (".".join(part[:depth]) for part in parts for depth in range(1, len(part)))
    close = nearest(name, list(dict.fromkeys([*scopes, *own])))
    fix = did_you_mean(close) or f" `striate design {network}` lists all."
    return UsageError(f"{network} has no layer or scope {name!r}.{fix}")


def _meant(name: str, known: Iterable[str]) -> str:
    return did_you_mean(nearest(name, known))


def _check_reads(network: Network, layer: Layer, known: set[str]) -> None:
    unknown = [name for name in layer.inputs if name not in known]
    if unknown:
        raise DesignError(
            f"{network.name}: {layer.name} reads {', '.join(map(repr, unknown))}, which no input "
            f"or earlier layer gives.{_meant(unknown[0], known)}",
            layer.name,
        )
    expected = layer.arity
    if not layer.inputs or (expected is not None and len(layer.inputs) != expected):
        wanted = "at least one input" if expected is None else f"{expected} input"
        raise DesignError(
            f"{network.name}: {layer.name} expected {wanted}, received {len(layer.inputs)}.",
            layer.name,
        )
    if layer.shares is not None and layer.shares not in known:
        raise DesignError(
            f"{network.name}: {layer.name} shares the parameters of {layer.shares!r}, which no "
            f"earlier layer is.{_meant(layer.shares, known)}",
            layer.name,
        )


def _check_name(network: Network, name: str) -> None:
    for part in name.split("."):
        # These names are written into source that is executed, so nothing else may pass.
        usable = part.isascii() and (part.isdecimal() or part.isidentifier())
        if (
            not usable
            or keyword.iskeyword(part)
            or part in MODULE_ATTRIBUTES
            or part.startswith("_")
        ):
            raise DesignError(
                f"{network.name}: {name!r} cannot name a module: {part!r} is "
                + ("taken by nn.Module." if part in MODULE_ATTRIBUTES else "no identifier."),
                name,
            )


def check_scopes(names: list[str]) -> None:
    """Refuse a name that is another's scope, and a scope whose layers are not together."""
    taken = set(names)
    closed: set[str] = set()
    before: list[str] = []
    for name in names:
        scopes = list(_scopes(name))
        for scope in scopes:
            if scope in taken:
                raise DesignError(f"{scope!r} is a layer and cannot hold {name!r} as well.", name)
            if scope in closed:
                raise DesignError(
                    f"The layers of {scope!r} are not together: {name!r} comes after others.", name
                )
        closed.update(scope for scope in before if scope not in scopes)
        before = scopes


def _scopes(name: str) -> Iterator[str]:
    parts = name.split(".")
    for end in range(1, len(parts)):
        yield ".".join(parts[:end])
