"""A program that uses the whole library. `test_types.py` runs it, and lets mypy and pyright read it; both must find no fault.

`assert_type` says what a result must be known as; the other lines show that what users write is allowed.
"""

import tempfile
from pathlib import Path
from typing import Any, assert_type

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

import fastlec
from fastlec import curvature, data, datasets, filters, io, preprocessing, reference, regression, testing, training
from fastlec.sklearn import KMeans, NetClassifier, RobustRegressor, SoftmaxClassifier

Single = NDArray[np.float32]
Double = NDArray[np.float64]


def functions(rng: np.random.Generator) -> None:
    x = rng.standard_normal((6, 4))
    single = x.astype(np.float32)
    assert_type(fastlec.softmax(x), Double)
    assert_type(fastlec.softmax(single, axis=0), Single)
    assert_type(fastlec.log_softmax(single), Single)
    assert_type(fastlec.tanh(single), Single)
    assert_type(fastlec.gelu(x, approximate="tanh"), Double)
    assert_type(fastlec.relu(x, out=np.empty_like(x)), Double)
    value, slope = fastlec.value_and_derivative(single, "silu")
    assert_type(value, Single)
    assert_type(slope, Single)
    loss, gradient = fastlec.softmax_cross_entropy(x, [0, 1, 2, 3, 0, 1])
    assert_type(gradient, Double)
    assert_type(fastlec.matmul(single, single.T), Single)
    images, kernels = rng.standard_normal((2, 3, 8, 8)), rng.standard_normal((4, 3, 3, 3))
    y = fastlec.conv2d(images, kernels, padding="same", stride=1)
    assert_type(y, Double)
    back = fastlec.conv2d_jac_tmv(y, images, kernels, padding=1, wrt=("x", "W"))
    assert_type(back["W"], Double)
    assert_type(fastlec.im2col(images, 3), Double)
    image = rng.standard_normal((8, 8))
    blurred = fastlec.filter2d(image, filters.gaussian(5, 1.0), mode="reflect")
    assert_type(blurred, Double)
    assert_type(reference.softmax([[1, 2, 3]]), Double)
    fastlec.set_num_threads(fastlec.get_num_threads())
    print(fastlec.isa().upper(), float(loss), blurred.shape)


def objectives(rng: np.random.Generator) -> None:
    X, y = data.load_digits()
    softmax = fastlec.SoftmaxObjective(X[:200], y[:200], l2=1e-2)
    found = scipy.optimize.minimize(
        softmax.value_and_gradient, np.zeros(softmax.n_params), jac=True, hessp=softmax.hessian_mv, method="Newton-CG"
    )
    print(float(softmax.value(found.x)), softmax.predict_proba(found.x, X).shape)
    theta, message = training.minimize_scipy(softmax, np.zeros(softmax.n_params), "lbfgs", max_iter=5)
    print(theta.size, message.upper())

    net = fastlec.Network([fastlec.Dense(2, 8, "tanh", rng=0), fastlec.Dense(8, 1, "identity", rng=1)])
    points, values = datasets.make_peaks(64)
    objective = fastlec.Objective(net, fastlec.MeanSquaredError(), points, values, l2=1e-4)
    start = objective.net.theta
    assert_type(objective.n_params, int)
    steps = scipy.optimize.minimize(objective.value_and_gradient, start, jac=True, method="L-BFGS-B", options={"maxiter": 5})
    result = fastlec.gauss_newton(objective, steps.x, max_iter=5)
    print(result.cost, result.x.shape, result.message)
    print(objective.gauss_newton_mv(start, start).shape, objective.hessian_operator(start).shape)

    def residual(theta: Double) -> Double:
        return np.asarray(np.exp(-theta[0] * np.arange(5.0)) - 0.5, np.float64)

    def jac(theta: Double) -> Double:
        return np.asarray(-np.arange(5.0) * np.exp(-theta[0] * np.arange(5.0)), np.float64)[:, None]

    print(fastlec.robust_fit(residual, jac, np.ones(1), loss="cauchy").x)
    print(fastlec.robust_lstsq(rng.standard_normal((20, 2)), rng.standard_normal(20), loss="tukey").weights.sum())


