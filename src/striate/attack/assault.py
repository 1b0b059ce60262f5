"""Attacking a run: the table, the guards, and pictures of images before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from striate import draw, inference, runs
from striate.attack.attacked import Attacked, attacking
from striate.attack.carlini_wagner import carlini_wagner
from striate.attack.deepfool import deepfool
from striate.attack.gradient_sign import fgsm
from striate.attack.pgd import pgd
from striate.attack.robustness import Robustness, robustness
from striate.attack.universal import apply, universal
from striate.contract import Contract
from striate.data import Loader, Samples
from striate.draw.figure import Figure, Pixels
from striate.files import atomic_write
from striate.inference import of_levels, read_pixels, to_picture
from striate.layers import Net
from striate.ops import choose_device
from striate.randomness import stream
from striate.records import Record, to_json

_SHOWN = 4  # images in the picture of before and after
_NEAREST = 64  # images for which the nearest boundary is sought


class Nearest(Record, frozen=True, kw_only=True):
    """How far the nearest image of another class is.

    Args:
        attack: its name.
        n: images tried: those answered right.
        found: share for which one was found.
        median: length of the change, Euclidean, in full pixels.
        median_pixel: its largest change of a pixel.
    """

    attack: str
    n: int
    found: float
    median: float
    median_pixel: float


class Common(Record, frozen=True, kw_only=True):
    """One perturbation for all images.

    Args:
        eps: its largest pixel.
        found_on: accuracy on the images it was found on.
        others: accuracy on other images.
    """

    eps: float
    found_on: float
    others: float


class Assault(Record, frozen=True, kw_only=True):
    """What attacks do to a run's network.

    Args:
        run: the run folder.
        network: its name.
        data: what the data is called.
        contract: digest of the contract; pixels are what it makes of an image, 0 to 1.
        table: accuracy against eps, and the guards.
        nearest: per attack that seeks the nearest boundary.
        universal: one perturbation for all.
        files: pictures, by name.
    """

    run: str
    network: str
    data: str
    contract: str
    table: Robustness
    nearest: tuple[Nearest, ...]
    universal: Common | None
    files: dict[str, str]


@dataclass(frozen=True)
class Means:
    """How to attack.

    Args:
        eps: how far a pixel may move, in full pixels; by the images' channels unless given.
        count: images attacked.
        steps: of PGD.
        step: length of each; 2.5 eps / steps unless given.
        restarts: random starts of PGD.
        files: images of one's own, each attacked once by FGSM at the least eps and drawn.
        thorough: seek nearest images also by Carlini and Wagner's attack, and one perturbation for
            all images.
        seed: of the choice of images, starts and noise.
    """

    eps: Sequence[float] = ()
    count: int = 500
    steps: int = 40
    step: float | None = None
    restarts: int = 1
    files: Sequence[Path | str] = ()
    thorough: bool = False
    seed: int = 0

    def radii(self, contract: Contract) -> tuple[float, ...]:
        """Return every eps: those given, or what is usual for drawings or for photographs."""
        if self.eps:
            return tuple(self.eps)
        grey = contract.channels == "grey"
        return (0.05, 0.1, 0.2, 0.3) if grey else tuple(n / 255 for n in (1, 2, 4, 8))


def assault(
    run: inference.Model | Path | str,
    data: str | None = None,
    *,
    out: Path | str | None = None,
    means: Means | None = None,
    device: str = "auto",
) -> Assault:
    """Attack a run's network on held-out images, and write a table and pictures.

    Args:
        run: a run folder, or published weights.
        data: as `evaluate` takes it; the run's own held-out images unless given.
        out: the folder; `attack` in the run's `figures` unless given.
        means: how to attack.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        DataError, ContractError, RunError, WeightsError: as of `evaluate`.
        UsageError: an eps outside 0 to 1.
    """
    means = means or Means()
    opened = inference.open_model(run)
    contract, chosen = opened.contract(), choose_device(device)
    found = inference.find_images(opened, data)
    samples, outputs = _some(found.samples, means), contract.match(found.classes)
    own_images = [read_pixels(path, contract) for path in means.files]
    net = inference.load(opened, chosen)
    images = _pixels(samples, of_levels(contract), chosen) / 255.0
    inputs = _pixels(samples, contract, chosen)
    labels = torch.tensor(outputs, device=chosen)[torch.from_numpy(samples.labels).to(chosen)]
    radii = means.radii(contract)
    table = robustness(
        net,
        contract,
        images,
        labels,
        eps=radii,
        steps=means.steps,
        step=means.step,
        restarts=means.restarts,
        seed=means.seed,
        inputs=inputs,
        expected=_recorded(opened, found),
    )
    own = opened.figures / "attack" if isinstance(opened, runs.Run) else Path("attack")
    folder = Path(out) if out is not None else own
    files = _draw(net, contract, images, labels, table, radii, folder, means)
    for number, image in enumerate(own_images, 1):
        figure, _ = panda(net, contract, image.to(chosen), eps=min(radii))
        figure.save(folder / f"own{number}.png")
        files[f"own{number}"] = str(folder / f"own{number}.png")
    report = Assault(
        run=str(opened.path),
        network=net.network.name,
        data=found.data,
        contract=contract.digest,
        table=table,
        nearest=_nearest(net, contract, images, labels, means),
        universal=_common(net, contract, images, labels, max(radii), means),
        files=files,
    )
    atomic_write(folder / "attack.json", to_json(report, indent=2) + b"\n")
    return report


def _some(samples: Samples, means: Means) -> Samples:
    if len(samples) <= means.count:
        return samples
    order = stream(means.seed, "attacked").permutation("o", len(samples))
    return samples.subset(np.sort(order[: means.count]))


def _pixels(samples: Samples, contract: Contract, device: torch.device) -> Tensor:
    loader = Loader(samples, contract, batch=256, seed=0, shuffle=False)
    return torch.cat([batch.images for batch in loader.epoch(0)]).to(device)


def _recorded(run: inference.Model, found: inference.Images) -> tuple[int, int] | None:
    """Return what the run's own test figure says, where these are its test images."""
    if not isinstance(run, runs.Run):
        return None
    test = (run.results() or {}).get("test")
    if not test or found.part != "test" or found.data != run.recipe_document()["data"]["path"]:
        return None
    return round(test["accuracy"] * test["n"]), test["n"]


