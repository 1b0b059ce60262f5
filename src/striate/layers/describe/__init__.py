"""Somebody's nn.Module as a network on paper, and the proof that it is the same."""

from striate.layers.describe.module import describe
from striate.layers.describe.proof import Proof, prove

__all__ = ["Proof", "describe", "prove"]
