"""SoftmaxObjective and LogisticObjective: against fastlec.reference, by derivative tests, and to the optimum with SciPy."""

import copy
import pickle

import cases
import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize

import fastlec
from fastlec import LogisticObjective, SoftmaxObjective, reference
from fastlec._kernels.linear import Problem
from fastlec.testing import gradient_test, jacobian_test, transpose_test

FORMS = {
    "plain": {},
    "no bias": {"fit_bias": False},
    "l2": {"l2": 0.3},
    "reduced": {"reduced": True},
    "all": {"reduced": True, "l2": 0.1, "weighted": True},
    "weighted": {"weighted": True, "fit_bias": False},
}
forms = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
two_forms = pytest.mark.parametrize("form", [FORMS["plain"], FORMS["all"]], ids=["plain", "all"])
LOGISTIC = {name: FORMS[name] for name in ("plain", "no bias", "l2", "weighted")}


def data(rng, m, n, n_classes, dtype):
    """X, y with every class that fits, theta of both forms' scale."""
    X = rng.standard_normal((m, n)).astype(dtype)
    y = rng.integers(0, n_classes, m)
    y[: min(m, n_classes)] = np.arange(n_classes)[::-1][:m]
    return X, y


def options_of(form, rng, m):
    options = {key: value for key, value in form.items() if key != "weighted"}
    if form.get("weighted"):
        options["sample_weight"] = rng.integers(0, 3, m) + (np.arange(m) == 0)
    return options


def parameters(rng, f):
    return (rng.standard_normal(f.n_params) / np.sqrt(f.n_features)).astype(f.dtype)


class Expected:
    """The reference's answers for an objective, and how far others may be from them.

    Each logit z_ic is off by some eps |x_i| |w_c| summed over the features; what is made of the logits follows.
    """

    def __init__(self, theta, X, y, n_classes, options, tolerance):
        self.arguments, self.X = (theta, X, y, n_classes), X.astype(np.float64)
        self.options, self.theta = options, theta.astype(np.float64)
        free, n = n_classes - bool(options.get("reduced")), X.shape[1]
        W = np.abs(self.theta[: free * n]).reshape(free, n)
        b = np.abs(self.theta[free * n :]) if options.get("fit_bias", True) else 0
        self.z_error = tolerance("linear", X.dtype) * (1 + (np.abs(self.X) @ W.T + b).max(axis=1))
        w = np.asarray(options.get("sample_weight", np.ones(len(X))), np.float64)
        self.w = w / w.sum()
        self.W, self.l2 = W, options.get("l2", 0.0)

    def of(self, name, *middle):
        theta, X, y, n_classes = self.arguments
        function = getattr(reference, f"softmax_regression_{name}")
        return function(theta, *middle, X, y, n_classes, **self.options)

    def check_value(self, value):
        expected = self.of("value")
        assert abs(value - expected) <= self.w @ self.z_error + np.finfo(self.X.dtype).eps * expected

    def sum_error(self, scale=1.0):
        """Of sum_i w_i r_i x_i with residuals that are off by the error of the logits, or by scale times that."""
        x = np.concatenate([np.abs(self.X), np.ones((len(self.X), 1))], axis=1)
        return (self.w * self.z_error * scale) @ x

    def check_gradient(self, gradient):
        self._check_flat(gradient, self.of("gradient"), self.sum_error())

    def check_hessian_mv(self, product, v):
        V = np.abs(v[: self.W.size].astype(np.float64)).reshape(self.W.shape)
        vb = np.abs(v[self.W.size :]).max(initial=0)
        scale = 1 + (np.abs(self.X) @ V.T).max(axis=1) + vb
        self._check_flat(product, self.of("hessian_mv", v), self.sum_error(scale))

    def _check_flat(self, given, expected, error):
        n = self.X.shape[1]
        flat = np.concatenate([np.tile(error[:n], len(self.W)), np.full(given.size - self.W.size, error[n])])
        penalty = np.finfo(np.float32).eps * self.l2 * np.abs(self.theta[: given.size]) * (given.dtype == np.float32)
        assert given.shape == expected.shape
        assert (np.abs(given - expected) <= flat + penalty + 1e-300).all()

    def check_data_gradient(self, gradient):
        expected = self.of("data_gradient")
        error = (self.w * self.z_error)[:, None] * self.W.sum(axis=0)
        assert gradient.shape == expected.shape
        assert (np.abs(gradient - expected) <= error).all()

    def check_probabilities(self, p):
        theta, X, _, n_classes = self.arguments
        form = {key: self.options[key] for key in ("fit_bias", "reduced") if key in self.options}
        expected = reference.softmax_regression_predict_proba(theta, X, n_classes, **form)
        assert p.shape == expected.shape
        assert (np.abs(p - expected) <= self.z_error[:, None]).all()


