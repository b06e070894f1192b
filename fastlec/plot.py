"""Pictures of training, of derivative tests and of approximations, with matplotlib (the extra ``plot``), imported on first use.

A function that takes ``ax``, the Axes to draw on, returns it. Without it the picture goes on pyplot's current Axes if they are
empty, else on a new figure of pyplot's, which ``plt.show()`` and notebooks show. Functions that write files make figures of their
own: they touch none of matplotlib's global state, and pick no backend.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import _check, _labels, io

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ._typing import ArrayLike, NDArray
    from .course.overfit import Experiment, OracleError
    from .course.universal import Fit
    from .regression import Corner, PolynomialFits, RegularizationPath
    from .training import History

__all__ = [
    "approximations",
    "confusion_matrix",
    "decision_regions",
    "derivative_tests",
    "errors_by_degree",
    "errors_by_width",
    "feature_maps",
    "filters",
    "fits_by_degree",
    "l_curve",
    "loss_curves",
    "oracle_errors",
    "weight_images",
]

SUFFIXES = (".png", ".pdf", ".svg")
TILES, LAYERS = 16, 8  # small images: in a row, and rows of them
TILE = 0.92  # of a square: the rest is gap
MOST_IMAGES = 32  # filters, or images of weights, in a picture
MOST_NAMES = 20  # classes that are named on an axis, and counted in the cells of a matrix
FAILS = 0.01  # of a function's range: networks whose RMS error is above it are seen to miss the function
MOST_COORDINATE = 1e300  # of points in a picture: matplotlib overflows above 1e304
_DOT, _RING = {"marker": "o"}, {"marker": "s", "fillstyle": "none", "markersize": 10}  # of one epoch, which makes no line
_MISSING = "plots need matplotlib: pip install 'fastlec[plot]'"


def __dir__() -> list[str]:
    return __all__


class PlotError(ValueError):
    """A picture that cannot be written; the text names the file."""


def new_figure(width: float = 6.4, height: float = 4.8) -> Figure:
    """A matplotlib Figure of that many inches, outside of pyplot. ImportError if matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(_MISSING) from error
    return Figure(figsize=(width, height), layout="constrained")


def check_path(path: str | os.PathLike[str]) -> None:
    """Before long work: ImportError without matplotlib, PlotError or io.ModelError if no picture can be written to ``path``."""
    new_figure()
    if Path(path).suffix.lower() not in SUFFIXES:
        raise PlotError(f"{path}: a picture's name ends with {', '.join(SUFFIXES)}")
    io.writable(path)


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a matplotlib Figure in the format of ``path``'s ending, all or nothing. io.ModelError if it cannot be written."""
    for _ in range(2):  # the layout of images of fixed proportions converges: writing lays out only once
        figure.get_layout_engine().execute(figure)
    with io.replacing(path) as file:
        figure.savefig(file, format=Path(path).suffix[1:].lower(), dpi=120)


def loss_curves(history: History, ax: Axes | None = None) -> Axes:
    """Training and validation loss of each epoch, and the accuracies on a second axis.

    Parameters
    ----------
    history : History
        The lists train_loss and perhaps val_loss, train_accuracy, val_accuracy; what is empty is left out. Its unit is the label of
        the axis.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default pyplot's.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes. The axis of losses is logarithmic where all are above 0.

    See Also
    --------
    fastlec.History.plot, confusion_matrix

    Examples
    --------
    >>> history = fastlec.History(train_loss=[1.0, 0.5], train_accuracy=[0.25, 0.75])
    >>> fastlec.plot.loss_curves(history).get_title()
    'Loss and accuracy'
    """
    ax = _axes(ax)
    curves = {
        "training loss": (history.train_loss, "tab:blue"),
        "validation loss": (getattr(history, "val_loss", ()), "tab:orange"),
        "training accuracy": (getattr(history, "train_accuracy", ()), "tab:olive"),
        "validation accuracy": (getattr(history, "val_accuracy", ()), "tab:green"),
    }
    top, lines = ax, []
    for label, (values, color) in curves.items():
        if label.endswith("accuracy") and len(values) and top is ax:
            top = ax.twinx()
            top.set_ylabel("accuracy (%)")
        if len(values) or label == "training loss":
            values = np.multiply(values, 1 if top is ax else 100)
            look = {} if len(values) > 1 else _DOT if top is ax else _RING
            lines += top.plot(np.arange(1, len(values) + 1), values, color=color, label=label, **look)
    if len(history.train_loss) == 1:
        ax.set(xlim=(0.5, 1.5), xticks=[1])
    else:
        ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set(xlabel=getattr(history, "unit", "epoch"), ylabel="loss", title="Loss" if top is ax else "Loss and accuracy")
    losses = [value for line in ax.lines for value in line.get_ydata() if np.isfinite(value)]
    if losses and min(losses) > 0:
        ax.set_yscale("log")
        _readable(ax.yaxis)
    ax.grid(True, which="both", alpha=0.25)
    if ax.get_figure().get_layout_engine():  # it makes room below, where the legend hides nothing
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.13), "ncols": 2}
    else:
        place = {"loc": "best"}
    top.legend(handles=lines, fontsize="small", **place)
    return ax


