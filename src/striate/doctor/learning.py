"""Checks by short trainings on copies: can it learn at all, and is there something to learn?

Where images are so large that a check could not afford its steps, it is made on smaller ones, if
the network takes them: what it learns there it could learn from more pixels too, but what it does
not learn says nothing, and is not held against it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn

from striate.doctor.effort import BUSY, STEPS, affordable, late
from striate.doctor.subject import NORMALISING, Check, Subject, Verdict, calm, main_output
from striate.doctor.undrawn import draws, undrawn

_FEW = 20
_RATES = (1e-3, 1e-2, 1e-4)
_BATCH = 32
_WORK = 300e9  # multiply-adds of a training on few images: some 8 s on two cores
_WORKS = 600e9  # of all four that are compared
_MOST_HELD_OUT = 0.25  # share of the work that asking may be
_SPREADS = 1.5  # of what two shuffled trainings differ by: half of it, and once more
_CLEAR = 2.0  # times luck: a lead at which a comparison ends early
_LATE = f"a minute did not do for it: {BUSY}"


def overfits_few(subject: Subject) -> Check:
    """Train on 20 images, without dropout (whoever draws it) or decay, until all are right."""
    chosen = _spread(subject.labels, _FEW)
    few = len(set(subject.labels[chosen].tolist())) < 2
    whole, steps = subject, 0
    if not few:
        subject, steps = affordable(subject, len(chosen), 200, _WORK)
    images, labels = subject.images[chosen], subject.labels[chosen]
    best, used = 0.0, 0
    for rate in _RATES if steps and len(chosen) > 1 else ():
        net = subject.copy()
        if not any(each.requires_grad for each in net.parameters()):
            break
        best, used = max((best, used), _fit_all(subject, net, images, labels, rate, steps))
        if best == 1.0 or steps < STEPS or late(subject):
            break
    good = best == 1.0
    skip = few or (not good and (steps < STEPS or subject is not whole or late(subject)))
    at = "" if subject is whole else f", scaled to {'x'.join(map(str, images.shape[-2:]))}"
    meaning = f"{len(chosen)} images{at} are learnt by heart in {used} steps"
    if few:
        meaning = "the images are all of one class: there is nothing to tell apart"
    elif skip:
        meaning = (
            f"{best:.0%} of {len(chosen)} images{at} are learnt in what a check may cost; "
            "a smaller image or network would show more"
        )
        meaning = _LATE if late(subject) else meaning
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
    whole, names = subject, ("beats_shuffled_labels", "beats_shuffled_pixels")
    held_out = subject.held_out
    enough = held_out is not None and len(held_out[1]) >= 20 and len(subject.labels) >= 2 * _BATCH
    steps = 0
    if enough and len(set(subject.labels.tolist())) > 1 and not late(subject):
        subject, steps = affordable(subject, _BATCH, 80, (1 - _MOST_HELD_OUT) * _WORKS / 4)
    answers = None
    for rate in _RATES[:2] if steps >= STEPS else ():  # as images of 0 to 1 may need the greater
        answers = _compared(subject, steps, rate)
        if answers is None or subject is not whole:
            break
        lead, luck = _lead_and_luck(answers[0], answers[1:3])
        if lead > luck:
            break
    if answers is None:
        why = _LATE if late(subject) else "too few images, or too much work for a check"
        return tuple(_skipped(name, why) for name in names)
    real, *shuffled, pixels = answers
    return (
        _lead(
            names[0],
            real,
            shuffled,
            "labels",
            "fail" if subject is whole else "skip",
            "look at images with their labels: the two may have been ordered apart",
        ),
        _lead(
            names[1],
            real,
            [pixels],
            "pixels",
            "warn" if subject is whole else "skip",
            "look at the images as the network gets them: a reshape may have mixed their pixels",
        ),
    )


def _clear(answers: list[Tensor]) -> bool:
    """Tell whether real labels and real pixels lead beyond doubt."""
    real, *shuffled, pixels = answers
    both = [_lead_and_luck(real, each) for each in (shuffled, [pixels])]
    return all(lead > _CLEAR * luck for lead, luck in both)


def _compared(subject: Subject, steps: int, rate: float) -> list[Tensor] | None:
    """Return what is right after training on real images, twice on shuffled labels, on pixels.

    It ends early where both leads are beyond doubt; with nothing where there is no time.
    """
    if subject.held_out is None:
        return None
    count = max(20, int(_WORKS * _MOST_HELD_OUT / 4 / subject.macs))
    held_out = subject.held_out[0][:count], subject.held_out[1][:count]
    generator = torch.Generator().manual_seed(subject.seed)
    orders = [torch.randperm(len(subject.labels), generator=generator) for _ in range(2)]
    images = _scrambled(subject.images, generator)
    mixed = _scrambled(held_out[0], generator), held_out[1]
    trials = [
        _Trial(subject, subject.images, labels, held_out, rate)
        for labels in (subject.labels, *(subject.labels[order] for order in orders))
    ]
    trials.append(_Trial(subject, images, subject.labels, mixed, rate))
    answers = []
    for more in (STEPS, steps - STEPS):
        for trial in trials:
            trial.learn(more)
            if late(subject):
                return None
        answers = [trial.asked() for trial in trials]
        if _clear(answers):
            break
    return answers


def _lead_and_luck(real: Tensor, shuffled: list[Tensor]) -> tuple[float, float]:
    """Return by how much more is right, and what that may be by luck.

    Classes are taken for each other whole, so luck is not that of single images: a lead has to
    exceed two standard errors and what the shuffled trainings differ by among themselves: real
    labels have to lead the better of these by that much.
    """
    others = torch.stack(shuffled).double().mean(1)
    hits = real.double()
    lead = float(hits.mean() - others.mean())
    spread = float(others.max() - others.min())
    return lead, 2 * float(hits.std()) / len(hits) ** 0.5 + _SPREADS * spread


def _lead(
    name: str, real: Tensor, shuffled: list[Tensor], what: str, bad: Verdict, fix: str
) -> Check:
    """Compare held-out answers with those of trainings on shuffled ones."""
    lead, luck = _lead_and_luck(real, shuffled)
    good = lead > luck
    if bad == "warn" and luck / 2 < lead <= luck:
        bad = "skip"  # too little to tell
    others = float(torch.stack(shuffled).double().mean())
    return Check(
        check=name,
        measured=lead if good or bad != "skip" else None,
        expected=f"more held-out images right than with shuffled {what} (by over {luck:.3f}, luck)",
        band=(luck, 1.0),
        verdict="pass" if good else bad,
        meaning=f"{float(real.double().mean()):.0%} of held-out images right, "
        f"{others:.0%} with shuffled {what}"
        + ("" if good or bad != "skip" else ", in the few steps that a check may cost"),
        fix="" if good or bad == "skip" else fix,
    )


def _skipped(name: str, why: str) -> Check:
    return Check(
        check=name,
        measured=None,
        expected="more held-out images right than with shuffled ones",
        verdict="skip",
        meaning=why,
    )


def _fit_all(
    subject: Subject, net: nn.Module, images: Tensor, labels: Tensor, rate: float, steps: int
) -> tuple[float, int]:
    """Return the best accuracy on the images, and the step it was reached at."""
    optimiser = torch.optim.Adam((p for p in net.parameters() if p.requires_grad), rate, fused=True)
    best, used = 0.0, steps
    learner = _Learner(net, images)
    for step in range(steps):
        optimiser.zero_grad()
        outputs = learner(images)
        answers = learner.asked(images) if learner.drawn else outputs
        accuracy = float(subject.right(answers, labels).float().mean())
        if accuracy > best:
            best, used = accuracy, step
        if best == 1.0:
            break
        loss = subject.losses(outputs, labels).mean()
        if not loss.requires_grad or not bool(loss.isfinite()):
            break
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if late(subject):
            break
    return best, used


class _Learner:
    """A copy in training mode without dropout, be it a module or a function that forward calls.

    Args:
        net: the copy, which is put into that mode.
        images: two or more, to see whether it draws for itself.

    Attributes:
        drawn: whether it does; what is left of that where it is trained is its mean.
    """

    def __init__(self, net: nn.Module, images: Tensor) -> None:
        self.net = net
        net.train()
        calm(net)
        self.drawn = draws(net, images[:2])

    def __call__(self, images: Tensor) -> Tensor:
        """Return the main output, as training has it."""
        with undrawn() if self.drawn else nullcontext():
            return main_output(self.net(images))

    def asked(self, images: Tensor) -> Tensor:
        """Return the answers of evaluation; batch-norm, where it is trained, takes the batch's own.

        A few steps are too few for running statistics.
        """
        if not self.drawn:
            with torch.no_grad():
                return main_output(self.net(images))
        with _evaluating(self.net), torch.no_grad():
            return main_output(self.net(images))


@contextmanager
def _evaluating(net: nn.Module) -> Iterator[None]:
    """Put all into evaluation mode but for norms over batches that are trained; and back."""
    training = [each for each in net.modules() if each.training]
    for each in training:
        each.training = isinstance(each, NORMALISING)
    try:
        yield
    finally:
        for each in training:
            each.training = True


class _Trial:
    """A copy that is trained on some images and asked about others."""

    def __init__(
        self,
        subject: Subject,
        images: Tensor,
        labels: Tensor,
        held_out: tuple[Tensor, Tensor],
        rate: float,
    ) -> None:
        self.subject, self.images, self.labels, self.held_out = subject, images, labels, held_out
        self.net = subject.copy()
        self.generator = torch.Generator().manual_seed(subject.seed)
        parameters = [each for each in self.net.parameters() if each.requires_grad]
        self.optimiser = torch.optim.Adam(parameters, rate, fused=True) if parameters else None
        self.learner = _Learner(self.net, images)

    def learn(self, steps: int) -> None:
        """Train some steps further."""
        for _ in range(steps if self.optimiser is not None else 0):
            batch = torch.randint(len(self.labels), (_BATCH,), generator=self.generator)
            outputs = self.learner(self.images[batch])
            loss = self.subject.losses(outputs, self.labels[batch]).mean()
            if self.optimiser is None or not loss.requires_grad or not bool(loss.isfinite()):
                self.optimiser = None
                break
            self.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            if late(self.subject):
                break

    def asked(self) -> Tensor:
        """Return which held-out images it gets right."""
        images, labels = self.held_out
        parts = [self.learner.asked(each) for each in torch.split(images, 128) if len(each) > 1]
        outputs = torch.cat(parts)
        return self.subject.right(outputs, labels[: len(outputs)])


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
