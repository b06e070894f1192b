"""``fastlec predict``: what a saved model says of samples; and the scores of predictions, which ``train`` prints as well."""

from __future__ import annotations

import csv
import io as memory
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import fastlec

from .. import data as datasets
from .. import io
from ..course import models
from ..course.trained import accuracy, confusion_matrix
from .files import Overwrite, Target, ready
from .options import Encoding, Header, Label

_SHOWN = 40  # predictions that are printed


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model that fastlec train has saved.")],
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Samples like those it was trained on, with labels or without; or one image.")
    ],
    save: Annotated[
        Path | None, typer.Option("--save", "-o", metavar="FILE", help="Write class and probability of each sample, as CSV.")
    ] = None,
    proba: Annotated[
        bool, typer.Option("--proba", help="The probability of every class, not only of the predicted one.")
    ] = False,
    label: Label = None,
    header: Header = None,
    encoding: Encoding = None,
    threads: Annotated[
        int | None, typer.Option(min=1, max=1 << 16, help="At most so many threads. (default: no limit)")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Predict the classes of samples with a saved model, and score them where the data has labels."""
    console = Console(highlight=False, markup=False)
    if threads:
        fastlec.set_num_threads(threads)
    found = models.load_model(model)
    (save,) = ready(Target("--save", save), overwrite=overwrite, inputs={"MODEL": model, "DATA": data})
    samples = samples_for(data, str(found.dtype), found.facts, label=label, header=header, encoding=encoding)
    probabilities = models.probabilities(found, samples.X)
    codes = probabilities.argmax(axis=1)
    names, rows = _rows(found, samples, codes, probabilities, proba)
    if save:
        text = memory.StringIO()
        csv.writer(text, lineterminator="\n").writerows([names, *rows])
        io.save_text(save, text.getvalue())
    else:
        for row in [names, *rows[:_SHOWN]]:
            print(*row, sep="\t")
        if len(rows) > _SHOWN:
            print(f"... ({len(rows)} in all; --save writes them)")
    print_scores(console, found, samples, codes)
    if save:
        console.print(f"predictions: {save}", soft_wrap=True)


def _rows(model, samples, codes, probabilities, proba: bool) -> tuple[list[str], list[list]]:
    """The names of the columns, and a row for each sample: its file or number, class and probability, or all probabilities."""
    names = ["sample" if samples.files is None else "file", "class"]
    names += [f"p({label})" for label in model.preprocessing.classes] if proba else ["probability"]
    shown = probabilities if proba else probabilities[np.arange(len(codes)), codes, None]
    labels = model.preprocessing.labels(codes)
    first = range(1, len(codes) + 1) if samples.files is None else samples.files
    return names, [[one, label, *(f"{p:.6g}" for p in some)] for one, label, some in zip(first, labels, shown, strict=True)]


def samples_for(path: Path, dtype: str, facts: models.Facts, **options) -> datasets.Dataset:
    """The samples to predict, those for tests where there are such; DataError where a model with these facts does not take them.
    options : label, header, encoding, of `data.load`."""
    own = facts.preprocessing
    samples = datasets.load(path, dtype=dtype, n_features=facts.n_features, like=own, **options)
    if samples.X_test is not None:
        samples = replace(samples, X=samples.X_test, y=samples.y_test, files=None)
    facts.check(samples)
    return samples


def print_scores(console, model, samples: datasets.Dataset, codes: np.ndarray) -> None:
    """What was taken for granted of the samples; how often each class was predicted, given by number; and how often rightly, where
    the samples have labels."""
    if samples.note:
        console.print(f"{samples.name}: {samples.note}", soft_wrap=True)
    y, n_classes, classes = samples.y, model.facts.n_classes, model.preprocessing.classes
    counts = np.bincount(codes, minlength=n_classes)
    found = ", ".join(f"{count} of class {label}" for label, count in zip(classes, counts, strict=True) if count)
    console.print(f"{samples.name}: {len(codes)} samples; {found}", soft_wrap=True)
    if y is not None:
        print_confusion(console, confusion_matrix(y, codes, n_classes), samples.name, classes)
        console.print(f"accuracy {accuracy(y, codes):.2%} of {len(y)} samples")


def print_confusion(console, counts: np.ndarray, what: str, classes) -> None:
    """A table of counts (l, l) of the classes."""
    if len(counts) > 20:
        console.print(f"{len(counts)} classes: too many for a confusion matrix in text")
        return
    labels = heads = [str(label) for label in classes]
    if 20 + sum(len(label) + 1 for label in labels) > console.width:  # 20: the first column, of long labels
        heads = [str(i) for i in range(len(labels))]
        labels = [f"{label} ({i})" for i, label in enumerate(labels)]
    table = Table("true \\ predicted", *heads, title=f"Confusion matrix, {what}", box=SIMPLE_HEAD, padding=0)
    for label, row in zip(labels, counts, strict=True):
        table.add_row(label, *(str(count) if count else "." for count in row))
    for column in table.columns:
        column.justify = "right"
    console.print(table)
