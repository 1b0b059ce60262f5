"""Doubt: checks before training, and a doctor for runs that tests its own diagnosis."""

from striate.doctor.preflight import check_module, preflight, verdict
from striate.doctor.subject import Check, Subject

__all__ = ["Check", "Subject", "check_module", "preflight", "verdict"]
