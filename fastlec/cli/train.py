"""``fastlec train``: softmax regression or a network on real digits, or on data of one's own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import fastlec

from .. import data as datasets
from .. import io, plot, tables
from ..course import architectures, classifier, models, softmax
from ..course.trained import ITERATIONS, accuracy, confusion_matrix, default_epochs, of_training
from ..preprocessing import shown
from . import ranks
from .files import Overwrite, Target, ready
from .options import MOST, Activation, DType, Encoding, Header, Label, Model, Solver, finite, image_size, sides
from .predict import print_confusion, print_scores, samples_for

_SHOWN = 40  # predictions that are printed
_LINES = 10  # of progress, where they go to no terminal
_SOLVERS = dict.fromkeys(architectures.NAMES, tuple(classifier.DEFAULT_LR)) | {"softmax": softmax.SOLVERS}


def train(
    data: Annotated[
        Path | None,
        typer.Option(
            help="A .csv, an .npz with X and y, a folder of IDX files (MNIST), or one with a subfolder of images for each class."
            " (default: UCI digits)"
        ),
    ] = None,
    label: Label = None,
    header: Header = None,
    encoding: Encoding = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="HxW",
            callback=image_size,
            help="Resize the images of a folder to this, such as 28x28; or say that rows are images of it.",
        ),
    ] = None,
    scale: Annotated[
        bool,
        typer.Option(
            "--scale/--no-scale",
            help="Standardise the features of a table, to mean 0 and deviation 1; a loaded model scales as before.",
        ),
    ] = True,
    kind: Annotated[
        Model | None,
        typer.Option(
            "--model",
            help="Softmax regression, or a network; lenet, cnn and resnet-cnn are of images. (default: softmax, or what is loaded)",
        ),
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Hidden layers of an mlp, blocks of a resnet or resnet-cnn. (default: 2)"),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(
            min=1, max=1 << 20, help="Neurons of the hidden layers; channels of a resnet-cnn. (default: 128; resnet-cnn 32)"
        ),
    ] = None,
    activation: Annotated[Activation | None, typer.Option(help="Activation function of a network. (default: relu)")] = None,
    solver: Annotated[
        Solver, typer.Option(help="How to minimise: softmax by sgd, lbfgs or newton-cg, a network by sgd or adam.")
    ] = Solver.sgd,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MOST,
            help="Epochs, or iterations at most. (default: 60; a network 40, cnn and resnet-cnn 20; lbfgs 1000; newton-cg 100)",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, max=MOST, help="Samples in a mini-batch (sgd, adam).")] = 32,
    lr: Annotated[
        float | None,
        typer.Option(
            callback=finite(0, open_low=True),
            help="Learning rate; a network's rises to it, then falls to 0. (default: sgd 0.1; adam 0.002)",
        ),
    ] = None,
    momentum: Annotated[float, typer.Option(callback=finite(0, 1), help="Momentum (sgd).")] = 0.9,
    l2: Annotated[
        float | None,
        typer.Option(
            callback=finite(0),
            help="Weight of the penalty l2/2 ||W||^2; of a network, weight decay. (default: 1e-4; a network 1e-3)",
        ),
    ] = None,
    smoothing: Annotated[
        float | None,
        typer.Option(callback=finite(0, 1), help="Share of each label spread over all classes (networks). (default: 0.1)"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=MOST, help="Seed of the shuffling and of a network's weights.")] = 0,
    dtype: Annotated[
        DType | None,
        typer.Option(help="Precision of data and model. (default: float64, a network float32, or the loaded model's)"),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, max=1 << 16, help="At most so many threads. (default: no limit)")
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(help="Where to write the model, .npz or .safetensors. (default: model.npz, or else model-2.npz, ...)"),
    ] = None,
    load: Annotated[Path | None, typer.Option(help="A saved model to go on from, or to use with --predict.")] = None,
    predict: Annotated[
        Path | None,
        typer.Option(
            help="Predict the labels of this data. With --load, nothing is trained unless --data or --epochs is given."
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Where to write the predicted labels, one a line.")] = None,
    picture: Annotated[
        Path | None,
        typer.Option("--plot", help="Draw loss curves, weights, feature maps into this .png, .pdf or .svg."),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="A file that holds, after each epoch, all it takes to go on with the training of a network."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from --checkpoint, with the same options.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Train softmax regression, or a network, on real digits or data of your own; save it, plot it, predict with it.

    Started by mpiexec, several processes train together, each on its share of the samples."""
    comm = ranks.started()
    leads = comm is None or comm.rank == 0
    console = Console(highlight=False, markup=False)
    only_predict = load is not None and predict is not None and data is None and epochs is None
    if output and not predict:
        raise typer.BadParameter("--output writes predictions and needs --predict.")
    for option, given in (("--plot", picture), ("--save", save), ("--checkpoint", checkpoint)):
        if given and only_predict:
            raise typer.BadParameter(f"{option} is of a training, and --load with --predict alone trains nothing.")
    if resume and not checkpoint:
        raise typer.BadParameter("--resume goes on from a checkpoint and needs --checkpoint.")
    if threads:
        fastlec.set_num_threads(threads)
    if solver is Solver.lbfgs:
        # SciPy's BLAS, loaded later, would spin on vectors this short with threads that keep the objective from its cores:
        # ten times slower on two cores. This process is ours to set up; the library itself sets no variable.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    shape = {"depth": depth, "width": width, "activation": activation and str(activation)}
    shape = {name: value for name, value in shape.items() if value is not None}
    model = models.load_model(load) if load else None
    kind = _kind(kind, model, load, shape)
    network = kind != "softmax"
    if solver not in _SOLVERS[kind]:
        raise typer.BadParameter(f"--solver {solver} does not train --model {kind}; expected {', '.join(_SOLVERS[kind])}.")
    if smoothing is not None and not network:
        raise typer.BadParameter("--smoothing is for networks; the model is softmax.")
    if checkpoint and not network:
        raise typer.BadParameter("--checkpoint is for networks; the model is softmax.")
    if resume and leads and not checkpoint.exists():
        raise typer.BadParameter(f"--resume: there is no file {checkpoint}.")
    targets = [
        Target("--save", None if only_predict else save or Path("model.npz"), io.check_path, named=save is not None),
        Target("--output", output),
        Target("--plot", picture, plot.check_path),
        Target("--checkpoint", None if resume else checkpoint, _check_checkpoint, remedy="--resume or --overwrite"),
    ]
    inputs = {"--data": data, "--predict": predict, "--load": load, "--checkpoint": checkpoint if resume else None}
    if leads:
        save, output, picture, _ = ready(*targets, overwrite=overwrite, inputs=inputs)
    dtype = str(dtype or (model.dtype if model else DType.float32 if network else DType.float64))
    facts = model.facts if model else None
    for option, given in (("--label", label), ("--header", header), ("--encoding", encoding)):
        if given is not None and data is None and predict is None:
            raise typer.BadParameter(f"{option} says how to read --data or --predict, and neither is given.")
    if size is not None and data is None:
        raise typer.BadParameter("--size says how to read --data, which is not given.")
    layout = {"header": header, "encoding": encoding}
    if not only_predict:
        if data is None:
            dataset = datasets.digits(dtype)
        else:
            like = model.preprocessing if model else None
            size = sides(size) or ("square" if kind in architectures.OF_IMAGES else None)
            dataset = datasets.load(data, dtype=dtype, label=label, size=size, standardise=scale, like=like, **layout)
        if network and model is None:
            model = classifier.new_network(dataset, kind, seed=seed, **shape)
        facts = _facts_of_training(dataset, model)
    if data is None:
        layout["label"] = label
    elif predict and not tables.is_named(predict):
        layout = {}
    samples = samples_for(predict, dtype, facts, **layout) if predict else None
    if not only_predict:
        given = {"lr": lr, "l2": l2, "smoothing": smoothing}
        settings = {"solver": str(solver), "batch_size": batch_size, "momentum": momentum, "seed": seed}
        settings |= {name: value for name, value in given.items() if value is not None}
        settings["epochs"] = epochs or default_epochs(kind, solver)
        size = np.dtype(dtype).itemsize * (model.net.n_params if network else (facts.n_features + 1) * facts.n_classes)
        if leads:
            io.writable(save, size)
        if checkpoint:
            if leads:
                arrays = 3 if solver is Solver.adam else 2  # parameters, and the optimizer's state
                files = 1 if checkpoint.exists() else 2  # each is whole before it takes the last one's place
                io.writable(checkpoint, files * arrays * size)
            settings |= {"checkpoint": checkpoint, "resume": resume}
        model = _train(console, dataset, model, kind, settings, save, picture, comm)
    if predict and leads:
        _predict(console, model, samples, output)


