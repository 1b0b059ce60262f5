"""Pictures of attacks: accuracy as it falls, and images before and after."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from striate import draw
from striate.attack.attacked import Attacked, attacking
from striate.attack.gradient_sign import fgsm
from striate.attack.pgd import pgd
from striate.attack.robustness import Robustness
from striate.contract import Contract
from striate.draw.figure import Figure, Pixels
from striate.inference import to_picture
from striate.layers import Net
from striate.wording import count

_SHOWN = 4  # images in the picture of before and after


def illustrate(
    net: Net,
    contract: Contract,
    images: Tensor,
    labels: Tensor,
    table: Robustness,
    radii: Sequence[float],
    album: draw.Album,
    *,
    steps: int = 40,
) -> dict[str, draw.Picture]:
    """Draw accuracy against eps, and some images that are fooled by the least eps that does it.

    Args:
        net, contract, images, labels: what was attacked.
        table: how accuracy falls.
        radii: every eps.
        album: where pictures go.
        steps: of PGD.

    Returns:
        Pictures by name; without those of attacks that fool nothing.
    """
    series: dict[str, list[tuple[float, float]]] = {}
    for row in table.rows[1:]:
        start = [(0.0, table.rows[0].accuracy)]
        series.setdefault(row.attack, start).append((row.eps, row.accuracy))
    curve = draw.lines(series, title=f"Accuracy under attack: {net.network.name}", below="eps")
    made = {
        "accuracy": draw.Picture(
            file=album.put("accuracy", curve),
            title="accuracy against eps",
            note=count(table.n, "image"),
        )
    }
    some, right = images[:64], labels[:64]
    found = {
        "fgsm": [fgsm(net, contract, some, right, eps=eps) for eps in sorted(radii)],
        "pgd": [pgd(net, contract, some, right, eps=e, steps=steps) for e in sorted(radii)],
    }
    for name, attacks in found.items():
        figure = fooled(net, contract, some, attacks)
        if figure is not None:
            made[name] = draw.Picture(
                file=album.put(name, figure),
                title=f"fooled by {attacks[0].attack}",
                note="each by the least eps that does it",
            )
    return made


def fooled(
    net: Net, contract: Contract, images: Tensor, attacks: Sequence[Attacked]
) -> Figure | None:
    """Draw images, what is added, and the result, each with what the network says of it.

    For each image the first of the attacks that fools the network is drawn: the least eps.

    Args:
        net: the net.
        contract: what its inputs and outputs are.
        images: as they were.
        attacks: on these images, by growing eps.

    Returns:
        The lecture's panda for these images; None where no image is fooled.
    """
    tiles: list[Pixels] = []
    captions: list[str] = []
    for index in range(len(images)):
        hits = [each for each in attacks if _fooled(each, index)]
        if hits and len(tiles) < 3 * _SHOWN:
            some_tiles, some_captions = _triple(contract, images[index], hits[0], index)
            tiles += some_tiles
            captions += some_captions
    if not tiles:
        return None
    return draw.grid(
        tiles, captions, title=f"{attacks[0].attack}: how it is fooled", columns=3, tile=150
    )


def _fooled(found: Attacked, index: int) -> bool:
    return bool(found.succeeded[index]) and bool(found.before[index] == found.labels[index])


def _triple(
    contract: Contract, image: Tensor, found: Attacked, index: int
) -> tuple[list[Pixels], list[str]]:
    names = [each.label for each in contract.classes]
    change = found.images[index] - image
    sign = to_picture(0.5 + 0.5 * change / change.abs().max().clamp_min(1e-12), contract)
    shown = [to_picture(image, contract), sign, to_picture(found.images[index], contract)]
    before, after = found.confidences[index].tolist()
    levels = 255 * float(found.largest[index])
    return shown, [
        f"{names[int(found.before[index])]}\n{100 * before:.1f}%",
        f"what is added, made visible\nat most {levels:.1f} of 255 levels",
        f"{names[int(found.after[index])]}\n{100 * after:.1f}%",
    ]


def told(contract: Contract, found: Attacked) -> str:
    """Say what the network takes one image for, before and after."""
    before, after = (contract.classes[int(each)].label for each in (found.before, found.after))
    sure, then = found.confidences[0].tolist()
    return f"{before} {100 * sure:.1f}%, then {after} {100 * then:.1f}%"


def panda(
    net: Net,
    contract: Contract,
    image: Tensor,
    *,
    eps: float = 0.007,
    target: int | None = None,
) -> tuple[Figure, Attacked]:
    """Attack one image away from what the network says, or towards a class, and draw it.

    Args:
        net: the net.
        contract: what its inputs and outputs are.
        image: (channels, height, width), pixels of 0 to 1.
        eps: in full pixels; the lecture's 0.007 unless given.
        target: a class to be taken for, by PGD; away from what it is, by FGSM, unless given.

    Returns:
        x, what is added (the gradient's sign, for FGSM) and the result with both confidences; and
        the numbers.

    Source: Goodfellow, Shlens, Szegedy, ICLR 2015, figure 1.
    """
    with attacking(net, contract) as seen, torch.no_grad():
        label = seen(image[None]).argmax(1)
    if target is None:
        found = fgsm(net, contract, image[None], label, eps=eps)
    else:
        wanted = torch.full_like(label, target)
        found = pgd(net, contract, image[None], label, eps=eps, targets=wanted)
    tiles, captions = _triple(contract, image, found, 0)
    title = f"{found.attack}, eps {eps:.3g}"
    return draw.grid(tiles, captions, title=title, columns=3, tile=200), found
