"""The maps of an image, each over the image, greyed where it is not to be believed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from striate import draw, progress
from striate.contract import Contract
from striate.design.receptive import last_with_places
from striate.draw import Album, Picture, Section
from striate.explain.attribution import Attribution, Floats
from striate.explain.grad_cam import grad_cam
from striate.explain.layers import has_places
from striate.explain.methods import INSIDE, method
from striate.explain.validity import Validity, validity
from striate.explain.walk import looking
from striate.inference import PixelNet, to_picture
from striate.layers import Net


def map_section(
    net: nn.Module,
    contract: Contract,
    image: Tensor,
    album: Album,
    *,
    name: str,
    title: str,
    methods: Sequence[str],
    target: int | None = None,
    layer: str | None = None,
    seed: int = 0,
) -> Section:
    """Draw the maps of one image, and test each.

    Args:
        net, contract, image: as of `Method`.
        album: where pictures go.
        name: the section's, a word.
        title: what the image is called.
        methods: names of methods; those that look inside are left out for a module that is no Net.
        target: the class to explain; the likeliest unless given.
        layer: where Grad-CAM reads; the last that has places unless given.
        seed: of the tests.
    """
    with looking(net), torch.no_grad():
        likely = PixelNet(net, contract)(image[None]).softmax(1)[0]
    chosen = int(likely.argmax()) if target is None else target
    possible = [each for each in methods if _possible(each, net, layer)]
    lost = [each for each in methods if each not in possible]
    plain = to_picture(image, contract)
    best = likely.topk(min(3, len(likely)))
    top = [
        (contract.classes[index], share)
        for share, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
    pictures = [
        Picture(
            file=album.put(f"{name}/image", plain),
            title="image",
            note=", ".join(f"{each.label} {100 * share:.1f}%" for each, share in top),
            measures={each.id: share for each, share in top},
        )
    ]
    for each in progress.track(possible, f"maps of {title}", "maps", len(possible)):
        verb = partial(grad_cam, layer=layer) if each == "grad_cam" else method(each)
        made = verb(net, contract, image, chosen)
        tested = validity(verb, net, contract, image, chosen, found=made, seed=seed)
        shown = draw.overlay(plain, made.map, signed=made.signed, greyed=not tested.believable)
        pictures.append(
            Picture(
                file=album.put(f"{name}/{each}", shown),
                title=_title(each, made),
                note=_note(made, tested),
                reasons=tested.reasons,
                measures=_measures(made, tested),
            )
        )
        pictures += _probability(made, contract, chosen, f"{name}/{each}", album)
    text = (
        f"What speaks for {contract.classes[chosen].label}, and whether the map can be believed: "
        "orange speaks for it and blue against it; magnitudes go from dark to bright. Sensitivity: "
        "how unlike the map is to that of random weights, 0 where it is the same. Beats chance by: "
        "how much more the answer heeds the map's order of cells than a chance order. Gap: by what "
        "share the values' sum misses the score."
    )
    if lost:
        text += f" Not possible for this network: {', '.join(lost)}."
    return Section(name=name, title=title, text=text, pictures=tuple(pictures))


def _possible(name: str, net: nn.Module, layer: str | None) -> bool:
    """Tell whether a method can look at a network: some need its layers, Grad-CAM places too."""
    if name not in INSIDE:
        return True
    if not isinstance(net, Net):
        return False
    return name != "grad_cam" or has_places(net.network, layer or last_with_places(net.network))


def _probability(
    made: Attribution, contract: Contract, target: int, name: str, album: Album
) -> list[Picture]:
    """Draw Zeiler and Fergus's map, where there is one: the probability by place of the square."""
    grids: dict[str, Floats] = dict(made.extra)
    if "probability" not in grids:
        return []
    likely = grids["probability"]
    return [
        Picture(
            file=album.put(f"{name}_probability", draw.colours(likely.max() - likely)),
            title=f"probability of {contract.classes[target].label} when covered",
            note=f"from {100 * likely.min():.1f}% (bright) to {100 * likely.max():.1f}% (dark)",
        )
    ]


def _strongest(made: Attribution) -> tuple[int, int]:
    """Return the pixel (row, column) that counts most."""
    row, column = np.unravel_index(int(made.map.argmax()), made.map.shape)
    return int(row), int(column)


def _title(name: str, made: Attribution) -> str:
    """Return what a map is called, by what a reader of the table has to know of it."""
    at = f" at {made.layer}" if made.layer else ""
    return name.replace("_", " ") + at + (f" ({made.note})" if made.note else "")


def _note(made: Attribution, tested: Validity) -> str:
    row, column = _strongest(made)
    parts = [f"strongest at row {row}, column {column}"]
    if tested.sensitivity is not None:
        parts.append(f"sensitivity {tested.sensitivity:.2f}")
    parts.append(f"beats chance by {tested.faithfulness:.2f}")
    if tested.gap is not None:
        parts.append(f"gap {tested.gap:.2f}")
    return ", ".join(parts)


def _measures(made: Attribution, tested: Validity) -> dict[str, float]:
    row, column = _strongest(made)
    found = {
        "score": made.score,
        "strongest_row": row,
        "strongest_column": column,
        "deletion": tested.deletion.area,
        "insertion": tested.insertion.area,
        "faithfulness": tested.faithfulness,
    }
    if tested.sensitivity is not None:
        found["sensitivity"] = tested.sensitivity
    if tested.gap is not None:
        found["completeness_gap"] = tested.gap
    return found
