"""Doubt: checks before training, and a doctor for runs."""

from striate.doctor.diagnose import diagnose, plot
from striate.doctor.preflight import check_module, preflight, verdict
from striate.doctor.story import Finding
from striate.doctor.subject import Check, Subject

__all__ = [
    "Check",
    "Finding",
    "Subject",
    "check_module",
    "diagnose",
    "plot",
    "preflight",
    "verdict",
]
