"""Doubt: checks before training, and a doctor for runs that tests its own diagnosis."""

from striate.doctor.diagnose import diagnose, plot
from striate.doctor.experiment import Experiment, experiment, with_experiment
from striate.doctor.preflight import check_module, preflight, verdict
from striate.doctor.rate import RateRange, rate_range
from striate.doctor.story import Finding
from striate.doctor.subject import Check, Subject

__all__ = [
    "Check",
    "Experiment",
    "Finding",
    "RateRange",
    "Subject",
    "check_module",
    "diagnose",
    "experiment",
    "plot",
    "preflight",
    "rate_range",
    "verdict",
    "with_experiment",
]