def check_everything(f, theta, v, expected):
    value, gradient = f.value_and_gradient(theta)
    assert type(value) is float
    assert f.value(theta) == value
    assert_array_equal(f.gradient(theta), gradient)
    expected.check_value(value)
    expected.check_gradient(gradient)
    expected.check_hessian_mv(f.hessian_mv(theta, v), v)
    expected.check_data_gradient(f.data_gradient(theta))
    expected.check_probabilities(f.predict_proba(theta))


# --- against the reference -------------------------------------------------------------------------------------------


@two_forms
@cases.parametrize("shape", cases.LINEAR)
def test_softmax_agrees_with_the_reference(shape, form, isa, dtype, rng, frozen, tolerance):
    m, n, n_classes = shape
    X, y = frozen(*data(rng, m, n, n_classes, dtype))
    options = options_of(form, rng, m)
    f = SoftmaxObjective(X, y, n_classes, **options)
    theta, v = frozen(parameters(rng, f), parameters(rng, f))
    assert (f.n_samples, f.n_features, f.n_classes, f.dtype) == (m, n, n_classes, dtype)
    assert f.n_params == (n_classes - f.reduced) * (n + f.fit_bias)
    check_everything(f, theta, v, Expected(theta, X, y, n_classes, options, tolerance))


@two_forms
@cases.parametrize("shape", cases.LINEAR_TEAM)
def test_teams_agree_bit_by_bit(shape, form, isa, dtype, rng, tolerance, alone):
    m, n, n_classes = shape
    X, y = data(rng, m, n, n_classes, dtype)
    options = options_of(form, rng, m)
    f = SoftmaxObjective(X, y, n_classes, **options)
    theta, v = parameters(rng, f), parameters(rng, f)
    check_everything(f, theta, v, Expected(theta, X, y, n_classes, options, tolerance))

    def results():
        return *f.value_and_gradient(theta), f.hessian_mv(theta, v), f.data_gradient(theta), f.predict_proba(theta)

    team = results()
    with alone():
        single = results()
    for a, b in zip(team, single, strict=True):
        assert_array_equal(a, b)


@pytest.mark.parametrize("form", LOGISTIC.values(), ids=LOGISTIC)
@pytest.mark.parametrize("m", [1, 3, 63, 64, 65, 300])
@pytest.mark.parametrize("n", [1, 2, 16, 17, 50])
def test_logistic_agrees_with_the_reference(m, n, form, isa, dtype, rng, frozen):
    X, y = frozen(*data(rng, m, n, 2, dtype))
    options = options_of(form, rng, m)
    f = LogisticObjective(X, y, **options)
    theta, v = frozen(parameters(rng, f), parameters(rng, f))
    assert f.n_params == n + f.fit_bias
    close = {"rtol": 0, "atol": 8 * np.finfo(dtype).eps * (1 + np.abs(X).max()) ** 2 * np.sqrt(n) * 4}
    value, gradient = f.value_and_gradient(theta)
    assert_allclose(value, reference.logistic_regression_value(theta, X, y, **options), **close)
    assert_allclose(gradient, reference.logistic_regression_gradient(theta, X, y, **options), **close)
    assert_allclose(f.hessian(theta), reference.logistic_regression_hessian(theta, X, y, **options), **close)
    assert_allclose(f.hessian_mv(theta, v), reference.logistic_regression_hessian_mv(theta, v, X, y, **options), **close)
    assert_allclose(f.data_gradient(theta), reference.logistic_regression_data_gradient(theta, X, y, **options), **close)
    p = reference.logistic_regression_predict_proba(theta, X)
    assert_allclose(f.predict_proba(theta), p, **close)
    clear = np.abs(p - 0.5) > 1e-4
    assert_array_equal(f.predict(theta)[clear], (p > 0.5)[clear])


@forms
@pytest.mark.parametrize("shape", [(5, 1, 2), (40, 3, 2), (70, 7, 4), (33, 4, 11)])
def test_hessian(shape, form, isa, dtype, rng):
    """The reference's, the products with every unit vector, symmetric; the same as an operator."""
    m, n, n_classes = shape
    X, y = data(rng, m, n, n_classes, dtype)
    options = options_of(form, rng, m)
    f = SoftmaxObjective(X, y, n_classes, **options)
    theta = parameters(rng, f)
    H = f.hessian(theta)
    assert H.dtype == dtype
    bound = 16 * np.finfo(dtype).eps * max(np.abs(X).max() ** 2, 1)
    assert_allclose(H, reference.softmax_regression_hessian(theta, X, y, n_classes, **options), rtol=0, atol=bound)
    assert_allclose(H, [f.hessian_mv(theta, e) for e in np.eye(f.n_params, dtype=dtype)], rtol=0, atol=bound)
    assert_allclose(H, H.T, rtol=0, atol=bound)
    operator = f.hessian_operator(theta)
    v = parameters(rng, f)
    assert operator.shape == H.shape
    assert operator.dtype == dtype
    assert_array_equal(operator @ v, f.hessian_mv(theta, v))
    assert_array_equal(operator.T @ v, operator @ v)


