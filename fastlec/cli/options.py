"""What options of the command line may be: the choices, and checks that typer does not have."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from enum import StrEnum
from itertools import pairwise
from typing import Annotated

import typer

from ..tables import check_encoding

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


class Kind(StrEnum):
    monomial = "monomial"
    chebyshev = "chebyshev"
    fourier = "fourier"


class ISA(StrEnum):
    base = "base"
    neon = "neon"
    avx2 = "avx2"
    avx512 = "avx512"


class DType(StrEnum):
    float32 = "float32"
    float64 = "float64"


def _encoding(name: str | None) -> str | None:
    """A check of an option: the name of an encoding of text, or None."""
    try:
        return check_encoding(name)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.") from error


Label = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|first|last",
        help="The column of a table that has the labels. (default: label, class or target, else the last)",
    ),
]
Header = Annotated[
    bool | None,
    typer.Option("--header/--no-header", help="Whether the first line of a table has names. (default: as it looks)"),
]


Encoding = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        callback=_encoding,
        help="Of a table, such as latin-1 or cp1252. (default: UTF-8, or UTF-16 if marked so)",
    ),
]


def sides(text: str | None) -> tuple[int, int] | None:
    """(height, width) of "28x30", or of "28"; None of other text, and of None."""
    found = re.fullmatch(r"([1-9][0-9]{0,4})(?:x([1-9][0-9]{0,4}))?", text or "", re.ASCII)
    return (int(found[1]), int(found[2] or found[1])) if found else None


def image_size(text: str | None) -> str | None:
    """A check of an option: an image's height and width, or None."""
    if text is not None and sides(text) is None:
        raise typer.BadParameter(f"{text!r} is no size of images, such as 28x28.")
    return text


def finite(low: float, high: float = math.inf, *, open_low: bool = False) -> Callable[[float | None], float | None]:
    """A check of an option: low <= value < high (low < value if open_low), which refuses NaN as well; None may pass."""

    def check(value: float | None) -> float | None:
        if value is not None and (not (low <= value < high) or (open_low and value == low)):
            bound = f" and < {high:g}" if high < math.inf else ", finite"
            raise typer.BadParameter(f"{value} is not {'>' if open_low else '>='} {low:g}{bound}.")
        return value

    return check


def whole_numbers(text: str) -> list[int]:
    """The numbers of "1,2,4"; empty if the text is no such list."""
    return [int(number) for number in text.split(",")] if re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})*", text, re.ASCII) else []


def increasing(least: int) -> Callable[[str], str]:
    """A check of an option: "1,2,4", whole numbers >= least, each larger than the one before."""

    def check(text: str) -> str:
        numbers = whole_numbers(text)
        if not numbers or numbers[0] < least or any(a >= b for a, b in pairwise(numbers)):
            what = f"whole numbers >= {least}, each larger than the last, such as 1,2,4"
            raise typer.BadParameter(f"{text!r} is not a list of {what}.")
        return text

    return check
