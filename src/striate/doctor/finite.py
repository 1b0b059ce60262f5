"""The check that everything is a number: images, weights, and what the network makes of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from striate.doctor.effort import glance
from striate.doctor.subject import Check, Subject, tensors

_NAMED = 3


def all_finite(subject: Subject) -> Check:
    """See that no pixel, no weight and no output is NaN or infinite; name the first that is.

    Where one is, most other figures would be NaN too, and blame what is not at fault.
    """
    images = {"images": subject.images}
    if subject.held_out is not None:
        images["held-out images"] = subject.held_out[0]
    weights = {**dict(subject.net.named_parameters()), **dict(subject.net.named_buffers())}
    bad_images, bad_weights = _bad(images), _bad(weights)
    said, fix = [], ""
    if bad_weights:
        named = ", ".join(list(bad_weights)[:_NAMED])
        more = f" and {len(bad_weights) - _NAMED} more" if len(bad_weights) > _NAMED else ""
        said.append(f"NaN or infinite values in the weights {named}{more}")
        fix = "make the weights anew, or load them from a file that is whole"
    for name in bad_images:
        rows = (~images[name].isfinite()).flatten(1).any(1).nonzero().flatten().tolist()
        said.append(
            f"NaN or infinite pixels in {len(rows)} of {len(images[name])} {name}, "
            f"the first of them number {rows[0]}"
        )
        fix = "see how these images are read and scaled (a division by 0, a root of less than 0)"
    found = sum({**bad_images, **bad_weights}.values())
    if not said:
        found, layer = _outputs(subject)
        if found:
            said.append(f"images and weights are finite, the values of {layer} are not")
            fix = "look there for a division by 0, a logarithm or root, or weights far too large"
    return Check(
        check="all_finite",
        measured=float(found),
        expected="no value that is NaN or infinite in images, weights and outputs",
        band=(0.0, 0.0),
        verdict="fail" if said else "pass",
        meaning="; ".join(said) or "images, weights and outputs are finite",
        fix=fix,
    )  # fmt: skip


def _bad(values: dict[str, Tensor]) -> dict[str, int]:
    """Return how many values are not finite, by name, where any is."""
    counts = {name: int((~value.detach().isfinite()).sum()) for name, value in values.items()}
    return {name: count for name, count in counts.items() if count}


def _outputs(subject: Subject) -> tuple[int, str]:
    """Return how many outputs are not finite in either mode, and the first layer of such values."""
    images, first = glance(subject, 64), [""]

    def look(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, arguments: object, output: object) -> None:
            if not first[0] and any(not bool(each.isfinite().all()) for each in tensors(output)):
                first[0] = name or "the outputs"

        return hook

    for training in (True, False):
        with subject.quiet(training=training) as net, torch.no_grad():
            handles = [m.register_forward_hook(look(n)) for n, m in net.named_modules()]
            try:
                outputs = net(images)
            finally:
                for handle in handles:
                    handle.remove()
        found = sum(int((~each.isfinite()).sum()) for each in tensors(outputs))
        if found:
            return found, first[0]
    return 0, ""
