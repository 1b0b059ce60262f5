"""Doubt: checks before training, and a doctor for runs that tests its own diagnosis."""

from striate.doctor.diagnose import SURE, diagnose, plot
from striate.doctor.experiment import Experiment, experiment, with_experiment
from striate.doctor.heal import heal, healings
from striate.doctor.live import Live, passed
from striate.doctor.lost import lost
from striate.doctor.preflight import (
    check_module,
    preflight,
    register,
    trainings_pay,
    verdict,
)
from striate.doctor.rate import RateRange, rate_picture, rate_range
from striate.doctor.readings import Reading, reading, section
from striate.doctor.story import Finding
from striate.doctor.subject import Check, Subject
from striate.doctor.watch import Watch

__all__ = [
    "SURE",
    "Check",
    "Experiment",
    "Finding",
    "Live",
    "RateRange",
    "Reading",
    "Subject",
    "Watch",
    "check_module",
    "diagnose",
    "experiment",
    "heal",
    "healings",
    "lost",
    "passed",
    "plot",
    "preflight",
    "rate_picture",
    "rate_range",
    "reading",
    "register",
    "section",
    "trainings_pay",
    "verdict",
    "with_experiment",
]
