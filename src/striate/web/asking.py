"""What the page asks a network about one image: its answer, maps of why, and how it is fooled."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from striate import attack, draw, explain
from striate.inference import PixelNet, to_picture
from striate.records import to_builtins
from striate.serve.refusal import Refusal
from striate.web.opened import Opened
from striate.web.pictures import uri

ATTACKS = ("fgsm", "pgd", "noise")
_PGD_STEPS = 10


def answer(opened: Opened, image: Tensor) -> dict[str, Any]:
    """Return the likeliest classes of an image, and the image as the network sees it."""
    return {
        "picture": uri(to_picture(image, opened.contract)),
        "size": opened.contract.size,
        "top": _top(opened, image),
    }


def map_of(opened: Opened, image: Tensor, method: str, target: int) -> dict[str, Any]:
    """Return what counts for a class, laid over the image."""
    _check_target(opened, target)
    net, contract = opened.net("slow"), opened.contract
    made = explain.method(method)(net, contract, image, target)
    plain = to_picture(image, contract)
    document: dict[str, Any] = {
        "method": method,
        "overlay": uri(draw.overlay(plain, made.map, signed=made.signed)),
        "layer": made.layer,
        "score": made.score,
        "gap": made.gap,
        "signed": made.signed,
    }
    grids = dict(made.extra)
    if "probability" in grids:
        likely = grids["probability"]
        document["covered"] = {
            "picture": uri(draw.colours(likely.max() - likely)),
            "least": float(likely.min()),
            "most": float(likely.max()),
        }
    return document


def validity(opened: Opened, image: Tensor, method: str, target: int) -> dict[str, Any]:
    """Return whether such a map can be believed, with the numbers."""
    _check_target(opened, target)
    net, contract = opened.net("slow"), opened.contract
    tested = explain.validity(explain.method(method), net, contract, image, target)
    return {
        **to_builtins(tested),
        "believable": tested.believable,
        "sensitivity": tested.sensitivity,
        "areas": {"deletion": tested.deletion.area, "insertion": tested.insertion.area},
    }


def attacked(opened: Opened, image: Tensor, kind: str, eps: float) -> dict[str, Any]:
    """Return an image after an attack of some size, and what the network says of it then."""
    if not 0.0 <= eps <= 1.0:
        raise Refusal(422, f"Expected an eps of 0 to 1, received {eps}.")
    net, contract = opened.net("quick"), opened.contract
    label = _logits(opened, image).argmax(1)
    if kind == "fgsm":
        found = attack.fgsm(net, contract, image[None], label, eps=eps)
    elif kind == "pgd":
        found = attack.pgd(net, contract, image[None], label, eps=eps, steps=_PGD_STEPS)
    elif kind == "noise":
        found = attack.noise(net, contract, image[None], label, eps=eps)
    else:
        raise Refusal(422, f"Expected one of {', '.join(ATTACKS)}, received {kind[:40]!r}.")
    change = found.images[0] - image
    size = change.abs().max().clamp_min(1e-12)
    return {
        "attack": found.attack,
        "eps": eps,
        "largest": float(found.largest[0]),
        "length": float(found.length[0]),
        "picture": uri(to_picture(found.images[0], contract)),
        "change": uri(to_picture(0.5 + 0.5 * change / size, contract)),
        "before": {"class": int(found.before[0]), "probability": float(found.confidences[0, 0])},
        "top": _top(opened, found.images[0]),
    }


@torch.no_grad()
def _logits(opened: Opened, image: Tensor) -> Tensor:
    """Return an image's logits, (1, classes)."""
    logits: Tensor = PixelNet(opened.net("quick"), opened.contract)(image[None])
    return logits


def _top(opened: Opened, image: Tensor) -> list[dict[str, Any]]:
    likely = _logits(opened, image).softmax(1)[0].numpy()
    best = np.argsort(-likely, kind="stable")[:5]
    classes = opened.contract.classes
    return [
        {
            "class": int(at),
            "id": classes[at].id,
            "label": classes[at].label,
            "probability": float(likely[at]),
        }
        for at in best
    ]


def _check_target(opened: Opened, target: int) -> None:
    count = len(opened.contract.classes)
    if not 0 <= target < count:
        raise Refusal(422, f"Expected a class of 0 to {count - 1}, received {target}.")
