"""A check of your own in the doctor's preflight: what your field knows and ours cannot.

    python examples/add_check.py

A check is a function from a `Subject` (the network at its start, some training images, their
labels) to a `Check` (what was measured, expected, and what to do). Registered, it is asked at every
preflight of this process, that of `striate.train` among them. Prints its verdict on two networks:
one whose answers change when an image is mirrored, on data where they must not, and one averaged
over both views.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from striate import doctor
from striate.doctor import Check, Subject

BAND = (0.0, 0.01)  # of the outputs' own spread


@doctor.register
def mirror_invariance(subject: Subject) -> Check:
    """See that an image and its mirror image have the same scores."""
    with subject.quiet() as net, torch.no_grad():
        plain, mirrored = net(subject.images[:64]), net(subject.images[:64].flip(-1))
    apart = float((plain - mirrored).abs().mean() / plain.std().clamp_min(1e-12))
    good = apart <= BAND[1]
    return Check(
        check="mirror_invariance",
        measured=apart,
        expected="the same scores for an image and its mirror image",
        band=BAND,
        verdict="pass" if good else "fail",
        meaning=f"scores of mirror images are {apart:.1%} of the scores' spread apart",
        fix="" if good else "average over both views, or pool over the group of mirrorings",
    )


class Averaged(nn.Module):
    """A network asked about an image and its mirror image."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean of both answers, (n, classes)."""
        return (self.net(x) + self.net(x.flip(-1))) / 2


def main() -> list[Check]:
    """Check both."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 2))
    images, labels = torch.randn(128, 1, 8, 8), torch.arange(128) % 2
    said = []
    for net in (plain, Averaged(plain)):
        subject = Subject(net, images, labels, classes=2)
        found = {each.check: each for each in doctor.check_module(subject, trainings=False)}
        said.append(found["mirror_invariance"])
        print(f"{type(net).__name__}: {said[-1].verdict}, {said[-1].meaning}. {said[-1].fix}")
    return said


if __name__ == "__main__":
    main()
