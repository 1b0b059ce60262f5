"""On silicon: the machine that the arithmetic runs on, and what this installation is made of."""

from striate.ops.algorithm import Algorithm
from striate.ops.convolution import ALGORITHMS, conv2d
from striate.ops.environment import Environment, Mismatch, environment
from striate.ops.machine import Machine, choose_device, load_per_core, machine, usable_cores
from striate.ops.memory import Meter, free_bytes
from striate.ops.problem import Problem

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "Environment",
    "Machine",
    "Meter",
    "Mismatch",
    "Problem",
    "choose_device",
    "conv2d",
    "environment",
    "free_bytes",
    "load_per_core",
    "machine",
    "usable_cores",
]
