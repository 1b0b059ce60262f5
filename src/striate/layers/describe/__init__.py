"""Somebody's nn.Module as a network on paper, and the proof that it is the same."""

from striate.layers.describe.module import Evaluation, describe, evaluation
from striate.layers.describe.proof import Proof, prove

__all__ = ["Evaluation", "Proof", "describe", "evaluation", "prove"]
