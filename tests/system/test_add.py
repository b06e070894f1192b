"""What csrc/README.md and layers/README.md say is all that it takes to add an activation, a rule, a loss and a layer."""

import ctypes
import platform
import re
import shlex
import shutil
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import setups
from interpreter import finished
from numpy.testing import assert_allclose, assert_array_equal

from fastlec import Dense, Network, Optimizer, fit, layers
from fastlec._kernels import epilogue, map, plan, residuals, runner
from fastlec.layers import registry
from fastlec.layers._maps import Matrix, differential, plan_sum
from fastlec.layers.parameters import Initial
from fastlec.layers.planned import PlannedLayer, features
from fastlec.testing import check_layer

COMPILER = shlex.split(sysconfig.get_config_var("CC") or "cc")
KERNELS = ("gemm", "slope", "elementwise", "update", "residuals", "curvature")
FILES = ["shared/epilogue.c", *(f"kernels/{name}.c" for name in KERNELS)]

# Each is a row of a list, and the function that the row names.
ROWS = {
    "activations.def": "ROW(SWISH, swish, z, swish(z, d), swish_derivative(kept), silu_second(kept), __VA_ARGS__)",
    "rules.def": "ROW(SCALED, scaled, 1, scaled_step, __VA_ARGS__)",
    "losses.def": "ROW(LOG_COSH, log_cosh, d, log(cosh(kept)), 1, log_cosh_derivative(d), log_cosh_second(d), 1, 0, __VA_ARGS__)",
}
FUNCTIONS = {
    "shared/activate.h": """
        FL_INLINE vec swish(vec z, vec *d)
        {
            const vec s = vsigmoid(z, d);
            *d = s + z * *d;
            return z * s;
        }
        FL_INLINE vec swish_derivative(vec z)
        {
            vec d;
            (void)swish(z, &d);
            return d;
        }
        """,
    "shared/step.h": """
        FL_INLINE vec scaled_step(const stepper *step, vec w, vec g, vec *state)
        {
            state[0] = step->c[2] * state[0] + step->c[3] * (g * g);
            return w - step->c[FL_RATE] * decayed(step, g / (vsqrt(state[0]) + step->c[4]), w);
        }
        """,
    "kernels/residuals.c": """
        FL_INLINE vec log_cosh_derivative(vec d)
        {
            vec derivative;
            return vtanh(d, &derivative);
        }
        FL_INLINE vec log_cosh_second(vec d)
        {
            vec derivative;
            (void)vtanh(d, &derivative);
            return derivative;
        }
        """,
}


def add_rows(csrc):
    for name, row in ROWS.items():
        file = csrc / name
        file.write_text(file.read_text().rstrip() + f" {row}\n")
    for name, function in FUNCTIONS.items():  # before the functions of the file, after what it includes
        text = (csrc / name).read_text()
        end = [found.end() for found in re.finditer(r'^#include ".*"\n', text, re.M)][-1]
        if "/* w -= rate" in text:  # what the function takes stands above
            end = text.index("/* w -= rate")
        (csrc / name).write_text(text[:end] + function + text[end:])


@pytest.fixture(scope="module", params=["f32", "f64"])
def added(request, tmp_path_factory):
    """(the library with the rows, its dtype): compiled for the instruction set in use, as setup.py compiles kernels."""
    if not shutil.which(COMPILER[0]):
        pytest.skip("there is no C compiler here")
    folder = tmp_path_factory.mktemp("added")
    with pytest.MonkeyPatch.context() as patch:
        library = setups.described(folder, patch, platform.machine())[0][f"fl_{runner.isa()}_{request.param}"]
    csrc = folder / "csrc"
    add_rows(csrc)
    flags = [*library["cflags"], *(f"-D{name}={value}" for name, value in library["macros"]), f"-I{csrc}", "-Werror"]

    def compiled(source):
        path = folder / (Path(source).stem + ".o")
        done = finished([*COMPILER, *flags, "-fvisibility=default", "-c", str(source), "-o", str(path)])
        assert done.returncode == 0, done.stderr
        return str(path)

    with ThreadPoolExecutor() as pool:
        objects = list(pool.map(compiled, [*(csrc / name for name in FILES), Path(__file__).with_name("add_check.c")]))
    shared = str(folder / "added.so")
    done = finished([*COMPILER, "-shared", *objects, "-o", shared, "-lm"])
    assert done.returncode == 0, done.stderr
    library = ctypes.CDLL(shared)
    library.loss.restype = ctypes.c_double
    return library, np.dtype(request.param.replace("f", "float"))