def test_the_operator_keeps_its_own_theta(rng):
    X, y = data(rng, 30, 4, 3, np.float64)
    f = SoftmaxObjective(X, y)
    theta, v = parameters(rng, f), parameters(rng, f)
    operator = f.hessian_operator(theta)
    before = operator @ v
    theta[:] = 7
    assert_array_equal(operator @ v, before)


def test_hessian_of_many_samples(isa, dtype, rng, monkeypatch):
    """Summed over several blocks of samples."""
    X, y = data(rng, 5000, 1000, 2, dtype)
    f = SoftmaxObjective(X, y, reduced=True)
    theta, v = parameters(rng, f) / 4, parameters(rng, f)
    product = f.hessian_mv(theta, v)
    assert_allclose(f.hessian(theta) @ v, product, rtol=0, atol=300 * np.finfo(dtype).eps * np.abs(product).max())


@forms
def test_batches(form, isa, dtype, rng):
    """An index array or a slice: the same as an objective of those samples alone."""
    X, y = data(rng, 200, 6, 3, dtype)
    options = options_of(form, rng, 200)
    f = SoftmaxObjective(X, y, 3, **options)
    theta = parameters(rng, f)
    mask = rng.random(200) < 0.3
    for batch in (slice(10, 80), slice(None, None, -3), rng.permutation(200)[:50], [3, 3, -1, 0], mask, np.arange(1)):
        rows = np.arange(200)[batch]
        alone = dict(options)
        if "sample_weight" in alone:
            alone["sample_weight"] = alone["sample_weight"][rows]
        g = SoftmaxObjective(np.ascontiguousarray(X[rows]), y[rows], 3, **alone)
        value, gradient = f.value_and_gradient(theta, batch)
        assert f.value(theta, batch) == value
        assert_array_equal(f.gradient(theta, batch), gradient)
        assert_allclose(value, g.value(theta), rtol=4 * np.finfo(dtype).eps)
        assert_allclose(gradient, g.gradient(theta), rtol=0, atol=4 * np.finfo(dtype).eps)


# --- data in any form ------------------------------------------------------------------------------------------------


@cases.layouts
def test_any_layout(layout, isa, dtype, rng):
    """Rows apart, backwards, in Fortran's order, of the other byte order, misaligned, in a read-only file: the same bits."""
    X, y = data(rng, 150, 9, 4, dtype)
    weight = rng.random(150)
    f = SoftmaxObjective(X, y, sample_weight=weight)
    theta, v = parameters(rng, f), parameters(rng, f)
    g = SoftmaxObjective(layout(X), layout(y), sample_weight=layout(weight))
    assert g.value(layout(theta)) == f.value(theta)
    assert_array_equal(g.gradient(layout(theta)), f.gradient(theta))
    assert_array_equal(g.hessian_mv(layout(theta), layout(v)), f.hessian_mv(theta, v))
    assert_array_equal(g.data_gradient(theta), f.data_gradient(theta))
    assert_array_equal(f.predict_proba(theta, layout(X)), f.predict_proba(theta))


def test_rows_in_place(isa, dtype, rng):
    """Contiguous rows are read where they are, not copied: whatever their distance, in a memmap too."""
    memory = rng.standard_normal((100, 12)).astype(dtype)
    y = rng.integers(0, 3, 100)
    for X in (
        memory,
        memory[:, :7],
        memory[::-1, 2:9],
        memory[::3],
        np.broadcast_to(memory[0], (100, 12)),
        cases.mapped(memory),
    ):
        f = SoftmaxObjective(X, y[: len(X)], 3)
        theta = np.ones(f.n_params, dtype)
        assert np.shares_memory(f._problem.X, X)
        copied = SoftmaxObjective(np.array(X), y[: len(X)], 3)
        assert_array_equal(f.gradient(theta), copied.gradient(theta))


@pytest.mark.parametrize("kind", [np.float16, np.int8, np.uint64, np.bool_])
def test_other_dtypes_of_data(kind, isa, rng):
    X = rng.integers(0, 2, (80, 5)).astype(kind)
    y = rng.integers(0, 3, 80).astype(np.uint8)
    dtype = np.float32 if kind is np.float16 else np.float64
    f, g = SoftmaxObjective(X, y), SoftmaxObjective(X.astype(dtype), y)
    theta = parameters(rng, f)
    assert f.dtype == dtype
    assert_array_equal(f.gradient(theta), g.gradient(theta))
    assert_array_equal(f.predict_proba(theta, X), g.predict_proba(theta))


