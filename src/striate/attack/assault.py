"""Attacking a run: the table, the guards, pictures and a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from striate import draw, inference, runs
from striate.attack.account import Assault, Common, Nearest, sections
from striate.attack.attacked import Attacked
from striate.attack.carlini_wagner import carlini_wagner
from striate.attack.deepfool import deepfool
from striate.attack.pictures import illustrate, panda, told
from striate.attack.robustness import robustness
from striate.attack.universal import apply, universal
from striate.contract import Contract
from striate.data import Loader, Samples
from striate.files import atomic_write
from striate.inference import of_levels, read_pixels
from striate.layers import Net
from striate.ops import choose_device
from striate.randomness import stream
from striate.records import to_json

_NEAREST = 64  # images for which the nearest boundary is sought


@dataclass(frozen=True)
class Means:
    """How to attack.

    Args:
        eps: how far a pixel may move, in full pixels; by the images' channels unless given.
        count: images attacked.
        steps: of PGD.
        step: length of each; 2.5 eps / steps unless given.
        restarts: random starts of PGD.
        files: images of one's own, each drawn as the least eps that fools the net makes it.
        target: id or label of the class that they are to be taken for; any but what they are,
            unless given.
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
    target: str | None = None
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
        UnknownName: no such class.
    """
    means = means or Means()
    opened = inference.open_model(run)
    contract, chosen = opened.contract(), choose_device(device)
    found = inference.find_images(opened, data)
    samples, outputs = _some(found.samples, means), contract.match(found.classes)
    target = None if means.target is None else contract.index(means.target)
    own_files = inference.find(means.files) if means.files else []
    own_images = [read_pixels(path, contract) for path in own_files]
    net = inference.load(opened, chosen)
    images = _pixels(samples, of_levels(contract), chosen) / 255.0
    inputs = _pixels(samples, contract, chosen)
    labels = torch.tensor(outputs, device=chosen)[torch.from_numpy(samples.labels).to(chosen)]
    radii = means.radii(contract)
    own = opened.figures / "attack" if isinstance(opened, runs.Run) else Path("attack")
    album = draw.Album(Path(out) if out is not None else own)
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
    pictures = illustrate(net, contract, images, labels, table, radii, album, steps=means.steps)
    for number, (image, path) in enumerate(zip(own_images, own_files, strict=True), 1):
        figure, note = _least(net, contract, image.to(chosen), radii, target)
        file = album.put(f"own{number}", figure)
        pictures[f"own{number}"] = draw.Picture(file=file, title=path.name, note=note)
    report = Assault(
        run=str(opened.path),
        network=net.network.name,
        data=found.data,
        contract=contract.digest,
        table=table,
        nearest=_nearest(net, contract, images, labels, means),
        universal=_common(net, contract, images, labels, max(radii), means),
        files={
            **{name: str(album.folder / each.file) for name, each in pictures.items()},
            "page": str(album.folder / "index.html"),
        },
    )
    html = draw.page(
        f"Attacks on {report.network}",
        f"{report.run} on {report.data}, contract {report.contract[:16]}",
        tuple(sections(report, pictures)),
    )
    atomic_write(album.folder / "index.html", html.encode())
    atomic_write(album.folder / "attack.json", to_json(report, indent=2) + b"\n")
    return report


def _least(
    net: Net, contract: Contract, image: Tensor, radii: Sequence[float], target: int | None
) -> tuple[draw.Figure, str]:
    """Draw an image as the least eps that fools the net makes it, and say how."""
    for eps in sorted(radii):
        figure, hit = panda(net, contract, image, eps=eps, target=target)
        if hit.succeeded.all():
            break
    return figure, told(contract, hit)


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