def call(function, *arguments):
    kinds = {int: ctypes.c_ssize_t, float: ctypes.c_double}
    return function(*(kinds[type(a)](a) if type(a) in kinds else ctypes.c_void_p(a.ctypes.data) for a in arguments))


def swish(z):
    """(swish, its derivative) in float64."""
    z = z.astype(np.float64)
    s = 1 / (1 + np.exp(-z))
    return z * s, s + z * s * (1 - s)


def tolerance(dtype):
    return {"rtol": 50 * np.finfo(dtype).eps, "atol": 50 * np.finfo(dtype).eps}


def test_an_activation_whose_derivative_follows_from_z(added, rng):
    library, dtype = added
    m, n, k = 13, 21, 8
    x, w, bias, v = (rng.standard_normal(s).astype(dtype) for s in ((m, k), (k, n), n, (m, n)))
    z, y, g = (np.full((m, n), np.nan, dtype) for _ in range(3))
    total = np.full(n, np.nan, dtype)
    call(library.forward, m, n, k, x, w, bias, z, y)
    assert_allclose(z, x @ w + bias, **tolerance(dtype))
    assert_allclose(y, swish(z)[0], **tolerance(dtype))
    call(library.backward, m, n, v, z, g, total)
    assert_allclose(g, v * swish(z)[1], **tolerance(dtype))
    assert_allclose(total, g.sum(axis=0), **tolerance(dtype))
    values, slopes = np.empty_like(z), np.empty_like(z)
    call(library.map, z.size, z, values, slopes)
    assert_allclose(values, y, **tolerance(dtype))
    assert_allclose(slopes, swish(z)[1], **tolerance(dtype))


def test_a_rule(added, rng):
    library, dtype = added
    w, g = rng.standard_normal((2, 37)).astype(dtype)
    square = rng.random(37).astype(dtype)
    S = 0.875 * square + 0.125 * g**2
    W = w - 0.25 * g / (np.sqrt(S) + 0.5)
    call(library.step, w.size, w, g, square, 0.25, 0.875, 0.5)
    assert_allclose(square, S, **tolerance(dtype))
    assert_allclose(w, W, **tolerance(dtype))


def test_a_loss(added, rng):
    library, dtype = added
    x, t = rng.standard_normal((2, 37)).astype(dtype)
    grad = np.full(37, np.nan, dtype)
    d = x.astype(np.float64) - t
    assert_allclose(call(library.loss, x.size, x, t, grad, 37.0), np.log(np.cosh(d)).mean(), **tolerance(dtype))
    assert_allclose(grad, np.tanh(d) / 37, **tolerance(dtype))


def rows(name):
    _, _, listed = (setups.ROOT / "csrc" / name).read_text().partition("#define ")
    return re.findall(r"\bROW\([A-Z_]+, (\w+),", listed)


def test_what_python_reads_is_the_lists():
    if not (setups.ROOT / "csrc").is_dir():
        pytest.skip("the C sources are not here")
    assert list(epilogue.ACTIVATIONS) == rows("activations.def")
    assert list(map.FUNCTIONS) == [*rows("activations.def"), *rows("functions.def")]
    assert list(plan.RULES) == rows("rules.def")
    assert list(residuals.LOSSES) == rows("losses.def")
    assert list(epilogue.ACTIVATIONS.values()) == list(range(len(epilogue.ACTIVATIONS)))
    assert {name for name, number in epilogue.ACTIVATIONS.items() if number in epilogue.KEEP_Z} == {"gelu", "gelu_tanh", "silu"}


