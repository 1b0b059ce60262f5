"""A network made fast on this machine: fused for inference, each layer by the plan."""

from striate.engine.accelerating import Choice, Example, accelerate
from striate.engine.choice import Candidate, LayerPlan, Limits
from striate.engine.fast import Direction, check
from striate.engine.planning import Key, Plan, plan, read
from striate.engine.program import Program
from striate.engine.table import plan_table

__all__ = [
    "Candidate",
    "Choice",
    "Direction",
    "Example",
    "Key",
    "LayerPlan",
    "Limits",
    "Plan",
    "Program",
    "accelerate",
    "check",
    "plan",
    "plan_table",
    "read",
]
