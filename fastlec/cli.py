"""The command line: ``fastlec train | check | bench | info``. It needs typer and rich, the extra ``cli``.

Every command ends in one of four ways: 0; 1 where a check failed; 2 with one line on stderr where the input is bad;
130 after Ctrl-C.
"""

from __future__ import annotations

import functools
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np

import fastlec

from . import data as datasets
from . import io, plot, training

try:
    import typer
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Table
except ImportError as error:
    _MISSING = error.name
else:
    _MISSING = None

_BAD_INPUT = (datasets.DataError, io.ModelError, plot.PlotError, FloatingPointError, MemoryError, OSError, ImportError)
_SHOWN = 40  # predictions that are printed


class Solver(StrEnum):
    sgd = "sgd"
    lbfgs = "lbfgs"
    newton_cg = "newton-cg"


class DType(StrEnum):
    float32 = "float32"
    float64 = "float64"


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line ``args`` (by default the process's own) and return its exit code."""
    if _MISSING:
        return _complain("the command line needs typer and rich: pip install 'fastlec[cli]'", 2)
    app = typer.Typer(add_completion=False, help="Softmax regression and the layers of a deep-learning course.")
    for command in (train, check, bench, info):
        app.command()(_guarded(command))
    usage_error = typer.BadParameter.__base__  # click's own, or the one that newer releases of typer carry
    try:
        return app(None if args is None else list(args), prog_name="fastlec", standalone_mode=False) or 0
    except usage_error as error:
        return _complain(f"{error.format_message().rstrip('.')}; see fastlec --help", 2)


def _complain(text: object, code: int) -> int:
    print("fastlec:", " ".join(str(text).split()), file=sys.stderr)
    return code


def _guarded(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """The command, with what may go wrong outside of this program turned into one line and an exit code."""

    @functools.wraps(command)
    def guarded(*args, **kwargs):
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            return _complain("interrupted", 130)
        except BrokenPipeError:  # the reader of our output, such as head, has left: nobody to tell
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except _BAD_INPUT as error:
            return _complain(str(error) or f"out of memory ({type(error).__name__})", 2)

    return guarded


def _finite(low: float, high: float = math.inf, *, open_low: bool = False) -> Callable[[float], float]:
    """A check of an option: low <= value < high (low < value if open_low), which refuses NaN as well."""

    def check(value: float) -> float:
        if not (low <= value < high) or (open_low and value == low):
            bound = f" and < {high:g}" if high < math.inf else ", finite"
            raise typer.BadParameter(f"{value} is not {'>' if open_low else '>='} {low:g}{bound}.")
        return value

    return check


def train(
    data: Annotated[
        Path | None,
        typer.Option(
            help="A folder of IDX files (MNIST), an .npz with X and y, or a .csv(.gz), label last. (default: UCI digits)"
        ),
    ] = None,
    solver: Annotated[Solver, typer.Option(help="How to minimise.")] = Solver.sgd,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs, or at most so many iterations. (default: 60; lbfgs 1000; newton-cg 100)")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples in a mini-batch (sgd).")] = 32,
    lr: Annotated[float, typer.Option(callback=_finite(0, open_low=True), help="Learning rate (sgd).")] = 0.1,
    momentum: Annotated[float, typer.Option(callback=_finite(0, 1), help="Momentum (sgd).")] = 0.9,
    l2: Annotated[float, typer.Option(callback=_finite(0), help="Weight of the penalty l2/2 ||W||^2.")] = 1e-4,
    seed: Annotated[int, typer.Option(min=0, help="Of the validation split and of the shuffling.")] = 0,
    dtype: Annotated[DType | None, typer.Option(help="Of data and model. (default: float64, or the loaded model's)")] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, max=1 << 16, help="At most so many threads. (default: no limit)")
    ] = None,
    save: Annotated[Path, typer.Option(help="Where to write the model.")] = Path("model.npz"),
    load: Annotated[Path | None, typer.Option(help="A saved model to go on from, or to use with --predict.")] = None,
    predict: Annotated[
        Path | None,
        typer.Option(
            help="Predict the labels of this data. With --load, nothing is trained unless --data or --epochs is given."
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Where to write the predicted labels, one a line.")] = None,
    picture: Annotated[Path | None, typer.Option("--plot", help="Draw loss curves and weights into this .png.")] = None,
) -> None:
    """Train softmax regression on real digits, or on data of your own; save it, plot it, predict with it."""
    console = Console(highlight=False, markup=False)
    only_predict = load is not None and predict is not None and data is None and epochs is None
    if output and not predict:
        raise typer.BadParameter("--output writes predictions and needs --predict.")
    if picture and only_predict:
        raise typer.BadParameter("--plot draws a training, and --load with --predict alone trains nothing.")
    if not only_predict:
        io.writable(save)
    if output:
        io.writable(output)
    if picture:
        plot.check_path(picture)
    if threads:
        fastlec.set_num_threads(threads)
    if solver is Solver.lbfgs:
        # SciPy's BLAS, loaded later, would spin on vectors this short with threads that keep the objective from its cores:
        # ten times slower on two cores. This process is ours to set up; the library itself sets no variable.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    model = io.load_model(load) if load else None
    dtype = str(dtype or (model.W.dtype if model else DType.float64))
    if not only_predict:
        if data is None:
            dataset = datasets.digits(dtype)
        else:
            dataset = datasets.load(data, dtype=dtype, scale=model.scale if model else None)
        settings = {"batch_size": batch_size, "lr": lr, "momentum": momentum, "l2": l2, "seed": seed}
        model = _train(console, dataset, model, str(solver), epochs, settings, save, picture)
    if predict:
        _predict(console, model, predict, dtype, output)


def _train(console, dataset, start, solver, epochs, settings, save, picture) -> io.SoftmaxModel:
    epochs = epochs or training.DEFAULT_EPOCHS[solver]
    shape = " x ".join(map(str, dataset.X.shape))
    console.print(f"{dataset.name}: {shape} {dataset.X.dtype}; {solver}, at most {epochs} epochs")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    began = time.perf_counter()
    with Progress(*columns, TextColumn("{task.fields[loss]}"), console=console) as progress:
        task = progress.add_task("training", total=epochs, loss="")

        def report(epoch: int, history: training.History) -> None:
            progress.update(task, completed=epoch, loss=f"loss {history.train_loss[-1]:.4f}")

        trained = training.train_softmax(dataset, start=start, solver=solver, epochs=epochs, callback=report, **settings)
        progress.update(task, total=max(len(trained.history.train_loss), 1))
    seconds = time.perf_counter() - began
    io.save_model(save, trained.model)
    counts = training.confusion_matrix(trained.y_val, trained.predicted, len(trained.model.b))
    if picture:
        plot.training_report(picture, trained.history, trained.model, counts)

    console.print(_history_table(trained.history))
    _print_confusion(console, counts, "validation part")
    score = training.accuracy(trained.y_val, trained.predicted)
    console.print(f"trained on {trained.n_train} samples, {trained.message}, {seconds:.2f} s")
    if trained.test_accuracy is not None:
        console.print(f"test accuracy {trained.test_accuracy:.2%} of {len(dataset.y_test)} samples")
    if picture:
        console.print(f"picture: {picture}", soft_wrap=True)
    console.print(f"validation accuracy {score:.2%} of {len(trained.y_val)} samples; saved to {save}", soft_wrap=True)
    return trained.model


def _predict(console, model: io.SoftmaxModel, path: Path, dtype: str, output: Path | None) -> None:
    samples = datasets.load(path, dtype=dtype, scale=model.scale, n_features=model.W.shape[1])
    X, y = (samples.X, samples.y) if samples.X_test is None else (samples.X_test, samples.y_test)
    n_classes = len(model.b)
    if y is not None:
        training.check_labels(y, n_classes, samples.name)
    predicted = training.predict(model, X)
    if output:
        output.write_text("".join(f"{label}\n" for label in predicted))
    else:
        more = f" ... ({len(predicted)} in all; --output writes them)" if len(predicted) > _SHOWN else ""
        console.print(f"predicted: {' '.join(map(str, predicted[:_SHOWN]))}{more}", soft_wrap=True)
    counts = np.bincount(predicted, minlength=n_classes)
    found = ", ".join(f"{count} of class {label}" for label, count in enumerate(counts) if count)
    console.print(f"{samples.name}: {len(predicted)} samples; {found}", soft_wrap=True)
    if y is not None:
        _print_confusion(console, training.confusion_matrix(y, predicted, n_classes), samples.name)
        console.print(f"accuracy {training.accuracy(y, predicted):.2%} of {len(y)} samples")
    if output:
        console.print(f"predictions: {output}", soft_wrap=True)


def _history_table(history: training.History) -> Table:
    """At most eleven rows of the history, evenly spread, the first and the last among them."""
    table = Table("epoch", "training loss", "validation loss", "validation accuracy", title="Training", box=SIMPLE_HEAD)
    for column in table.columns:
        column.justify = "right"
    last = len(history.train_loss) - 1
    for row in sorted({round(last * part / 10) for part in range(11)} if last >= 0 else ()):
        losses = (f"{history.train_loss[row]:.4f}", f"{history.val_loss[row]:.4f}")
        table.add_row(str(row + 1), *losses, f"{history.val_accuracy[row]:.2%}")
    return table


def _print_confusion(console, counts: np.ndarray, what: str) -> None:
    if len(counts) > 20:
        console.print(f"{len(counts)} classes: too many for a confusion matrix in text")
        return
    labels = [str(label) for label in range(len(counts))]
    table = Table("true \\ predicted", *labels, title=f"Confusion matrix, {what}", box=SIMPLE_HEAD, padding=0)
    for label, row in zip(labels, counts, strict=True):
        table.add_row(label, *(str(count) if count else "." for count in row))
    for column in table.columns:
        column.justify = "right"
    console.print(table)


def check(
    dtype: Annotated[DType | None, typer.Option(help="The precision to check in. (default: both)")] = None,
    picture: Annotated[Path | None, typer.Option("--plot", help="Draw the errors, log-log, into this .png.")] = None,
) -> int:
    """Run the gradient, Jacobian and transpose tests over everything there is; exit code 1 if one fails."""
    from . import checks

    if picture:
        plot.check_path(picture)
    results = checks.run(dtype=dtype and str(dtype))
    for _, result in results:
        print(f"{result}\n")
    if picture:
        plot.derivative_report(picture, results)
        print(f"picture: {picture}")
    failed = [name for name, result in results if not result.passed]
    print(f"{len(results) - len(failed)} of {len(results)} tests passed" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def bench(
    case: Annotated[list[str] | None, typer.Option(help="Only this case; may be repeated. (default: all)")] = None,
    dtype: Annotated[list[DType] | None, typer.Option(help="Only this precision; may be repeated. (default: both)")] = None,
    threads: Annotated[int | None, typer.Option(min=1, max=1 << 16, help="Threads of every library. (default: all)")] = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="Small sizes, once: does every case run?")] = False,
    json: Annotated[Path | None, typer.Option(help="Write the numbers there.")] = None,
    picture: Annotated[Path | None, typer.Option("--plot", help="Draw the ratios into this .png.")] = None,
) -> None:
    """Time the same work in fastlec and in every peer that is installed."""
    from . import bench as benches
    from .bench import cases

    try:
        cases.select(case)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if json:
        io.writable(json)
    if picture:
        plot.check_path(picture)
    dtypes = [str(one) for one in dtype or DType]
    benches.run(cases=case, dtypes=dtypes, threads=threads, smoke=smoke, json_path=json, plot_path=picture)


def info() -> None:
    """Show version, compiler, instruction sets, OpenMP and threads: what a bug report needs."""
    fastlec.show_config()
