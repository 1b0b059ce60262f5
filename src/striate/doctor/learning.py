"""Checks by short trainings on copies: can it learn at all, and is there something to learn?"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from striate.doctor.subject import Check, Subject, calm, main_output

_FEW = 20
_RATES = (1e-3, 1e-2, 1e-4)
_BATCH = 32
_WORK = 150e9  # multiply-adds a training may take: some 6 s on two cores


def overfits_few(subject: Subject) -> Check:
    """Train on 20 images, without dropout or decay, until all are right."""
    chosen = _spread(subject.labels, _FEW)
    images, labels = subject.images[chosen], subject.labels[chosen]
    steps = _affordable(subject, len(chosen), 200)
    best, used = 0.0, 0
    for rate in _RATES if steps >= 20 and len(chosen) > 1 else ():
        net = subject.copy()
        parameters = [each for each in net.parameters() if each.requires_grad]
        if not parameters:
            break
        best, used = max((best, used), _fit_all(subject, net, images, labels, rate, steps))
        if best == 1.0:
            break
    few = len(set(labels.tolist())) < 2
    skip = steps < 20 or few
    good = best == 1.0
    meaning = f"{len(chosen)} images are learnt by heart in {used} steps"
    if few:
        meaning = "the images are all of one class: there is nothing to tell apart"
    elif skip:
        meaning = "too much work for a check; use a smaller image or network to try it"
    elif not good:
        meaning = f"it cannot learn {len(chosen)} images by heart, so it will not learn more"
    return Check(
        check="overfits_few",
        measured=None if skip else best,
        expected=f"accuracy 1.0 on {len(chosen)} images without regularisation",
        band=(1.0, 1.0),
        verdict="skip" if skip else "pass" if good else "fail",
        meaning=meaning,
        fix=""
        if good or skip
        else "check loss and labels, the scale of the images, and that gradients arrive",
    )


def beats_shuffled(subject: Subject) -> tuple[Check, ...]:
    """Train shortly on real images, on shuffled labels and on shuffled pixels; compare."""
    steps = _affordable(subject, _BATCH, 80)
    held_out = subject.held_out
    enough = held_out is not None and len(held_out[1]) >= 20 and len(subject.labels) >= 2 * _BATCH
    if steps < 20 or not enough or held_out is None or len(set(subject.labels.tolist())) < 2:
        return tuple(_skipped(name) for name in ("beats_shuffled_labels", "beats_shuffled_pixels"))
    generator = torch.Generator().manual_seed(subject.seed)
    real = _train_and_ask(subject, subject.images, subject.labels, held_out, steps)
    labels = []
    for _ in range(2):
        order = torch.randperm(len(subject.labels), generator=generator)
        labels.append(
            _train_and_ask(subject, subject.images, subject.labels[order], held_out, steps)
        )
    images = _scrambled(subject.images, generator)
    pixels = _train_and_ask(
        subject, images, subject.labels, (_scrambled(held_out[0], generator), held_out[1]), steps
    )
    return (
        _lead(
            "beats_shuffled_labels",
            real,
            labels,
            "labels",
            "fail",
            "look at images with their labels: the two may have been ordered apart",
        ),
        _lead(
            "beats_shuffled_pixels",
            real,
            [pixels],
            "pixels",
            "warn",
            "look at the images as the network gets them: a reshape may have mixed their pixels",
        ),
    )


def _lead(name: str, real: Tensor, shuffled: list[Tensor], what: str, bad: str, fix: str) -> Check:
    """Compare held-out answers with those of trainings on shuffled ones.

    Classes are taken for each other whole, so luck is not that of single images: a lead has to
    exceed two standard errors, and what the shuffled trainings differ by among themselves.
    """
    others = torch.stack(shuffled).double().mean(1)
    hits = real.double()
    lead = float(hits.mean() - others.mean())
    luck = 2 * float(hits.std()) / len(hits) ** 0.5 + 2 * float(others.max() - others.min())
    good = lead > luck
    return Check(
        check=name,
        measured=lead,
        expected=f"more held-out images right than with shuffled {what} (by over {luck:.3f}, luck)",
        band=(luck, 1.0),
        verdict="pass" if good else "fail" if bad == "fail" else "warn",
        meaning=f"{float(hits.mean()):.0%} of held-out images right, "
        f"{float(others.mean()):.0%} with shuffled {what}",
        fix="" if good else fix,
    )


def _skipped(name: str) -> Check:
    return Check(
        check=name,
        measured=None,
        expected="more held-out images right than with shuffled ones",
        verdict="skip",
        meaning="too few images, or too much work for a check",
    )


def _fit_all(
    subject: Subject, net: nn.Module, images: Tensor, labels: Tensor, rate: float, steps: int
) -> tuple[float, int]:
    """Return the best accuracy on the images, and the step it was reached at."""
    optimiser = torch.optim.Adam((p for p in net.parameters() if p.requires_grad), rate, fused=True)
    best, used = 0.0, steps
    net.train()
    calm(net)
    for step in range(steps):
        optimiser.zero_grad()
        outputs = main_output(net(images))
        accuracy = float(subject.right(outputs, labels).float().mean())
        if accuracy > best:
            best, used = accuracy, step
        if best == 1.0:
            break
        loss = subject.losses(outputs, labels).mean()
        if not loss.requires_grad or not bool(loss.isfinite()):
            break
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return best, used


def _train_and_ask(
    subject: Subject, images: Tensor, labels: Tensor, held_out: tuple[Tensor, Tensor], steps: int
) -> Tensor:
    """Train a copy for some steps and return which held-out images it gets right."""
    net = subject.copy()
    parameters = [each for each in net.parameters() if each.requires_grad]
    generator = torch.Generator().manual_seed(subject.seed)
    if parameters:
        optimiser = torch.optim.Adam(parameters, _RATES[0], fused=True)
        net.train()
        calm(net)
        for _ in range(steps):
            batch = torch.randint(len(labels), (_BATCH,), generator=generator)
            optimiser.zero_grad()
            loss = subject.losses(main_output(net(images[batch])), labels[batch]).mean()
            if not loss.requires_grad or not bool(loss.isfinite()):
                break
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    net.train()  # a few steps are too few for running statistics: batches normalise themselves
    calm(net)
    with torch.no_grad():
        parts = [main_output(net(part)) for part in torch.split(held_out[0], 128) if len(part) > 1]
    outputs = torch.cat(parts)
    return subject.right(outputs, held_out[1][: len(outputs)])


def _scrambled(images: Tensor, generator: torch.Generator) -> Tensor:
    """Put each image's pixels in an order of its own: (n, C, H, W) -> the same."""
    flat = images.flatten(2)
    order = torch.rand(len(flat), flat.shape[2], generator=generator).argsort(1)
    return flat.gather(2, order[:, None].expand(flat.shape)).view(images.shape)


def _spread(labels: Tensor, count: int) -> Tensor:
    """Return indices of `count` images, classes in turn."""
    place = torch.zeros(len(labels))
    for label in sorted(set(labels.tolist())):
        own = (labels == label).nonzero().flatten()
        place[own] = torch.arange(len(own), dtype=torch.float32)
    return place.argsort(stable=True)[:count]


def _affordable(subject: Subject, batch: int, most: int) -> int:
    """Return how many steps the work of a check allows."""
    with subject.quiet(training=True) as net, torch.no_grad(), FlopCounterMode(display=False) as c:
        net(subject.images[:2])
    return min(most, int(_WORK / max(3 * batch * c.get_total_flops() / 4, 1)))
