"""Layers that a module keeps where PyTorch does not see them: in a Python list, say.

What is in no `parameters()` is neither trained nor saved, nor moved to a device.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import torch
from torch import Tensor, nn

from striate.design.centred import WHITENING
from striate.doctor.effort import glance
from striate.doctor.subject import Check, Subject, tensors

REGISTER: Final = (  # the remedy
    "keep layers in nn.ModuleList or nn.ModuleDict, parameters in nn.ParameterList: PyTorch does "
    "not see those in a Python list, so no optimiser has them, and no file"
)
_DEEP: Final = 3  # lists within lists
_OWN: Final = frozenset(vars(nn.Module()))  # where a module keeps what is registered, and its hooks


def unregistered(module: nn.Module) -> dict[str, Tensor]:
    """Return the parameters that want gradients and are not among `module.parameters()`, by name.

    Looked through are lists, tuples, sets, dicts, and objects of classes that were defined beside
    the submodule's own, of every submodule. Frozen ones (a teacher's) and those that are registered
    elsewhere are left out.
    """
    known = {id(each) for each in module.parameters()}
    found: dict[str, Tensor] = {}
    for place, each in module.named_modules():
        for key, value in vars(each).items():
            if key not in _OWN and not isinstance(value, Tensor | nn.Module):
                path = f"{place}.{key}" if place else key
                for name, parameter in _within(value, path, type(each).__module__, _DEEP):
                    if parameter.requires_grad and parameter.is_leaf and id(parameter) not in known:
                        known.add(id(parameter))
                        found[name] = parameter
    return found


def all_trained(subject: Subject) -> Check:
    """See that layers at their random start are trained."""
    weights = [(n, p) for n, p in subject.net.named_parameters() if p.dim() > 1]
    still = [name for name, p in weights if not p.requires_grad and name != WHITENING]
    hidden = missed(subject)
    idle = hidden + ([] if subject.begun else still)
    fix = "let them train, or begin with trained weights"
    return Check(
        check="all_trained",
        measured=float(len(idle)),
        expected="no weights that stay as they were drawn",
        band=(0.0, 0.0),
        verdict="fail" if idle and subject.answer == "logits" else "pass",
        meaning=f"{', '.join(idle[:3])} keep random weights"
        + " and are in no parameters() of the network" * bool(hidden)
        if idle
        else "all weights are trained",
        fix=REGISTER if hidden else fix if idle else "",
    )


def missed(subject: Subject) -> list[str]:
    """Return the layers that the outputs depend on, that want gradients and that are unregistered.

    Where the weights were trained before, something may be kept aside on purpose.
    """
    found = {} if subject.begun else unregistered(subject.net)
    if not found:
        return []
    with subject.quiet(training=True) as net, torch.enable_grad():
        outputs = [each.sum() for each in tensors(net(glance(subject, 32))) if each.requires_grad]
        slopes = torch.autograd.grad(outputs, list(found.values()), allow_unused=True)
    names = [name for name, each in zip(found, slopes, strict=True) if each is not None]
    return list(dict.fromkeys(name.rpartition(".")[0] or name for name in names))


def _within(value: object, path: str, home: str, deep: int) -> Iterator[tuple[str, Tensor]]:
    """Yield the parameters within a value by names such as `convs[0].weight`."""
    if isinstance(value, nn.Module):
        for name, parameter in value.named_parameters():
            yield f"{path}.{name}", parameter
    elif isinstance(value, nn.Parameter):
        yield path, value
    elif deep:
        for step, each in _items(value, home):
            yield from _within(each, f"{path}{step}", home, deep - 1)


def _items(value: object, home: str) -> Iterable[tuple[str, object]]:
    if isinstance(value, Mapping):
        return [(f"[{key!r}]", each) for key, each in value.items()]
    if isinstance(value, list | tuple | set | frozenset):
        return [(f"[{place}]", each) for place, each in enumerate(value)]
    if type(value).__module__ in (home, "types") and hasattr(value, "__dict__"):
        return [(f".{key}", each) for key, each in vars(value).items()]
    return []