def _facts_of_training(dataset: datasets.Dataset, start) -> models.Facts:
    """Of the model that comes of training on the data from ``start``, or from a new softmax regression. DataError if data and model
    do not match."""
    if start is None:
        n_classes = datasets.class_count(dataset.y, dataset.name, dataset.classes)
        return models.Facts("softmax", dataset.X.shape[1], n_classes, of_training(dataset, None))
    start.facts.check(dataset)
    return replace(start.facts, preprocessing=of_training(dataset, start))


def _kind(kind, model, load, shape) -> str:
    """The kind of model to train or predict with; BadParameter where options contradict each other."""
    if model and kind not in (None, model.facts.architecture):
        raise typer.BadParameter(f"--model is {kind}; {load} holds the model {model.facts.architecture}.")
    kind = model.facts.architecture if model else str(kind or Model.softmax)
    if shape and (model or kind == "softmax"):
        why = f"{load} has its own" if model else "the model is softmax"
        raise typer.BadParameter(f"--{next(iter(shape))} is for new networks; {why}.")
    for option in shape:
        if option not in architectures.OPTIONS[kind]:
            raise typer.BadParameter(f"--{option} does not change --model {kind}, whose layers are fixed.")
    return kind


def _check_checkpoint(path: Path | io.FreeName) -> None:
    if Path(path).suffix.lower() not in ("", ".npz"):
        raise io.ModelError(f"{path}: cannot be written: a checkpoint's name ends with .npz")
    io.writable(path)


