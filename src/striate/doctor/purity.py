"""Checks that a network looks at one image at a time, and alike in training and evaluation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils.parametrize import ParametrizationList

from striate.doctor.effort import glance
from striate.doctor.subject import NORMALISING, Check, Subject, Verdict, main_output
from striate.doctor.undrawn import undrawn

_ROUNDING = 1e-4
_DRAWS, _OF_DRAWS = 32, 4  # of a network that draws for itself, and images of each
_OUTSIDE = 0.25  # of answers that may lie outside all draws


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
    fix = ""
    if leak > 0:
        verdict: Verdict = "fail"
        meaning = "an answer depends on other images of the batch"
        fix = "look for a reshape, permute or sum over the batch axis (x.view(C, N, ...), dim=0)"
    elif blind:
        verdict, meaning = "skip", "no answer depends on any image yet, so nothing can be said"
    else:
        verdict, meaning = "pass", "each answer depends on its own image alone"
    return Check(
        check="no_leak",
        measured=leak,
        expected="a gradient of exactly 0 at the other images of the batch",
        band=(0.0, 0.0),
        verdict=verdict if count > 1 else "skip",
        meaning=meaning,
        fix=fix,
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
    """Compare training and evaluation mode with dropout off and batch-norm as in evaluation.

    What a network draws by functions rather than modules (dropout, stochastic depth) is replaced
    by its mean; where training still varies from draw to draw, evaluation has to lie among them.
    """
    images = glance(subject, 32, passes=3)
    with subject.quiet() as net, torch.no_grad():
        first, again = (main_output(net(images)).detach() for _ in range(2))
    scale = float(first.abs().max()) + 1e-12
    wobble = float((first - again).abs().max()) / scale
    apart = max(wobble, _from_training(subject, images, first) / scale)
    good = apart <= _ROUNDING
    return Check(
        check="modes_agree",
        measured=apart,
        expected=f"a relative difference of at most {_ROUNDING:g}, but for what is drawn",
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


def _from_training(subject: Subject, images: Tensor, evaluated: Tensor) -> float:
    """Return how far evaluation is from training, but for what training draws."""
    scale = float(evaluated.abs().max()) + 1e-12
    with subject.quiet(training=True) as net, torch.no_grad():
        for module in net.modules():
            if isinstance(module, (*NORMALISING, ParametrizationList)):
                module.eval()  # of the latter, what a norm of weights iterates at each call
        apart = float((main_output(net(images)) - evaluated).abs().max())
        if apart <= _ROUNDING * scale:
            return apart
        with undrawn():
            calm, again = main_output(net(images)), main_output(net(images))
        apart = float((calm - evaluated).abs().max())
        if apart <= _ROUNDING * scale or torch.equal(calm, again):
            return apart
        few = images[:_OF_DRAWS]
        drawn = torch.stack([main_output(net(few)) for _ in range(_DRAWS)])
    return 0.0 if _among(drawn, evaluated[: len(few)], scale) else apart


def _among(drawn: Tensor, evaluated: Tensor, scale: float) -> bool:
    """Tell whether an answer lies among others of the same images, drawn anew each.

    Answers that do not vary have to be equal. Of the others a further draw is outside all n of
    them with a probability of 2 / (n + 1); a mean is so less often.
    """
    low, high = drawn.amin(0), drawn.amax(0)
    varies = high - low > _ROUNDING * scale
    still = (drawn[0] - evaluated).abs()[~varies]
    equal = not still.numel() or float(still.max()) <= _ROUNDING * scale
    outside = ((evaluated < low) | (evaluated > high))[varies].float()
    return bool(varies.any()) and equal and float(outside.mean()) <= _OUTSIDE