def layers(rng: np.random.Generator) -> None:
    dense = fastlec.Dense(4, 3, "relu", dtype=np.float32, rng=0)
    x = rng.standard_normal((5, 4)).astype(np.float32)
    y, jacobian = dense.linearize(x)
    transposed = jacobian.tmv(jacobian.mv(x=x))
    print(y.shape, transposed["W"].shape, dense.jac_tmv(x, y)["b"].shape, dense.params["W"].dtype)
    image_net = fastlec.Network(
        [
            fastlec.Conv2d(1, 4, 3, "relu", padding="same", rng=0),
            fastlec.MaxPool2d(2),
            fastlec.Sum([fastlec.Activation("identity"), fastlec.Conv2d(4, 4, 1, rng=1)]),
            fastlec.BatchNorm2d(4),
            fastlec.GlobalAvgPool2d(),
            fastlec.Dropout(0.1, rng=2),
            fastlec.Dense(4, 10, "identity", rng=3),
        ]
    )
    images = rng.standard_normal((3, 1, 8, 8))
    print(image_net.predict(images).shape, image_net.n_params, image_net.output_shape((1, 8, 8)), str(image_net.summary()))
    image_net.theta = image_net.theta * 0.5
    assert testing.check_layer(fastlec.Dense(4, 3, rng=0), x.astype(np.float64)).passed
    assert testing.gradient_test(lambda v: float(np.sum(v**2)), lambda v: 2 * v, np.arange(3.0)).passed


def train(folder: Path) -> None:
    X, y = datasets.make_spirals(200, 3, rng=0)
    kept, held_out = data.split(y, fraction=0.25)
    net = fastlec.Network([fastlec.Dense(2, 16, "tanh", rng=0), fastlec.Dense(16, 3, "identity", rng=1)])

    def show(progress: training.Progress) -> bool:
        return progress.epoch > 3

    history = fastlec.fit(
        net,
        X[kept],
        y[kept],
        loss=fastlec.SoftmaxCrossEntropy(),
        optimizer=fastlec.Adam(fastlec.CosineDecay(1e-2, steps=40)),
        batch_size=16,
        epochs=5,
        validation=(X[held_out], y[held_out]),
        callbacks=[show],
        early_stopping=fastlec.EarlyStopping(patience=3),
    )
    print(history.train_loss[-1], net.predict(X).mean(), net.predict_proba(X).shape)
    step = fastlec.training_step(net, fastlec.SoftmaxCrossEntropy(), fastlec.SGD(0.1, momentum=0.9), 16)
    print(float(step(X[:16], y[:16])))
    net.save(folder / "net.npz")
    again = fastlec.Network.load(folder / "net.npz")
    assert_type(again, fastlec.Network)
    io.save_arrays(folder / "arrays.npz", {"X": X}, {"kind": "points"})
    own = preprocessing.Preprocessing(scale=16.0)
    print(own.features(X, np.float64).shape)


def more(rng: np.random.Generator, folder: Path) -> None:
    x = np.linspace(0, 1, 30)
    sample = regression.generate_true_model(x, rng=0)
    fits = regression.fit_polynomials(x, sample.y_noisy, range(1, 6), kind="chebyshev")
    path = regression.ridge_path(regression.polynomial_basis(x, 12), sample.y_noisy)
    print(fits.train_mse, path.loo.argmin(), regression.l_curve_corner([9.0, 4.0, 2.0, 1.9, 1.8], [1.0, 1.1, 1.2, 5.0, 25.0]))
    A = rng.standard_normal((8, 8))
    print(curvature.hutchinson_trace(A @ A.T, 16, rng=0), curvature.extreme_eigenvalues(A @ A.T))
    clusters = fastlec.kmeans(rng.standard_normal((50, 2)), 3, rng=0)
    print(clusters.centers.shape, clusters.inertia)

    X, y = data.load_digits()
    model = SoftmaxClassifier(C=0.1, max_iter=20).fit(X[:200], y[:200])
    assert_type(model, SoftmaxClassifier)
    assert_type(model.coef_, NDArray[np.floating[Any]])
    net = NetClassifier((16,), epochs=2, random_state=0).fit(X[:200], y[:200])
    print(net.predict_proba(X[:5]).sum(axis=1), KMeans(3, random_state=0).fit(X[:100]).inertia_)
    print(RobustRegressor().fit(X[:50, :3], X[:50, 3]).coef_)
    model.save(folder / "model.npz")
    print(SoftmaxClassifier.load(folder / "model.npz").classes_)


if __name__ == "__main__":
    generator = np.random.default_rng(0)
    functions(generator)
    objectives(generator)
    layers(generator)
    with tempfile.TemporaryDirectory() as name:
        train(Path(name))
        more(generator, Path(name))
