"""Training: from a recipe to a run folder.

`train` takes a recipe and leaves a run; `resume` goes on with one, bit for bit; `replay` executes
recorded steps again and compares. The loop is in `loop`, the arithmetic of a step in `step`, what
is saved in `checkpoint`.
"""

from striate.train.adversarial import Adversarial
from striate.train.ascent import ascend, direction, into_ball, random_start
from striate.train.average import Ema
from striate.train.estimate import Estimate, estimate
from striate.train.footprint import Footprint, Trial, find_batch, measure
from striate.train.lbfgs import LBFGS
from striate.train.leave import leave
from striate.train.losses import (
    Focal,
    Hinge,
    SquareLoss,
    WeightedCrossEntropy,
    balanced_weights,
)
from striate.train.muon import Muon
from striate.train.objective import CrossEntropy, Cutmix, DistanceLoss, Mixup, Objective, Rows
from striate.train.optimiser import SGD, AdaGrad, Adam, AdamW, Optimiser, RMSProp
from striate.train.plan import Plan
from striate.train.recipe import DataChoice, Preprocessing, Recipe, SizeUntil, Start
from striate.train.replay import ReplayResult, replay
from striate.train.result import Figures, HeldOut, TrainResult
from striate.train.schedule import (
    Constant,
    Cosine,
    Exponential,
    InverseTime,
    Linear,
    OneCycle,
    Plateau,
    Polynomial,
    Restarts,
    Schedule,
    Step,
    Triangle,
)
from striate.train.session import resume, train
from striate.train.start import start_from
from striate.train.training import Observer
from striate.train.validation import EarlyStop, Validation

__all__ = [
    "LBFGS",
    "SGD",
    "AdaGrad",
    "Adam",
    "AdamW",
    "Adversarial",
    "Constant",
    "Cosine",
    "CrossEntropy",
    "Cutmix",
    "DataChoice",
    "DistanceLoss",
    "EarlyStop",
    "Ema",
    "Estimate",
    "Exponential",
    "Figures",
    "Focal",
    "Footprint",
    "HeldOut",
    "Hinge",
    "InverseTime",
    "Linear",
    "Mixup",
    "Muon",
    "Objective",
    "Observer",
    "OneCycle",
    "Optimiser",
    "Plan",
    "Plateau",
    "Polynomial",
    "Preprocessing",
    "Recipe",
    "RMSProp",
    "ReplayResult",
    "Restarts",
    "Rows",
    "Schedule",
    "SizeUntil",
    "SquareLoss",
    "Start",
    "Step",
    "TrainResult",
    "Trial",
    "Triangle",
    "Validation",
    "WeightedCrossEntropy",
    "balanced_weights",
    "ascend",
    "direction",
    "estimate",
    "find_batch",
    "into_ball",
    "leave",
    "measure",
    "random_start",
    "replay",
    "resume",
    "start_from",
    "train",
]
