"""Training: losses, optimizers and schedules, one step, the objective of a data set, and `fit`, which trains over epochs.

losses, optim                    what a user adds to: a loss or an optimizer of one's own needs two methods
step                             one step on one batch, planned once
objective, solvers               a network's loss as a function of theta; minimisers that see all samples at once
loop, run, samples               fit; a network in training; what it is trained on and validated with
history, progress, checkpoint    what was measured; how it is followed; the file to go on from
"""

from typing import TYPE_CHECKING

from .history import EarlyStopping, History
from .linearized import Linearized
from .loop import fit
from .losses import BinaryCrossEntropy, Huber, MeanAbsoluteError, MeanSquaredError, SoftmaxCrossEntropy
from .objective import Objective
from .optim import (
    SGD,
    Adam,
    AdamW,
    ClipNorm,
    CosineDecay,
    ExponentialDecay,
    Optimizer,
    ReduceOnPlateau,
    RMSprop,
    Schedule,
    StepDecay,
)
from .progress import Progress
from .solvers import minimize_scipy
from .step import TrainingStep, training_step
from .trainable import trainable_names

if TYPE_CHECKING:
    from ..course.softmax import train_softmax

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "BinaryCrossEntropy",
    "ClipNorm",
    "CosineDecay",
    "EarlyStopping",
    "ExponentialDecay",
    "History",
    "Huber",
    "Linearized",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Objective",
    "Optimizer",
    "Progress",
    "RMSprop",
    "ReduceOnPlateau",
    "Schedule",
    "SoftmaxCrossEntropy",
    "StepDecay",
    "TrainingStep",
    "fit",
    "minimize_scipy",
    "train_softmax",
    "trainable_names",
    "training_step",
]


def __getattr__(name: str) -> object:
    if name == "train_softmax":  # the course's; people import it from here
        from ..course.softmax import train_softmax

        return train_softmax
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