def test_the_dtype_of_theta_is_the_dtype_of_the_answer(isa, rng):
    X, y = data(rng, 50, 6, 3, np.float64)
    for dtype in (np.float32, np.float64):
        f = SoftmaxObjective(X.astype(dtype), y)
        theta = rng.integers(-1, 2, f.n_params)
        for of_theta, answer in (("f2", "f4"), ("f4", "f4"), ("f8", "f8"), ("i8", "f8")):
            t = theta.astype(of_theta)
            assert f.gradient(t).dtype == answer
            assert f.hessian(t).dtype == answer
            assert f.hessian_mv(t, t).dtype == answer
            assert_allclose(f.gradient(t), f.gradient(theta.astype(dtype)), rtol=1e-6)
            assert f.data_gradient(t).dtype == dtype
            assert f.predict_proba(t).dtype == dtype


def test_answers_are_fresh(isa, dtype, rng):
    """No later call changes an earlier answer."""
    X, y = data(rng, 600, 40, 5, dtype)
    f = SoftmaxObjective(X, y)
    theta, other = parameters(rng, f), parameters(rng, f)

    def answers(t):
        return f.gradient(t), f.hessian_mv(t, t), f.data_gradient(t), f.predict_proba(t)

    first = answers(theta)
    copies = [a.copy() for a in first]
    answers(other)
    for answer, kept in zip(first, copies, strict=True):
        assert_array_equal(answer, kept)


def test_unpack(rng):
    X, y = data(rng, 20, 4, 3, np.float32)
    f = SoftmaxObjective(X, y)
    theta = parameters(rng, f)
    parts = f.unpack(theta)
    assert_array_equal(parts["W"], theta[:12].reshape(3, 4))
    assert_array_equal(parts["b"], theta[12:])
    assert np.shares_memory(parts["W"], theta)
    assert np.shares_memory(parts["b"], theta)
    assert list(SoftmaxObjective(X, y, fit_bias=False, reduced=True).unpack(theta[:8])) == ["W"]


def test_classes_by_default(rng):
    X = rng.standard_normal((6, 2))
    assert SoftmaxObjective(X, [0, 4, 1, 1, 0, 0]).n_classes == 5
    assert SoftmaxObjective(X, np.zeros(6, int)).n_classes == 2
    assert SoftmaxObjective(X, np.zeros(6, int), 7).n_classes == 7


def test_logistic_is_softmax_of_two_classes(isa, dtype, rng):
    X, y = data(rng, 90, 7, 2, dtype)
    f, g = LogisticObjective(X, y, l2=0.1), SoftmaxObjective(X, 1 - y, l2=0.1, reduced=True)
    theta = parameters(rng, f)
    assert f.value(theta) == g.value(theta)
    assert_array_equal(f.gradient(theta), g.gradient(theta))
    assert_array_equal(LogisticObjective(X, y.astype(bool), l2=0.1).gradient(theta), f.gradient(theta))


def test_huge_logits(isa, dtype, rng):
    """exp of them overflows; value and gradient are those of the certain classes."""
    X, y = np.eye(3, dtype=dtype).repeat(30, axis=0), np.arange(3).repeat(30)
    f = SoftmaxObjective(X, y, fit_bias=False)
    right = (1e5 * np.eye(3)).ravel().astype(dtype)
    assert f.value(right) == 0
    assert not f.gradient(right).any()
    assert_allclose(f.value(-right), 1e5 + np.log(2), rtol=2 * np.finfo(dtype).eps)
    assert_array_equal(f.predict(right), y)


@pytest.mark.parametrize("power", [-1000, -160, 160, 1000])
def test_only_the_ratios_of_weights_count(power, isa, dtype, rng):
    X, y = data(rng, 90, 7, 3, dtype)
    weight = rng.integers(1, 9, 90).astype(float)
    f = SoftmaxObjective(X, y, l2=0.1, sample_weight=weight)
    g = SoftmaxObjective(X, y, l2=0.1, sample_weight=np.ldexp(weight, power))
    theta = parameters(rng, f)
    assert g.value(theta) == f.value(theta)
    assert_array_equal(g.gradient(theta), f.gradient(theta))
    assert_array_equal(g.hessian(theta), f.hessian(theta))


