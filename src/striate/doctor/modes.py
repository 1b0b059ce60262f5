"""Rules on the mode, training or evaluation, that a loop of somebody's own calls its network in.

They matter where the network has dropout, or batch-norm with running statistics.
"""

from __future__ import annotations

from typing import Final

from striate.design import BatchNorm
from striate.design.pointwise import Dropout, Noise
from striate.doctor.story import Finding, Story
from striate.wording import count

_MOST: Final = 0.3  # of the steps that are looked at, in evaluation mode
_PROBES: Final = 4  # fewer show no habit


def trained_in_evaluation_mode(story: Story) -> Finding | None:
    """Steps for which the network was left in evaluation mode, as the last validation had it."""
    asleep = sum(probe.get("mode") == "evaluation" for probe in story.probes)
    looked = len(story.probes)
    if story.recipe.start is not None or looked < _PROBES or asleep < _MOST * looked:
        return None  # weights that were trained before may be meant to stay in it
    if not (layers := _minding(story)):
        return None
    return Finding(
        finding="trained_in_evaluation_mode",
        confidence=0.9,
        evidence={"in_training_mode": looked - asleep, "in_evaluation_mode": asleep},
        meaning=f"{asleep} of the {looked} steps that were looked at trained the network in "
        f"evaluation mode, in which {layers}",
        remedy="call train() on the network before each epoch, since validation leaves it in "
        "evaluation mode",
    )


def validated_in_training_mode(story: Story) -> Finding | None:
    """Validations for which the network was left in training mode."""
    asked = len(story.validations)
    if asked < 2 or story.unevaluated <= asked / 2 or not (layers := _minding(story, drops=True)):
        return None
    return Finding(
        finding="validated_in_training_mode",
        confidence=0.9,
        evidence={
            "in_training_mode": story.unevaluated,
            "in_evaluation_mode": asked - story.unevaluated,
        },
        meaning=f"{story.unevaluated} of {asked} validations asked the network in training mode, "
        f"in which {layers}",
        remedy="call eval() on the network before validation, and train() after it",
    )


def _minding(story: Story, *, drops: bool = False) -> str:
    """Return what the layers that mind the mode do in the wrong one; nothing if there are none.

    Args:
        story: of the run.
        drops: the wrong one is training mode, rather than evaluation mode.
    """
    layers = story.recipe.network.layers
    norms = sum(isinstance(each, BatchNorm) and each.running for each in layers)
    noisy = sum(isinstance(each, Dropout | Noise) for each in layers)
    said = []
    if noisy:
        said.append(f"dropout ({count(noisy, 'layer')}) {'drops' if drops else 'drops nothing'}")
    if norms:
        does = (
            "normalises by the batch and takes its statistics in"
            if drops
            else "normalises by running statistics that never move"
        )
        said.append(f"batch-norm ({count(norms, 'layer')}) {does}")
    return " and ".join(said)
