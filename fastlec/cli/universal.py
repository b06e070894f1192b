"""``fastlec universal``: the universal approximation theorem (lecture 3.1) as a table and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import plot
from ..course import universal as theorem
from .files import Overwrite, Target, ready
from .options import MOST, Activation, increasing, whole_numbers


def universal(
    widths: Annotated[
        str, typer.Option(callback=increasing(1), help="Neurons in the hidden layer, one fit for each.")
    ] = "1,2,4,8,16,32",
    samples: Annotated[int, typer.Option(min=4, max=100_000, help="Samples of the function, evenly spaced.")] = 200,
    activation: Annotated[Activation, typer.Option(help="Activation function of the hidden layer.")] = Activation.tanh,
    seed: Annotated[int, typer.Option(min=0, max=MOST, help="Seed of the first weights.")] = 0,
    picture: Annotated[
        Path | None, typer.Option("--plot", help="Draw the fits and the errors into this .png, .pdf or .svg.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Fit networks of one hidden layer to a function: the error falls with the width (universal approximation)."""
    numbers = whole_numbers(widths)
    if theorem.n_params(numbers[-1]) > samples:
        text = f"--widths {numbers[-1]} has {theorem.n_params(numbers[-1])} parameters; expected --samples of at least as many"
        raise typer.BadParameter(f"{text}, not {samples}.")
    (picture,) = ready(Target("--plot", picture, plot.check_path), overwrite=overwrite)
    print(f"{theorem.TARGET} on [{theorem.LOW}, {theorem.HIGH}], {samples} samples; {activation}")
    print(f"{'width':>7}{'parameters':>12}{'RMS error':>13}{'largest error':>15}")
    fits = []
    for fit in theorem.fits(numbers, samples=samples, activation=str(activation), seed=seed):
        fits.append(fit)
        print(f"{fit.width:7d}{fit.net.n_params:12d}{fit.rms:13.2e}{fit.largest:15.2e}", flush=True)
    if picture:
        plot.universal_report(picture, fits, theorem.target)
        print(f"picture: {picture}")