def test_zero_weight_leaves_a_sample_out(isa, dtype, rng):
    X, y = data(rng, 150, 7, 3, dtype)
    weight = (rng.random(150) < 0.6).astype(float)
    f = SoftmaxObjective(X, y, 3, l2=0.1, sample_weight=weight)
    g = SoftmaxObjective(X[weight > 0], y[weight > 0], 3, l2=0.1)
    theta = parameters(rng, f)
    assert_allclose(f.value(theta), g.value(theta), rtol=4 * np.finfo(dtype).eps)
    assert_allclose(f.gradient(theta), g.gradient(theta), rtol=0, atol=4 * np.finfo(dtype).eps)


# --- whose memory ----------------------------------------------------------------------------------------------------


def test_labels_and_weights_are_its_own(isa, dtype, rng):
    X, y = data(rng, 150, 9, 4, dtype)
    weight = rng.random(150)
    for objective in (SoftmaxObjective, LogisticObjective):
        y %= 2 if objective is LogisticObjective else 4
        f = objective(X, y, sample_weight=weight)
        theta = parameters(rng, f)
        value, gradient = f.value_and_gradient(theta)
        kept = y.copy(), weight.copy()
        y[:], weight[:] = 10**9, np.nan
        assert f.value(theta) == value
        assert_array_equal(f.gradient(theta), gradient)
        assert_array_equal(f.y, kept[0])
        y[:], weight[:] = kept


def test_a_change_of_X_counts(rng):
    X, y = data(rng, 20, 3, 3, np.float64)
    f = SoftmaxObjective(X, y)
    X *= 2
    theta = parameters(rng, f)
    assert f.value(theta) == SoftmaxObjective(X, y).value(theta)
    assert np.shares_memory(f.X, X)