# --- in Python -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [
    lambda: Dense(4, 3, "relu", rng=0),
    lambda: layers.Conv2d(2, 3, 3, "relu", rng=0),
    lambda: layers.Activation("relu"),
    lambda: layers.Residual(4, 6, "relu", rng=0),
    lambda: layers.ProjectedResidual(4, 6, "relu", rng=0),
    lambda: layers.ConvResidual(2, 3, 3, "relu", rng=0),
    lambda: layers.ProjectedConvResidual(2, 3, 3, "relu", rng=0),
    lambda: Network([Dense(4, 5, "relu", rng=0), layers.Activation("relu"), Dense(5, 3, "relu", rng=1)]),
])  # fmt: skip
def test_layers_keep_z_of_activations_that_ask_for_it(made, monkeypatch, rng):
    """relu's derivative follows from z as well as from y: where layers are told to keep z, everything is what it was."""
    layer = made()
    x = rng.standard_normal((5, 2, 6, 6) if "onv" in type(layer).__name__ else (5, 4))

    def everything():
        y, jac = layer.linearize(x)
        v = np.sin(np.arange(y.size)).reshape(y.shape)
        directions = {name: np.cos(np.arange(a.size)).reshape(a.shape) for name, a in {"x": x, **layer.params}.items()}
        explicit = [np.asarray(jac.matrix(name).todense() if hasattr(jac.matrix(name), "todense") else jac.matrix(name))
                    for name in directions]  # fmt: skip
        return [y, jac.mv(**directions), *jac.tmv(v).values(), *explicit]

    before = everything()
    monkeypatch.setattr(epilogue, "KEEP_Z", {epilogue.ACTIVATIONS["relu"]})
    monkeypatch.setattr(layers.planned, "KEEP_Z", epilogue.KEEP_Z)
    monkeypatch.setattr(layers.activation, "KEEP_Z", epilogue.KEEP_Z)
    for a, b in zip(everything(), before, strict=True):
        assert_array_equal(a, b)
    check_layer(layer, x).assert_passed()


class Linear(PlannedLayer):
    """y = W x: a layer by the list of layers/README.md."""

    __module__ = "fastlec.layers.linear"  # where it would stand
    _takes_epilogue = linear_in_x = affine_in_theta = True
    _map = Matrix()

    def __init__(self, n_in, n_out, *, dtype=np.float64, rng=None):
        self.n_in, self.n_out = n_in, n_out
        super().__init__({"W": Initial((n_out, n_in), 1.0)}, dtype=dtype, rng=rng)

    @property
    def input_shape(self):
        return (self.n_in,)

    def output_shape(self, shape):
        features(shape, self.n_in)
        return (self.n_out,)

    def _plan_forward(self, plan, x, y):
        self._map.forward(plan, x, self.params["W"], y)
        return x

    def _plan_mv(self, plan, kept, directions, dy):
        plan_sum(plan, differential(self._map.forward, kept, self.params["W"], directions.get("x"), directions.get("W")), dy)

    def _plan_tmv(self, plan, kept, v, out, after=None):
        if "x" in out:
            self._map.backward(plan, v, self.params["W"], out["x"], after)
        if "W" in out:
            self._map.weights(plan, v, kept, out["W"], epilogue.Epilogue(update=self._steps(out)))

    def _explicit(self, kept, name):
        part = getattr(self._map, f"by_{name}")(kept, self.params["W"])
        return self._map.whole(part, len(kept), name == "x")


def test_a_layer_a_loss_and_an_optimizer(monkeypatch, tmp_path, rng):
    monkeypatch.setitem(registry.KINDS, "Linear", Linear)
    x = rng.standard_normal((60, 4))
    check_layer(Linear(4, 3, rng=0), x[:5]).assert_passed()
    net = Network([Dense(4, 5, rng=0), Linear(5, 1, rng=1)])
    net.save(tmp_path / "net")
    assert_array_equal(Network.load(tmp_path / "net")(x), net(x))

    class LogCosh:
        def targets(self, y, shape, dtype):
            return np.asarray(y, dtype).reshape(shape)

        def value_and_gradient(self, output, y):
            return float(np.log(np.cosh(output - y)).mean()), np.tanh(output - y) / output.size

    class Signs(Optimizer):
        lr = 0.01

        def step(self, theta, gradient, states, count):
            theta -= self.rate(count) * np.sign(gradient)

    y = np.tanh(x[:, :1] - x[:, 1:2])
    history = fit(net, x, y, loss=LogCosh(), optimizer=Signs(), epochs=30, batch_size=20, rng=0)
    assert history.train_loss[-1] < history.train_loss[0] / 3
