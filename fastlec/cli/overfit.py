"""``fastlec overfit``: over-fitting and L-shaped curves (lecture 1) as tables and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from .. import plot
from ..course import overfit as lecture
from .files import Overwrite, Target, ready
from .options import MOST, Kind, finite, increasing, whole_numbers

MOST_DEGREE = 1000


def overfit(
    degrees: Annotated[
        str, typer.Option(callback=increasing(0), help="Degrees of the polynomials that are shown, beside the corner.")
    ] = ",".join(map(str, lecture.DEGREES)),
    samples: Annotated[int, typer.Option(min=4, max=10_000, help="Samples of the function, evenly spaced.")] = 101,
    noise: Annotated[
        float, typer.Option(callback=finite(0, 1e100, open_low=True), help="Standard deviation of the noise.")
    ] = lecture.NOISE,
    kind: Annotated[Kind, typer.Option(help="Kind of the polynomials in the basis.")] = Kind.monomial,
    seed: Annotated[int, typer.Option(min=0, max=MOST, help="Seed of the noise.")] = 0,
    picture: Annotated[
        Path | None, typer.Option("--plot", help="Draw fits, errors and the L-curve into this .png, .pdf or .svg.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Fit polynomials to noise: too many degrees learn it by heart, and L-shaped curves tell how many are right."""
    shown = whole_numbers(degrees)
    if shown[-1] >= samples:
        raise typer.BadParameter(f"--degrees {shown[-1]} is not less than --samples, {samples}.")
    if shown[-1] > MOST_DEGREE:
        raise typer.BadParameter(f"--degrees {shown[-1]} is more than {MOST_DEGREE}.")
    (picture,) = ready(Target("--plot", picture, plot.check_path), overwrite=overwrite)
    where = f"on [{lecture.LOW}, {lecture.HIGH}]"
    print(f"{lecture.TARGET} {where}, {samples} samples, noise {noise:g}")
    found = lecture.experiment(shown[-1], samples=samples, noise=noise, kind=str(kind), seed=seed)
    fits = found.fits
    print(f"{'degree':>7}{'train MSE':>12}{'test MSE':>12}{'leave-one-out':>15}{'GCV':>12}")
    for k in sorted({*shown, fits.corner} - {None}):
        row = f"{k:7d}{fits.train_mse[k]:12.3g}{fits.test_mse[k]:12.3g}{fits.loo[k]:15.3g}{fits.gcv[k]:12.3g}"
        print(row + "  corner" * (k == fits.corner))
    corner = (
        "the training curve has no corner" if fits.corner is None else f"corner of the training curve: degree {fits.corner}"
    )
    print(f"{corner}; least test error: degree {found.best_degree}")
    _print_path(found)
    rows = lecture.oracle_errors(noise=noise, seed=seed)
    print(f"{'oracle:':>7}{'samples':>12}{'MSE':>12}{'mean of 100':>15}")
    for row in rows:
        print(f"{row.samples:19d}{row.mse:12.2e}{row.mean_mse:15.2e}")
    if picture:
        plot.overfit_report(picture, found, shown, rows)
        print(f"picture: {picture}")


def _print_path(found: lecture.Experiment) -> None:
    """What the L-curve says of the regularized fit of all degrees."""
    path, best = found.path, int(np.argmin(found.path_test_mse))
    where = f"least test MSE {found.path_test_mse[best]:.3g} at lambda {path.parameters[best]:.2e}"
    if found.corner is None:
        print(f"all degrees, regularized: the L-curve has no corner; {where}")
    else:
        mse = found.path_test_mse[found.corner.index]
        print(f"all degrees, regularized: corner of the L-curve at lambda {found.corner.parameter:.2e}, test MSE {mse:.3g};")
        print(f"{'':7}{where}")