class Tagged(SoftmaxObjective):
    """A user's class, with something of its own."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.tag = ["kept"]


def out_of_band(f):
    """Through buffers that are not aligned and belong to somebody who clears them, but for those of X."""
    buffers = []
    text = pickle.dumps(f, protocol=5, buffer_callback=buffers.append)
    memory = [bytearray(b" ") + buffer.raw() for buffer in buffers]
    g = pickle.loads(text, buffers=[memoryview(m)[1:] for m in memory])
    for m in memory:
        m[:] = bytes(len(m))
    return g


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"protocol {i}": lambda f, i=i: pickle.loads(pickle.dumps(f, i)) for i in range(pickle.HIGHEST_PROTOCOL + 1)},
    "out of band": out_of_band,
    "twice": lambda f: copy.deepcopy(pickle.loads(pickle.dumps(copy.deepcopy(f)))),
}
VIEWS = {
    "plain": lambda X: X,
    "rows apart": lambda X: X[:, :5],
    "backwards": lambda X: X[::-1],
    "a column": lambda X: X[:, 1:2],
    "every other row": lambda X: X[::2, 3:],
    "one row again and again": lambda X: np.broadcast_to(X[0], X.shape),
    "Fortran's order": np.asfortranarray,
    "read-only": lambda X: np.frombuffer(X.tobytes(), X.dtype).reshape(X.shape),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_copies(copied, view, dtype, rng):
    """Give the same bits, whatever became of strides and alignment on the way, and are of the same class."""
    X = view(rng.standard_normal((90, 12)).astype(dtype))
    y, weight = np.arange(len(X)) % 3, rng.random(len(X))
    for f in (
        SoftmaxObjective(X, y),
        LogisticObjective(X, y % 2, l2=0.1, fit_bias=False),
        Tagged(X, y, 5, reduced=True, l2=0.5, sample_weight=weight),
    ):
        theta, v = parameters(rng, f), parameters(rng, f)
        expected = f.value(theta), f.gradient(theta), f.hessian_mv(theta, v), f.predict_proba(theta)
        g = copied(f)
        assert type(g) is type(f)
        assert (g.n_classes, g.fit_bias, g.reduced, g.l2, g.dtype) == (f.n_classes, f.fit_bias, f.reduced, f.l2, f.dtype)
        if isinstance(f, Tagged):
            assert g.tag == ["kept"]
        for given, right in zip(
            (g.value(theta), g.gradient(theta), g.hessian_mv(theta, v), g.predict_proba(theta)), expected, strict=True
        ):
            assert_array_equal(given, right)


def test_joblib(tmp_path, rng):
    joblib = pytest.importorskip("joblib")
    X, y = data(rng, 60, 8, 3, np.float32)
    f = SoftmaxObjective(X[:, :5], y, sample_weight=rng.random(60))
    theta = parameters(rng, f)
    joblib.dump(f, tmp_path / "f")
    for mode in (None, "r"):
        assert_array_equal(joblib.load(tmp_path / "f", mmap_mode=mode).gradient(theta), f.gradient(theta))


# --- what can be assigned --------------------------------------------------------------------------------------------


def test_l2_can_be_assigned(isa, dtype, rng):
    """And counts in all that is computed from then on; an operator stays the Hessian that it was."""
    X, y = data(rng, 50, 4, 3, dtype)
    f, g = SoftmaxObjective(X, y, l2=0.1), SoftmaxObjective(X, y, l2=2)
    theta, v = parameters(rng, f), parameters(rng, f)
    operator = f.hessian_operator(theta)
    before = operator @ v
    f.l2 = 2
    assert f.value(theta) == g.value(theta)
    assert f.value(theta, [1, 2]) == g.value(theta, [1, 2])
    assert_array_equal(f.gradient(theta), g.gradient(theta))
    assert_array_equal(f.hessian_mv(theta, v), g.hessian_mv(theta, v))
    assert_array_equal(f.hessian(theta), g.hessian(theta))
    assert_array_equal(f.hessian_operator(theta) @ v, g.hessian_operator(theta) @ v)
    assert_array_equal(operator @ v, before)
    assert copy.deepcopy(f).l2 == 2
    for wrong, error in ((-1, ValueError), (np.nan, ValueError), (10**400, ValueError), ("2", TypeError), (None, TypeError)):
        with pytest.raises(error, match=r"^l2 is "):
            f.l2 = wrong
    assert f.l2 == 2


@pytest.mark.parametrize(
    "name",
    ["X", "y", "sample_weight", "n_samples", "n_features", "n_classes", "n_params", "dtype", "fit_bias", "reduced"],
)
@pytest.mark.parametrize("objective", [SoftmaxObjective, LogisticObjective])
def test_nothing_else_can(objective, name, rng):
    X, y = data(rng, 20, 3, 2, np.float64)
    f = objective(X, y, sample_weight=np.ones(20))
    before = getattr(f, name)
    with pytest.raises(AttributeError, match=rf"^{objective.__name__}\.{name} cannot be assigned: make a new objective"):
        setattr(f, name, before)
    with pytest.raises(AttributeError):
        delattr(f, name)
    assert_array_equal(getattr(f, name), before)


def test_what_it_says_of_itself(rng):
    X, y = data(rng, 20, 3, 2, np.float64)
    f = LogisticObjective(X, y, sample_weight=np.full(20, 6))
    assert_array_equal(f.X, X)
    assert_array_equal(f.y, y)
    assert_array_equal(f.sample_weight, np.full(20, 0.75))
    assert SoftmaxObjective(X, y).sample_weight is None
    for own in (f.y, f.sample_weight, SoftmaxObjective(X, y).y):
        with pytest.raises(ValueError, match="read-only"):
            own[0] = 7


# --- NaN and infinity ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 3, 17])
@pytest.mark.parametrize("reduced", [False, True])
def test_no_class_for_a_sample_with_nan(n_classes, reduced, isa, dtype, rng):
    """Wherever it stands: in a vector of features or in the rest, in the last sample of a strip or the first."""
    X, y = data(rng, 70, 19, n_classes, dtype)
    f = SoftmaxObjective(X, y, n_classes, reduced=reduced)
    theta = parameters(rng, f)
    for row, column in ((0, 0), (3, 18), (63, 7), (64, 16), (69, 18)):
        Z = X.copy()
        Z[row, column] = np.nan
        for method in (f.predict, f.predict_proba, SoftmaxObjective(Z, y, n_classes, reduced=reduced).predict):
            with pytest.raises(ValueError, match=rf"^X\[{row}, {column}\] is nan as float\d\d; expected finite numbers"):
                method(theta, *([Z] if method.__self__ is f else []))


def test_no_class_without_a_probability(dtype):
    f = LogisticObjective(np.array([[-1.0], [1.0]], dtype), [0, 1])
    assert_array_equal(f.predict_proba([5.0, 3.0], [[-np.inf]]), [0])  # the limit is one
    for x in (np.nan, np.inf):
        with pytest.raises(ValueError, match=rf"^X\[1, 0\] is {x} as float\d\d; expected finite numbers"):
            f.predict([5.0, 3.0], [[-np.inf], [x]])
    with pytest.raises(ValueError, match=r"^theta\[1\] is nan as float\d\d; expected finite numbers"):
        f.predict([5.0, np.nan], [[1.0]])
    top = float(np.finfo(dtype).max)
    with pytest.raises(ValueError, match=rf"^X\[1\] and theta are too large: their product overflows {dtype}"):
        f.predict_proba([top, 0], [[0], [top]])


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_the_loss_of_samples_that_are_not_finite(wrong, dtype, rng):
    X, y = data(rng, 3000, 500, 2, dtype)  # more than one block of the search
    f = LogisticObjective(X, y)
    theta = parameters(rng, f)
    X[2999, 499] = wrong
    y[2999] = wrong * theta[499] < 0  # the label that infinity speaks against
    f = LogisticObjective(X, y)
    for method in (f.value, f.gradient, f.value_and_gradient):
        with pytest.raises(ValueError, match=rf"^X\[2999, 499\] is {wrong} as float\d\d; expected finite numbers"):
            method(theta)
    assert np.isfinite(f.value(theta, slice(2999)))
    theta[3] = np.nan
    assert np.isnan(LogisticObjective(np.ones((2, 500)), [0, 1]).value(theta))


# --- what cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", [SoftmaxObjective, LogisticObjective])
@pytest.mark.parametrize("form", ["csr_matrix", "csr_array", "coo_array"])
def test_sparse_samples(form, objective):
    X = getattr(scipy.sparse, form)(np.eye(3))
    with pytest.raises(TypeError, match=rf"^X is a {form}; expected an array .*: pass X\.toarray\(\)"):
        objective(X, [0, 1, 0])
    f = objective(np.eye(3), [0, 1, 0])
    with pytest.raises(TypeError, match=rf"^X is a {form}; expected an array"):
        f.predict(np.zeros(f.n_params), X)


@pytest.mark.parametrize("X", [{}, iter([[1.0]]), object()], ids=["dict", "iterator", "object"])
def test_samples_that_are_no_array(X):
    with pytest.raises(TypeError, match=rf"^X is a {type(X).__name__}; expected an array"):
        SoftmaxObjective(X, [0, 1])


@pytest.mark.parametrize("n_classes", [10**13, 2**62])
def test_classes_that_no_memory_holds(n_classes):
    with pytest.raises(
        MemoryError, match=f"^{n_classes} classes of 3 features would take more memory than this machine has left"
    ):
        SoftmaxObjective(np.eye(3), [0, 1, 2], n_classes)


def test_a_label_that_no_memory_holds():
    with pytest.raises(MemoryError, match=r"^10000000000001 classes of 3 features"):
        SoftmaxObjective(np.eye(3), [0, 1, 10**13])


@pytest.mark.parametrize("option", ["fit_bias", "reduced"])
@pytest.mark.parametrize("value", ["no", None, 2, [True, False]], ids=str)
def test_flags(option, value):
    with pytest.raises(TypeError, match=rf"^{option} is .*; expected True or False"):
        SoftmaxObjective(np.eye(3), [0, 1, 2], **{option: value})


# --- derivatives -----------------------------------------------------------------------------------------------------


@forms
def test_derivatives(form, isa, rng):
    """The lecture's tests: of the gradient, of the Hessian as the gradient's Jacobian, of its symmetry, and by the data."""
    X, y = data(rng, 40, 5, 4, np.float64)
    options = options_of(form, rng, 40)
    f = SoftmaxObjective(X, y, **options)
    theta = parameters(rng, f)
    gradient_test(f.value, f.gradient, theta, rng=1).assert_passed()
    jacobian_test(f.gradient, f.hessian_mv, theta, rng=2).assert_passed()
    transpose_test(f.hessian_mv, f.hessian_mv, theta, rng=3).assert_passed()

    def of_data(X):
        return SoftmaxObjective(X, y, **options)

    gradient_test(lambda X: of_data(X).value(theta), lambda X: of_data(X).data_gradient(theta), X, rng=4).assert_passed()


# --- optima ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["L-BFGS-B", "Newton-CG"])
@pytest.mark.parametrize("reduced", [False, True])
def test_optimum(method, reduced, isa, rng):
    """SciPy's solvers drive the gradient to zero and agree with one another."""
    X, y = data(rng, 300, 6, 4, np.float64)
    f = SoftmaxObjective(X, y, l2=0.02, reduced=reduced)
    options = {"L-BFGS-B": {"gtol": 1e-9, "ftol": 1e-15, "maxiter": 2000}, "Newton-CG": {"xtol": 1e-10}}[method]
    hessp = f.hessian_mv if method == "Newton-CG" else None
    found = minimize(f.value_and_gradient, np.zeros(f.n_params), jac=True, hessp=hessp, method=method, options=options)
    assert np.linalg.norm(reference.softmax_regression_gradient(found.x, X, y, l2=0.02, reduced=reduced)) < 1e-6
    newton = np.zeros(f.n_params)
    for _ in range(20):
        newton -= np.linalg.lstsq(f.hessian(newton), f.gradient(newton), rcond=1e-12)[0]
    assert_allclose(found.fun, f.value(newton), rtol=1e-9)