def _train(console, dataset, start, kind, settings, save, picture, comm):
    shape, epochs = " x ".join(map(str, dataset.X.shape)), settings["epochs"]
    solver, unit = settings["solver"], "iterations" if settings["solver"] in ITERATIONS else "epochs"
    console.print(f"{dataset.name}: {shape} {dataset.X.dtype}; {solver}, at most {epochs} {unit}", soft_wrap=True)
    _print_reading(console, dataset)
    if kind != "softmax":
        console.print(f"{kind} of {start.net.n_params} parameters")
    run = softmax.train_softmax if kind == "softmax" else classifier.train_network
    began = time.perf_counter()
    with _progress(console, epochs) as report:
        trained = run(dataset, start=start, callback=report, comm=comm, **settings)
    seconds = time.perf_counter() - began
    if comm is not None and comm.rank:
        return trained.model
    models.save_model(save, trained.model)
    smoothing = 0.0 if kind == "softmax" else settings.get("smoothing", 0.1)
    counts = confusion_matrix(trained.y_val, trained.predicted, trained.model.facts.n_classes)
    try:
        if picture:
            title = "Weights of each class" if kind == "softmax" else "Weights of the first layer"
            maps = models.feature_maps(trained.model, dataset.X[0]) if kind in architectures.OF_IMAGES else None
            counted = f"{len(trained.y_val)} validation samples of {dataset.name}"
            own = {"data": counted, "smoothing": smoothing}
            plot.training_report(picture, trained.history, trained.model, counts, title, maps, **own)
            console.print(f"picture: {picture}", soft_wrap=True)
    finally:  # the model is there, whatever became of the picture
        _print_scores(console, dataset, trained, counts, seconds, smoothing)
        score = accuracy(trained.y_val, trained.predicted)
        console.print(f"validation accuracy {score:.2%} of {len(trained.y_val)} samples; saved to {save}", soft_wrap=True)
    return trained.model


