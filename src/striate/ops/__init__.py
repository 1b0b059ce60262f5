"""On silicon: the machine that the arithmetic runs on, and what this installation is made of."""

from striate.ops.environment import Environment, Mismatch, environment
from striate.ops.machine import Machine, choose_device, machine, usable_cores
from striate.ops.memory import Meter, free_bytes

__all__ = [
    "Environment",
    "Machine",
    "Meter",
    "Mismatch",
    "choose_device",
    "environment",
    "free_bytes",
    "machine",
    "usable_cores",
]
