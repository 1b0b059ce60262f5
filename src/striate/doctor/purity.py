"""Checks that a network looks at one image at a time, and alike in training and evaluation."""

from __future__ import annotations

import torch
from torch import Tensor

from striate.doctor.effort import glance
from striate.doctor.subject import NORMALISING, Check, Subject, Verdict, main_output

_ROUNDING = 1e-4


def no_leak(subject: Subject) -> Check:
    """See that the loss of one image moves with that image's pixels only."""
    count = min(4, len(subject.images))
    images = subject.images[:count].clone().requires_grad_()
    with subject.quiet() as net, torch.enable_grad():
        chosen = main_output(net(images))[count // 2].float().sum()
        gradient = torch.zeros_like(images)
        if chosen.requires_grad:
            (found,) = torch.autograd.grad(chosen, images, allow_unused=True)
            gradient = gradient if found is None else found
    sizes = gradient.abs().flatten(1).amax(1)
    own = float(sizes[count // 2])
    others = float(sizes.sum()) - own
    leak = others / own if own > 0 else float(others > 0)
    blind = own == 0 and others == 0  # a batch-norm that has not seen data may silence all
    verdict: Verdict = "fail" if leak > 0 else "skip" if blind else "pass"
    return Check(
        check="no_leak",
        measured=leak,
        expected="a gradient of exactly 0 at the other images of the batch",
        band=(0.0, 0.0),
        verdict=verdict if count > 1 else "skip",
        meaning="each answer depends on its own image alone"
        if verdict == "pass"
        else "an answer depends on other images of the batch"
        if leak > 0
        else "no answer depends on any image yet, so nothing can be said",
        fix=""
        if verdict == "pass"
        else "look for a reshape, permute or sum over the batch axis (x.view(C, N, ...), dim=0)"
        if leak > 0
        else "",
    )


def images_matter(subject: Subject) -> Check:
    """See that answers come from the images: that other images may have other answers.

    A last layer that begins at zero gives all of them one answer too, but a gradient leads through
    it to the pixels, and training will move it.
    """
    images = glance(subject, 32, passes=3).clone().requires_grad_()
    with subject.quiet(training=True) as net, torch.enable_grad():
        answers = main_output(net(images)).float()
        found: tuple[Tensor | None, ...] = (None,)
        if answers.requires_grad:
            found = torch.autograd.grad(answers.sum(), (images,), allow_unused=True)
    apart = float((answers - answers[:1]).detach().abs().max())
    blind = apart == 0 and found[0] is None
    return Check(
        check="images_matter",
        measured=apart,
        expected="answers that depend on the image",
        verdict="fail" if blind else "pass",
        meaning="all images have the same answer, and no pixel leads to it"
        if blind
        else "answers depend on the image",
        fix="see that forward uses its argument, and passes on what its layers return"
        if blind
        else "",
    )


def modes_agree(subject: Subject) -> Check:
    """Compare training and evaluation mode with dropout off and batch-norm as in evaluation."""
    images = glance(subject, 32, passes=3)
    with subject.quiet() as net, torch.no_grad():
        first, again = main_output(net(images)), main_output(net(images))
    with subject.quiet(training=True) as net, torch.no_grad():
        for module in net.modules():
            if isinstance(module, NORMALISING):
                module.eval()
        trained = main_output(net(images))
    scale = float(first.abs().max()) + 1e-12
    wobble = float((first - again).abs().max()) / scale
    apart = max(wobble, float((first - trained).abs().max()) / scale)
    good = apart <= _ROUNDING
    return Check(
        check="modes_agree",
        measured=apart,
        expected=f"a relative difference of at most {_ROUNDING:g}",
        band=(0.0, _ROUNDING),
        verdict="pass" if good else "fail",
        meaning="training and evaluation mode compute the same, but for dropout and batch-norm"
        if good
        else "evaluation is random: the same images give different answers"
        if wobble > _ROUNDING
        else "something beside dropout and batch-norm differs between the modes",
        fix=""
        if good
        else "pass training=self.training to functional.dropout, and call eval() for evaluation",
    )
