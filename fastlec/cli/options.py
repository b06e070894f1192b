"""What options of the command line may be: the choices, and checks that typer does not have."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum

import typer

MOST = 2**31 - 1  # of whatever is counted


class Model(StrEnum):
    softmax = "softmax"
    mlp = "mlp"
    resnet = "resnet"
    lenet = "lenet"
    cnn = "cnn"
    resnet_cnn = "resnet-cnn"


class Solver(StrEnum):
    sgd = "sgd"
    adam = "adam"
    lbfgs = "lbfgs"
    newton_cg = "newton-cg"


class Activation(StrEnum):
    tanh = "tanh"
    sigmoid = "sigmoid"
    relu = "relu"


class DType(StrEnum):
    float32 = "float32"
    float64 = "float64"


def finite(low: float, high: float = math.inf, *, open_low: bool = False) -> Callable[[float | None], float | None]:
    """A check of an option: low <= value < high (low < value if open_low), which refuses NaN as well; None may pass."""

    def check(value: float | None) -> float | None:
        if value is not None and (not (low <= value < high) or (open_low and value == low)):
            bound = f" and < {high:g}" if high < math.inf else ", finite"
            raise typer.BadParameter(f"{value} is not {'>' if open_low else '>='} {low:g}{bound}.")
        return value

    return check
