"""Transfer: a network that somebody trained, put to other classes.

`transfer` follows the lectures' table of little or much data, similar or different; what is
similar is measured, by how well a linear classifier does on the features of each depth.
"""

from striate.transfer.features import features
from striate.transfer.linear import Linear, fit_linear, fit_logistic, fit_svm
from striate.transfer.neighbours import Answer, Neighbour, Similar, similar
from striate.transfer.probe import Probe, probe_layers, probes
from striate.transfer.result import Row, Settings, TransferResult
from striate.transfer.transfer import ALL, transfer
from striate.transfer.tuning import blocks, cut_at, tuned

__all__ = [
    "ALL",
    "Answer",
    "Linear",
    "Neighbour",
    "Probe",
    "Row",
    "Settings",
    "Similar",
    "TransferResult",
    "blocks",
    "cut_at",
    "features",
    "fit_linear",
    "fit_logistic",
    "fit_svm",
    "probe_layers",
    "probes",
    "similar",
    "transfer",
    "tuned",
]