def test_the_optimum_of_scikit_learn():
    """On the digits, C = 1 / (l2 m): the same objective value to 1e-6."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    X, y = fastlec.data.load_digits()
    l2 = 1e-2
    model = linear_model.LogisticRegression(C=1 / (l2 * len(X)), solver="newton-cg", tol=1e-7).fit(X, y)
    f = SoftmaxObjective(X, y, l2=l2)
    theirs = f.value(np.concatenate([model.coef_.ravel(), model.intercept_]))
    for method, options in (("L-BFGS-B", {"gtol": 1e-7, "ftol": 1e-12}), ("Newton-CG", {"xtol": 1e-6})):
        hessp = f.hessian_mv if method == "Newton-CG" else None
        found = minimize(f.value_and_gradient, np.zeros(f.n_params), jac=True, hessp=hessp, method=method, options=options)
        assert abs(found.fun - theirs) <= 1e-6 * theirs
        assert (f.predict(found.x) == model.predict(X)).mean() > 0.999


def test_the_stride_of_one_row_means_nothing():
    memory = np.zeros(8, np.uint8)
    X = np.lib.stride_tricks.as_strided(memory[:4].view(np.float32), (1, 1), (7, 4))
    X[...] = 3
    f = SoftmaxObjective(X, np.array([1]), 3)
    assert f.value(np.zeros(f.n_params)) == pytest.approx(np.log(3))


@pytest.mark.parametrize("n_classes", [2, 3, 11])
def test_labels_that_are_no_class(n_classes, isa, dtype, rng):
    """Those may come from another thread after the check: the loss is NaN, and nothing beyond the arrays is read or written."""
    x, y = rng.standard_normal((100, 7)).astype(dtype), rng.integers(0, n_classes, 100)
    theta = rng.standard_normal(n_classes * 8).astype(dtype)
    for label in (-1, n_classes, 10**9, 2**32, 2**63 - 1, -(2**63)):
        wrong = y.copy()
        wrong[40] = label
        problem = Problem(x, wrong, None, n_classes, n_classes, True)
        assert np.isnan(problem.value(theta))
        loss, gradient = problem.gradient(theta, 1, 0)
        assert np.isnan(loss)
        W, b = theta[: 7 * n_classes].reshape(n_classes, 7), theta[7 * n_classes :]
        p = reference.softmax(x[40:41].astype(np.float64) @ W.T + b)
        rest = Problem(np.delete(x, 40, axis=0), np.delete(y, 40), None, n_classes, n_classes, True)
        own = np.concatenate([np.outer(p, x[40]).ravel(), p.ravel()])  # no class of the sample is the right one
        scale = 1000 * np.finfo(dtype).eps
        assert_allclose(gradient, rest.gradient(theta, 1, 0)[1] + own, rtol=scale, atol=scale)
        assert_allclose(problem.data_gradient(theta, 1)[40], (p @ W)[0], rtol=scale, atol=scale)


def test_a_problem_of_rows_apart_is_copied_and_pickled_whole(rng):
    X, y = rng.standard_normal((50, 9))[:, :4], np.arange(50) % 3
    problem, theta = Problem(X, y, None, 3, 3, True), rng.standard_normal(15)
    for other in (copy.copy(problem), copy.deepcopy(problem), pickle.loads(pickle.dumps(problem))):
        assert other.value(theta) == problem.value(theta)
        assert_array_equal(other.X, X)


@pytest.mark.parametrize("reduced", [False, True])
def test_the_hessian_of_many_columns_has_the_bits_of_each(reduced, isa, threads, dtype, rng):
    """They are taken some at a time: as many as fit in a cache, the rest."""
    for m, n, classes, k in ((77, 300, 10, 21), (200, 3, 2, 17), (9, 40, 300, 3)):
        X, y, weight = rng.standard_normal((m, n)).astype(dtype), rng.integers(0, classes, m), rng.random(m)
        f = SoftmaxObjective(X, y, classes, l2=0.1, reduced=reduced, sample_weight=weight)
        theta, V = (rng.standard_normal((f.n_params, *more)).astype(dtype) for more in ((), (k,)))
        H = f.hessian_operator(theta)
        assert_array_equal(H @ V, np.stack([H @ v for v in V.T], axis=1))
        assert_array_equal(H.T @ V[:, :1], H @ V[:, :1])
        assert (H @ V[:, :0]).shape == (f.n_params, 0)


def test_repr():
    X = np.zeros((4, 3), np.float32)
    assert repr(SoftmaxObjective(X, [0, 1, 2, 1], l2=0.1)) == "<SoftmaxObjective: X (4, 3) float32, 3 classes, l2=0.1>"
    assert repr(LogisticObjective(X, [0, 1, 0, 1])) == "<LogisticObjective: X (4, 3) float32, l2=0.0>"
