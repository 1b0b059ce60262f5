"""A network made fast on this machine: fused for inference, each layer by the plan."""

from striate.engine.accelerating import Example, accelerate
from striate.engine.program import Program

__all__ = ["Example", "Program", "accelerate"]