def weight_images(
    W: ArrayLike,
    image_shape: Sequence[int],
    ax: Axes | None = None,
    title: str = "Weights of each class",
    classes: Sequence[object] | None = None,
) -> Axes:
    """Weights of classes, or neurons, as one mosaic: red speaks for the class, blue against it, white for neither.

    Parameters
    ----------
    W : array_like, shape (l, n)
        Weights, one row for each class; of more than 32 those of the largest norm are drawn, with their names, from the largest on.
    image_shape : tuple of int
        (height, width), or (height, width, channels), of n values; channels are added up.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default pyplot's.
    title : str
        Title of the picture.
    classes : sequence, optional
        The l names; by default their numbers.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes. Each class has its own colour range.

    See Also
    --------
    filters, feature_maps

    Examples
    --------
    >>> X, y = fastlec.data.load_digits()
    >>> net = fastlec.Network([fastlec.Dense(64, 10, "identity")], rng=0)
    >>> history = fastlec.fit(net, X, y, epochs=3)
    >>> fastlec.plot.weight_images(net.params["0.W"], (8, 8)).get_title()
    'Weights of each class'
    """
    ax = _axes(ax)
    W = np.asarray(W)
    rows = _strongest(W)
    images = _in_own_range(W[rows].reshape(len(rows), *image_shape[:2], -1).sum(axis=-1))
    across = min(len(rows), max(int(np.ceil(np.sqrt(2 * len(rows)))), 1))
    down = -(-len(rows) // across)
    height, width = image_shape[0] + 1, image_shape[1] + 1  # a gap of one pixel
    mosaic = np.full((down * height - 1, across * width - 1), np.nan)
    for i, (row, image) in enumerate(zip(rows, images, strict=True)):
        y, x = i // across * height, i % across * width
        mosaic[y : y + height - 1, x : x + width - 1] = image
        _number(ax, x - 0.5, y - 0.5, row if classes is None else classes[row])
    _colour_key(ax, ax.imshow(mosaic, cmap="RdBu_r", vmin=-1, vmax=1))
    ax.set_axis_off()
    ax.set_title(title + _how_many(rows, W))
    return ax


def filters(W: ArrayLike, ax: Axes | None = None) -> Axes:
    """Filters of a convolution, sixteen a row: red is positive, blue negative, white zero.

    Parameters
    ----------
    W : array_like, shape (k, c, r, s)
        Filters, whose channels c are added up; of more than 32 those of the largest norm are drawn, with their numbers, from the
        largest on.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default pyplot's.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes. Each filter has its own colour range.

    See Also
    --------
    feature_maps, fastlec.Conv2d

    Examples
    --------
    >>> layer = fastlec.Conv2d(1, 4, 3, rng=0)
    >>> fastlec.plot.filters(layer.params["W"]).get_title()
    'Filters of the first convolution'
    """
    W = np.asarray(W)
    rows = _strongest(W)
    ax = _tile_axes(ax, -(-len(rows) // TILES), "Filters of the first convolution" + _how_many(rows, W))
    _tiles(ax, 0, _in_own_range(W[rows].sum(axis=1)), "RdBu_r", -1, 1)
    if len(rows) < len(W):
        for i, row in enumerate(rows):
            _number(ax, i % TILES, i // TILES, row)
    if ax.images:
        _colour_key(ax, ax.images[-1])
    return ax


def feature_maps(maps: Mapping[str, ArrayLike], ax: Axes | None = None) -> Axes:
    r"""What the layers of a network make of an image, from top to bottom.

    Parameters
    ----------
    maps : dict of str to array_like, shape (c, h, w)
        Maps of each layer, the image first, as ``fastlec.course.models.feature_maps`` gives them. The first sixteen of each are
        drawn, in a colour range that they share; of many layers eight, evenly spread.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default pyplot's.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes.

    See Also
    --------
    filters, weight_images

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).random((1, 8, 8))
    >>> layer = fastlec.Conv2d(1, 4, 3, rng=0)
    >>> ax = fastlec.plot.feature_maps({"image": image, "Conv2d": layer(image[None])[0]})
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['image\n1 x 8 x 8', 'Conv2d\n4 x 6 x 6']
    """
    names = list(maps)
    names = [names[round(i)] for i in np.linspace(0, len(names) - 1, min(len(names), LAYERS))]
    ax = _tile_axes(ax, len(names), f"Feature maps of one image, at most {TILES} of a layer")
    for row, name in enumerate(names):
        images = np.asarray(maps[name])[:TILES]
        _tiles(ax, row, images, "viridis" if row else "gray", images.min(), images.max())
    labels = [f"{name}\n{' x '.join(map(str, maps[name].shape))}" for name in names]
    ax.set_yticks(np.arange(len(names)) + TILE / 2, labels, fontsize="small")
    return ax


def confusion_matrix(
    counts: ArrayLike, ax: Axes | None = None, *, classes: Sequence[object] | None = None, data: str = "validation"
) -> Axes:
    """Confusion matrix: true class down, predicted class across; the shade is the share of the row.

    Parameters
    ----------
    counts : array_like of int, shape (l, l)
        Number of samples of each pair of classes.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default pyplot's.
    classes : sequence, optional
        The l names of the classes; by default their numbers.
    data : str
        What was counted, for the title.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes.

    Raises
    ------
    ValueError
        There is another number of names.

    See Also
    --------
    decision_regions, loss_curves

    Examples
    --------
    >>> ax = fastlec.plot.confusion_matrix([[3, 1], [0, 4]], classes=["cat", "dog"], data="8 animals")
    >>> ax.get_title(), [label.get_text() for label in ax.get_xticklabels()]
    ('Confusion (8 animals)', ['cat', 'dog'])
    """
    counts = np.asarray(counts)
    names = [str(name) for name in (range(len(counts)) if classes is None else classes)]
    if len(names) != len(counts):
        raise ValueError(f"classes has {len(names)} names; expected {len(counts)}, one for each row of counts")
    ax = _axes(ax)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    if len(counts) <= MOST_NAMES:
        for row, column in zip(*np.nonzero(counts), strict=True):
            shade = "white" if share[row, column] > 0.5 else "black"
            ax.text(column, row, counts[row, column], ha="center", va="center", color=shade, fontsize="small")
    named = range(0, len(names), max(-(-len(names) // MOST_NAMES), 1))
    labels = [names[i] for i in named]
    ax.set_xticks(named, labels, rotation=90 if max(map(len, labels), default=0) > 2 else 0, parse_math=False)
    ax.set_yticks(named, labels, parse_math=False)
    ax.set(xlabel="predicted class", ylabel="true class", title="\n".join(textwrap.wrap(f"Confusion ({data})", 48)))
    return ax


def decision_regions(
    predict: Callable[[NDArray[np.float64]], ArrayLike],
    X: ArrayLike,
    y: ArrayLike,
    ax: Axes | None = None,
    *,
    classes: ArrayLike | None = None,
    resolution: int = 200,
) -> Axes:
    """Classes that a classifier gives to the points of the plane, as areas of colour, and samples as dots.

    Parameters
    ----------
    predict : callable
        Function of points (k, 2) float64, such as ``net.predict`` or the predict or predict_proba of a classifier of
        scikit-learn's. It gives labels (k,), or probabilities (k, l) in [0, 1], a column for each of l classes: areas are then
        paler the less certain it is.
    X : array_like, shape (m, 2)
        Samples, finite.
    y : array_like, shape (m,)
        Labels, numbers or text.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default pyplot's.
    classes : array_like, shape (l,), optional
        Labels that the columns stand for. By default ``classes_`` of the object whose method predict is; else the labels in y,
        sorted, where there are l; else 0 to l - 1 where y has integers in that range. Where y or classes are text, integers from 0
        on, of predict or y, stand for that text in order.
    resolution : int
        Number of points on each side of the picture, at least 2.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes.

    Raises
    ------
    ValueError or TypeError
        An argument, or what predict gives, is of another shape or kind.

    See Also
    --------
    confusion_matrix, fastlec.datasets.make_spirals

    Examples
    --------
    >>> X, y = fastlec.datasets.make_blobs(300, 3)
    >>> net = fastlec.Network([fastlec.Dense(2, 3, "identity")], rng=0)
    >>> ax = fastlec.plot.decision_regions(net.predict_proba, X, y)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['0', '1', '2']
    """
    _check.function(predict, "predict")
    ax = _axes(ax)
    X = _check.matrix(X, "X", columns=2)
    _check.float_dtype(X.dtype, "X")
    X = X.astype(np.float64)
    _check.finite(X, "X")
    labels, own = _labels.distinct(y, "y", len(X))
    columns = None if classes is None else _labels.in_order(classes, "classes")
    resolution = _check.count(resolution, "resolution", 2, 1 << 12)
    low, high = _limits(X)
    sides = low + (high - low) * (np.arange(resolution)[:, None] + 0.5) / resolution  # the middles of the picture's points
    points = np.stack(np.meshgrid(*sides.T), axis=-1).reshape(-1, 2)
    found = _check.as_array(predict(points), "what predict gave")
    opacity = 0.4
    if found.ndim == 2:
        opacity = 0.4 * np.clip(_labels.probabilities(found, len(points)).max(axis=1, keepdims=True), 0, 1)
        names, found = _labels.of_columns(predict, columns, labels, found.shape[1]), found.argmax(axis=1)
    else:
        names, found = _labels.distinct(found, "what predict gave", len(points))
    names, labels = _labels.of_one_kind(names, labels, columns)
    classes = sorted(dict.fromkeys(labels + names))  # of equal ones, such as True and 1, that in y
    code = {label: i for i, label in enumerate(classes)}
    own, codes = (np.array([code[label] for label in some])[which] for some, which in ((labels, own), (names, found)))
    colors = _colors(len(classes))
    image = opacity * colors[codes] + (1 - opacity)
    extent = [low[0], high[0], low[1], high[1]]
    ax.imshow(image.reshape(resolution, resolution, 3), extent=extent, origin="lower", aspect="auto", interpolation="nearest")
    for code, label in enumerate(classes):
        if (own == code).any():
            look = {"s": 12, "color": colors[code], "edgecolors": "white", "linewidths": 0.3}
            ax.scatter(*X[own == code].T, label=str(label), **look)
    ax.set(xlim=extent[:2], ylim=extent[2:])
    if len(classes) <= 20:
        ax.legend(fontsize="small")
    return ax


def derivative_tests(results: Iterable[tuple[str, object]], ax: Axes | None = None) -> Axes:
    """Errors of many gradient and Jacobian tests over epsilon, log-log: they fall like epsilon and its square.

    Parameters
    ----------
    results : iterable of tuple
        Pairs (name, result) with the results of ``fastlec.testing``; those without such errors are left out.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default pyplot's.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes. Errors are relative to the test's largest zeroth-order error; failed tests are red, and named.

    See Also
    --------
    fastlec.testing.gradient_test, fastlec.testing.jacobian_test

    Examples
    --------
    >>> import numpy as np
    >>> result = fastlec.testing.gradient_test(lambda x: (x**2).sum(), lambda x: 2 * x, np.ones(3))
    >>> fastlec.plot.derivative_tests([("squares", result)]).get_title()
    '1 gradient and Jacobian tests'
    """
    ax = _axes(ax)
    drawn = [(name, result) for name, result in results if hasattr(result, "first_errors") and result.epsilons.size]
    for name, result in drawn:
        unit = result.zeroth_errors.max() or 1
        for errors, color in ((result.zeroth_errors, "tab:blue"), (result.first_errors, "tab:orange")):
            look = {"color": color, "alpha": 0.25} if result.passed else {"color": "tab:red"}
            shown = np.where(errors > 0, errors / unit, np.nan)  # an exact zero has no logarithm
            line = ax.loglog(result.epsilons, shown, linewidth=1, **look)[0]
        if not result.passed:
            line.set_label(f"failed: {name}")
    if drawn:
        low, high = (extreme(extreme(result.epsilons) for _, result in drawn) for extreme in (min, max))
        for order, text in ((1, "zeroth order: slope 1"), (2, "first order: slope 2")):
            color = ("tab:blue", "tab:orange")[order - 1]
            ax.loglog([low, high], [(low / high) ** order, 1], "--", color=color, label=text)
        ax.set_ylim(np.finfo(np.result_type(*(result.dtype for _, result in drawn))).eps / 100, 10)
    ax.set(xlabel="epsilon", ylabel="relative error", title=f"{len(drawn)} gradient and Jacobian tests")
    ax.legend(fontsize="small")
    ax.grid(True, alpha=0.25)
    return ax


def approximations(fits: Sequence[Fit], target: Callable[[NDArray[Any]], NDArray[Any]], ax: Axes | None = None) -> Axes:
    """A function of one variable, and networks of several widths that approximate it (universal approximation).

    They are the narrowest, the widest of those that are seen to fail, the next, which fits, and the widest of all.

    Parameters
    ----------
    fits : sequence of Fit
        What ``fastlec.course.universal.fits`` gives.
    target : callable
        The function of x (m, 1).
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default pyplot's.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes.

    See Also
    --------
    errors_by_width

    Examples
    --------
    >>> from fastlec.course import universal
    >>> found = list(universal.fits([1, 2, 4], samples=30))
    >>> ax = fastlec.plot.approximations(found, universal.target)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['function', 'width 1', 'width 2', 'width 4']
    """
    ax = _axes(ax)
    x, last = fits[0].x, len(fits) - 1
    y = target(x)
    failed = max((i for i, fit in enumerate(fits) if fit.rms > FAILS * np.ptp(y)), default=0)
    ax.plot(x, y, color="black", linewidth=4, alpha=0.25, label="function")
    for style, i in zip(("-", "-", "--", ":"), sorted({0, failed, min(failed + 1, last), last}), strict=False):
        ax.plot(x, fits[i].net(x), style, linewidth=1.5, label=f"width {fits[i].width}")
    ax.set(xlabel="x", ylabel="y", title="Networks of one hidden layer")
    ax.legend()
    ax.grid(True, alpha=0.25)
    return ax


def errors_by_width(fits: Sequence[Fit], ax: Axes | None = None) -> Axes:
    """RMS and largest error of networks over their width, log-log (universal approximation).

    Parameters
    ----------
    fits : sequence of Fit
        What ``fastlec.course.universal.fits`` gives.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default pyplot's.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes.

    See Also
    --------
    approximations

    Examples
    --------
    >>> from fastlec.course import universal
    >>> fastlec.plot.errors_by_width(list(universal.fits([1, 2, 4], samples=30))).get_ylabel()
    'error'
    """
    ax = _axes(ax)
    widths = [fit.width for fit in fits]
    ax.loglog(widths, [fit.rms for fit in fits], "o-", label="RMS")
    ax.loglog(widths, [fit.largest for fit in fits], "s--", label="largest")
    ax.set(xlabel="width", ylabel="error", title="Error by width")
    _readable(ax.yaxis)
    ax.set_xticks(_spread(widths), map(str, _spread(widths)))
    ax.minorticks_off()
    ax.legend()
    ax.grid(True, which="both", alpha=0.25)
    return ax


def universal_report(path: str | os.PathLike[str], fits: Sequence[Fit], target: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
    """:func:`approximations` and :func:`errors_by_width` side by side: one picture at ``path``."""
    figure = new_figure(11, 4.5)
    left, right = figure.subplots(1, 2)
    approximations(fits, target, left)
    errors_by_width(fits, right)
    save(figure, path)


def fits_by_degree(experiment: Experiment, degrees: Iterable[int], ax: Axes | None = None) -> Axes:
    """The lecture's figure 1: a noisy sample, its function, and polynomials with their errors in the legend.

    Parameters
    ----------
    experiment : Experiment
        What ``fastlec.course.overfit.experiment`` gives. The fits are drawn at the points of the sample.
    degrees : iterable of int
        Degrees of the polynomials.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default pyplot's.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes.

    See Also
    --------
    errors_by_degree, fastlec.regression.fit_polynomials

    Examples
    --------
    >>> from fastlec.course import overfit
    >>> ax = fastlec.plot.fits_by_degree(overfit.experiment(), (2, 15))
    >>> [text.get_text().partition(":")[0] for text in ax.get_legend().get_texts()]
    ['measurements', 'function', 'degree 2', 'degree 15']
    """
    ax = _axes(ax)
    x, fits = experiment.x, experiment.fits
    ax.plot(x, experiment.y, ".", color="tab:gray", markersize=3, label="measurements")
    ax.plot(x, experiment.y_true, color="black", linewidth=3, alpha=0.3, label="function")
    for degree in degrees:
        errors = f"test {fits.test_mse[degree]:.3g}, train {fits.train_mse[degree]:.3g}"
        ax.plot(x, fits.predict(x, degree), linewidth=1, label=f"degree {degree}: {errors}")
    ax.set(xlabel="x", ylabel="y", title=f"Polynomials through {len(x)} measurements, and their MSE")
    ax.legend(fontsize="x-small")
    ax.grid(True, alpha=0.25)
    return ax


def errors_by_degree(fits: PolynomialFits, ax: Axes | None = None) -> Axes:
    """The lecture's figure 2: train and test error by degree, and the corner of the training curve.

    Parameters
    ----------
    fits : PolynomialFits
        The fits; leave-one-out and GCV are drawn as far as they do not dwarf the others.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default pyplot's.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes.

    See Also
    --------
    fits_by_degree, fastlec.regression.fit_polynomials

    Examples
    --------
    >>> from fastlec.course import overfit
    >>> ax = fastlec.plot.errors_by_degree(overfit.experiment().fits)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('degree', 'MSE')
    """
    ax = _axes(ax)
    for name, errors in {"train": fits.train_mse, "test": fits.test_mse, "leave-one-out": fits.loo, "GCV": fits.gcv}.items():
        if errors is not None:
            style = "-" if name in ("train", "test") else ":"
            ax.plot(fits.degrees, np.where(np.isfinite(errors), errors, np.nan), style, label=f"{name} error")
    if fits.corner is not None:
        ax.axvline(fits.corner, color="tab:gray", linestyle="--", label=f"corner: degree {fits.corner}")
    shown = fits.train_mse if fits.test_mse is None else np.maximum(fits.train_mse, fits.test_mse)
    ax.set(xlabel="degree", ylabel="MSE", title="L-shaped curves: error by degree", ylim=(0, 1.05 * shown.max()))
    ax.legend()
    ax.grid(True, alpha=0.25)
    return ax


def oracle_errors(rows: Sequence[OracleError], ax: Axes | None = None) -> Axes:
    """Error of least squares with the true functions over the number of samples, log-log.

    Parameters
    ----------
    rows : sequence
        What ``fastlec.course.overfit.oracle_errors`` gives.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default pyplot's.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes.

    See Also
    --------
    fastlec.regression.oracle

    Examples
    --------
    >>> from fastlec.course import overfit
    >>> ax = fastlec.plot.oracle_errors(overfit.oracle_errors((0.1, 0.05)))
    >>> ax.get_xscale(), ax.get_yscale()
    ('log', 'log')
    """
    ax = _axes(ax)
    samples = np.array([row.samples for row in rows])
    mean = np.array([row.mean_mse for row in rows])
    ax.loglog(samples, [row.mse for row in rows], ".", label="one sample")
    ax.loglog(samples, mean, "o-", label="mean of 100")
    ax.loglog(samples, mean[-1] * samples[-1] / samples, "--", color="tab:gray", label="1 / samples")
    ax.set(xlabel="samples", ylabel="MSE", title="The oracle: error by number of samples")
    _readable(ax.xaxis, ax.yaxis)
    ax.legend()
    ax.grid(True, which="both", alpha=0.25)
    return ax


def l_curve(path: RegularizationPath, corner: Corner | None = None, ax: Axes | None = None) -> Axes:
    """L-curve: the norm of the solution over that of the residual for all amounts of regularization, log-log.

    Parameters
    ----------
    path : RegularizationPath
        The solutions.
    corner : Corner, optional
        What ``fastlec.regression.l_curve_corner`` gives.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default pyplot's.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes.

    See Also
    --------
    fastlec.regression.l_curve_corner, fastlec.regression.ridge_path

    Examples
    --------
    >>> from fastlec.course import overfit
    >>> found = overfit.experiment()
    >>> fastlec.plot.l_curve(found.path, found.corner).get_title()
    'L-curve of ridge'
    """
    ax = _axes(ax)
    ax.loglog(path.residual_norms, path.solution_norms, ".-", markersize=3)
    if corner is not None:
        label = f"corner: {corner.parameter:.2g}"
        ax.loglog(corner.residual_norm, corner.solution_norm, "o", color="tab:red", label=label)
        ax.legend()
    ax.set(xlabel="norm of the residual", ylabel="norm of the solution", title=f"L-curve of {path.kind}")
    _readable(ax.xaxis, ax.yaxis)
    ax.grid(True, which="both", alpha=0.25)
    return ax


def overfit_report(
    path: str | os.PathLike[str], experiment: Experiment, degrees: Sequence[int], rows: Sequence[OracleError]
) -> None:
    """:func:`fits_by_degree`, :func:`errors_by_degree`, :func:`oracle_errors` and :func:`l_curve`: one picture at ``path``."""
    figure = new_figure(12, 9)
    axes = figure.subplots(2, 2)
    fits_by_degree(experiment, degrees, axes[0, 0])
    errors_by_degree(experiment.fits, axes[0, 1])
    oracle_errors(rows, axes[1, 0])
    l_curve(experiment.path, experiment.corner, axes[1, 1])
    save(figure, path)


def training_report(
    path: str | os.PathLike[str],
    history: History,
    model: Any,
    counts: ArrayLike,
    title: str = "Weights of each class",
    maps: Mapping[str, ArrayLike] | None = None,
    *,
    data: str = "validation",
    smoothing: float = 0.0,
) -> None:
    """Loss curves, confusion matrix and, where samples are images, the weights as images, so titled: one picture at ``path``.

    model : has W (rows, n), image_shape, or None for it, and preprocessing, which has the classes.  maps : those of
    :func:`feature_maps`, drawn below the :func:`filters` of model.W, then (k, c, r, s); or None.  data : of
    :func:`confusion_matrix`.  smoothing : of the labels that the losses are against, which their axis names.
    """
    heights = {"loss": 4.2}
    if maps is not None:
        rows = {"filters": -(-min(len(model.W), MOST_IMAGES) // TILES), "maps": min(len(maps), LAYERS)}
        heights |= {name: 0.4 + 0.65 * count for name, count in rows.items()}
    elif model.image_shape is not None:
        heights["weights"] = 3.8
    figure = new_figure(11, sum(heights.values()))
    panels = [[name, "confusion" if name == "loss" else name] for name in heights]
    axes = figure.subplot_mosaic(panels, height_ratios=list(heights.values()))
    loss_curves(history, axes["loss"])
    if smoothing:
        axes["loss"].set_ylabel(f"loss, labels smoothed by {smoothing:g}")
    classes = model.preprocessing.classes
    confusion_matrix(counts, axes["confusion"], classes=classes, data=data)
    if "weights" in axes:
        of_classes = classes is not None and len(classes) == len(model.W)
        weight_images(model.W, model.image_shape, axes["weights"], title, classes if of_classes else None)
    if maps is not None:
        filters(model.W, axes["filters"])
        feature_maps(maps, axes["maps"])
    save(figure, path)


def derivative_report(path: str | os.PathLike[str], results: Iterable[tuple[str, object]]) -> None:
    """:func:`derivative_tests` of (name, result) pairs, one panel for each precision: one picture at ``path``."""
    panels = {}
    for name, result in results:
        parts = getattr(result, "results", (result,))  # a layer's result is made of those of its variables
        panels.setdefault(str(result.dtype), []).extend((name, part) for part in parts)
    figure = new_figure(6.4 * max(len(panels), 1), 5.5)
    for ax, (dtype, some) in zip(figure.subplots(1, max(len(panels), 1), squeeze=False)[0], panels.items(), strict=False):
        derivative_tests(some, ax)
        ax.set_title(f"{ax.get_title()}, {dtype}")
    save(figure, path)


def _tile_axes(ax, n_rows, title):
    """Axes of squares of side 1, TILES in a row, and nothing else."""
    ax = _axes(ax)
    ax.set(xlim=(0, TILES), ylim=(n_rows, 0), xticks=[], yticks=[], aspect="equal", title=title)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


def _tiles(ax, row, images, cmap, low, high):
    """Images (k, h, w), each in its square, from the left end of that row on."""
    height, width = TILE * np.array(images.shape[1:]) / max(images.shape[1:])
    for i, image in enumerate(images):
        y, x = row + i // TILES, i % TILES
        ax.imshow(image, cmap=cmap, vmin=low, vmax=high, extent=(x, x + width, y + height, y), aspect="equal")


def _strongest(W):
    """The rows of W, or of more than MOST_IMAGES those of the largest norm, from the largest on."""
    if len(W) <= MOST_IMAGES:
        return np.arange(len(W))
    norms = np.linalg.norm(W.reshape(len(W), -1), axis=1)
    return np.argsort(-norms, kind="stable")[:MOST_IMAGES]


def _how_many(rows, W):
    return f": the {len(rows)} of largest norm, of {len(W)}" if len(rows) < len(W) else ""


def _in_own_range(images):
    """Images (k, h, w) from -1 to 1, each by its own largest magnitude."""
    top = np.abs(images).max(axis=(1, 2), keepdims=True)
    return images / np.where(top > 0, top, 1)


def _number(ax, x, y, number):
    """The number of an image, in its upper left corner."""
    paper = {"facecolor": "white", "alpha": 0.6, "linewidth": 0, "pad": 0.8}
    ax.text(x, y, f"{number}", va="top", ha="left", fontsize="x-small", bbox=paper, parse_math=False)


def _colour_key(ax, image):
    """What the colours of images in their own ranges mean, beside them."""
    key = ax.get_figure().colorbar(image, ax=ax, ticks=[-1, 0, 1], fraction=0.05, aspect=12, pad=0.01)
    key.ax.set_yticklabels(["-max", "0", "max"], fontsize="small")
    key.set_label("of each image", fontsize="small")


def _spread(values):
    """At most MOST_NAMES // 2 of the values, the first and the last among them."""
    places = np.linspace(0, len(values) - 1, min(len(values), MOST_NAMES // 2))
    return [values[round(place)] for place in places]


def _readable(*axes):
    """Ticks of logarithmic axes, on which everything is drawn, as plain numbers where they span at most three powers of ten."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    for axis in axes:
        low, high = axis.get_view_interval()
        axis.set_minor_formatter(NullFormatter())
        if high < 1000 * low:
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > 5 * low else MaxNLocator(6, steps=[1, 2, 5, 10]))
            axis.set_major_formatter(lambda value, _: f"{value:g}")


def _limits(X):
    """The lowest and the highest corner of a picture with all points and a margin. ValueError where that is too large."""
    low, high = X.min(axis=0), X.max(axis=0)
    with np.errstate(over="ignore"):
        margin = 0.05 * np.where(high > low, high - low, np.maximum(np.abs(high), 1))
        low, high = low - margin, high + margin
        if not (np.abs([low, high]) < MOST_COORDINATE).all():
            raise ValueError(f"X has values from {X.min():g} to {X.max():g}; expected values that a picture has room for")
    return low, high


def _colors(count):
    """As many colours (count, 3)."""
    from matplotlib import colormaps

    if count <= 10:
        return np.array(colormaps["tab10"].colors[:count])
    return colormaps["turbo"](np.linspace(0.05, 0.95, count))[:, :3]


def _axes(ax):
    """ax, or for None pyplot's current Axes if these are empty, or those of a new figure. TypeError for what is no Axes."""
    if ax is None:
        try:
            import matplotlib.pyplot as pyplot
        except ImportError as error:
            raise ImportError(_MISSING) from error
        if pyplot.get_fignums() and not pyplot.gca().has_data():
            return pyplot.gca()
        return pyplot.figure(layout="constrained").add_subplot()
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        raise TypeError(f"ax is a {type(ax).__name__}; expected the Axes of a matplotlib figure, or None")
    return ax