def _nearest(
    net: Net, contract: Contract, images: Tensor, labels: Tensor, means: Means
) -> tuple[Nearest, ...]:
    few = images[:_NEAREST], labels[:_NEAREST]
    attacks = [deepfool(net, contract, *few)]
    if means.thorough:
        attacks.append(carlini_wagner(net, contract, *few))
    return tuple(_measured(each) for each in attacks)


def _measured(found: Attacked) -> Nearest:
    tried = found.before == found.labels
    won = tried & found.succeeded
    return Nearest(
        attack=found.attack,
        n=int(tried.sum()),
        found=float(won.sum()) / max(int(tried.sum()), 1),
        median=float(found.length[won].median()) if won.any() else 0.0,
        median_pixel=float(found.largest[won].median()) if won.any() else 0.0,
    )


def _common(
    net: Net, contract: Contract, images: Tensor, labels: Tensor, eps: float, means: Means
) -> Common | None:
    if not means.thorough or len(images) < 4:
        return None
    half = len(images) // 2
    made = universal(net, contract, images[:half], labels[:half], eps=eps, seed=means.seed)
    others = apply(net, contract, images[half:], labels[half:], made.perturbation, eps)
    return Common(eps=eps, found_on=made.found_on.accuracy, others=others.accuracy)


# -- pictures --------------------------------------------------------------------------------------


def _draw(
    net: Net,
    contract: Contract,
    images: Tensor,
    labels: Tensor,
    table: Robustness,
    radii: Sequence[float],
    folder: Path,
    means: Means,
) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    series: dict[str, list[tuple[float, float]]] = {}
    for row in table.rows[1:]:
        start = [(0.0, table.rows[0].accuracy)]
        series.setdefault(row.attack, start).append((row.eps, row.accuracy))
    curve = draw.lines(series, title=f"Accuracy under attack: {net.network.name}", below="eps")
    some, right = images[:64], labels[:64]
    files = {"accuracy": (curve, folder / "accuracy.png")}
    found = {
        "fgsm": [fgsm(net, contract, some, right, eps=eps) for eps in sorted(radii)],
        "pgd": [pgd(net, contract, some, right, eps=e, steps=means.steps) for e in sorted(radii)],
    }
    for name, attacks in found.items():
        figure = fooled(net, contract, some, attacks)
        if figure is not None:
            files[name] = (figure, folder / f"{name}.png")
    for figure, path in files.values():
        figure.save(path)
    return {name: str(path) for name, (_, path) in files.items()}


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


def panda(
    net: Net, contract: Contract, image: Tensor, *, eps: float = 0.007
) -> tuple[Figure, Attacked]:
    """Attack one image by FGSM away from what the network says, and draw it.

    Args:
        net: the net.
        contract: what its inputs and outputs are.
        image: (channels, height, width), pixels of 0 to 1.
        eps: in full pixels; the lecture's 0.007 unless given.

    Returns:
        x, the sign of the gradient and the result with both confidences; and the numbers.

    Source: Goodfellow, Shlens, Szegedy, ICLR 2015, figure 1.
    """
    with attacking(net, contract) as seen, torch.no_grad():
        label = seen(image[None]).argmax(1)
    found = fgsm(net, contract, image[None], label, eps=eps)
    tiles, captions = _triple(contract, image, found, 0)
    return draw.grid(tiles, captions, title=f"FGSM, eps {eps:.3g}", columns=3, tile=200), found