def _print_reading(console, dataset: datasets.Dataset) -> None:
    """What was taken for granted of data of one's own."""
    if dataset.note:
        console.print(dataset.note, soft_wrap=True)
    if dataset.classes is not None:
        of_images = (
            dataset.image_shape and f"images of {' x '.join(map(str, dataset.image_shape))}, divided by {dataset.scale:g}"
        )
        features = of_images or ("features as they are" if dataset.mean is None else "features standardised")
        console.print(f"{shown(dataset.classes)}; {features}", soft_wrap=True)


@contextmanager
def _progress(console, epochs: int) -> Iterator[Callable]:
    """A callback(epoch, history) that shows how far the training is: a bar on a terminal, else some lines."""
    if not console.is_terminal:
        told = {round(epochs * part / _LINES) for part in range(1, _LINES + 1)} | {1}
        last = ""

        def line(epoch: int, history) -> None:
            nonlocal last
            text = f"{history.unit} {epoch}/{epochs}: training loss {_loss(history.train_loss[-1])}"
            if epoch in told:
                print(text, flush=True)
            last = "" if epoch in told else text

        yield line
        if last:  # a solver that has converged before the last epoch
            print(last, flush=True)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[loss]}"), console=console) as progress:
        task = progress.add_task("training", total=epochs, loss="")
        done = 0

        def advance(epoch: int, history) -> None:
            nonlocal done
            done = epoch
            progress.update(task, completed=epoch, loss=f"loss {_loss(history.train_loss[-1])}")

        yield advance
        progress.update(task, total=max(done, 1))


def _print_scores(console, dataset, trained, counts, seconds: float, smoothing: float) -> None:
    console.print(_history_table(trained.history, smoothing))
    print_confusion(console, counts, "validation part", trained.model.preprocessing.classes)
    for note in trained.history.notes:
        console.print(note, soft_wrap=True)
    console.print(f"trained on {trained.n_train} samples, {trained.message}, {seconds:.2f} s")
    if trained.test_accuracy is not None:
        console.print(f"test accuracy {trained.test_accuracy:.2%} of {len(dataset.y_test)} samples")


def _predict(console, model, samples: datasets.Dataset, output: Path | io.FreeName | None) -> None:
    codes = models.predict(model, samples.X)
    labels = [str(label) for label in model.preprocessing.labels(codes)]
    if output:
        io.save_text(output, "".join(f"{label}\n" for label in labels))
    else:
        more = f" ... ({len(labels)} in all; --output writes them)" if len(labels) > _SHOWN else ""
        console.print(f"predicted: {' '.join(labels[:_SHOWN])}{more}", soft_wrap=True)
    print_scores(console, model, samples, codes)
    if output:
        console.print(f"predictions: {output}", soft_wrap=True)


def _loss(loss: float) -> str:
    return f"{loss:.4f}" if loss < 1e5 else f"{loss:.3e}"


def _history_table(history, smoothing: float) -> Table:
    """At most eleven rows of the history, evenly spread, the first and the last among them.

    smoothing : of the labels that the losses are against."""
    against = f"\nsmoothing {smoothing:g}" if smoothing else ""
    names = (history.unit, f"training loss{against}", f"validation loss{against}", "validation accuracy")
    table = Table(*names, title="Training", box=SIMPLE_HEAD)
    for column in table.columns:
        column.justify = "right"
    last = len(history.train_loss) - 1
    for row in sorted({round(last * part / 10) for part in range(11)} if last >= 0 else ()):
        losses = (_loss(history.train_loss[row]), _loss(history.val_loss[row]))
        table.add_row(str(row + 1), *losses, f"{history.val_accuracy[row]:.2%}")
    return table
