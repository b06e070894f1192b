"""Plans that are kept for the next call: they compute what a new plan would, whatever has changed in between."""

import copy
import functools
import pickle
from concurrent.futures import ThreadPoolExecutor

import nets
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from signals import Alarm, forked, needs_fork, needs_signals

import fastlec
from fastlec import Conv2d, Dense, MeanSquaredError, Network, Objective, SoftmaxCrossEntropy
from fastlec._kernels import calls, runner
from fastlec._kernels.calls import Calls, functions
from fastlec._kernels.plan import Plan


def normals(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype)


@pytest.fixture(autouse=True)
def no_plans():
    functions.clear()


LOSSES = {"entropy": SoftmaxCrossEntropy(), "squares": MeanSquaredError()}


@functools.cache
def linearized(dtype):
    """A network, samples, and what is kept of its value there."""
    layers = [Conv2d(2, 3, 3, "tanh", padding=1, dtype=dtype), fastlec.Flatten(), Dense(60, 4, "relu", dtype=dtype)]
    net, x = Network(layers, rng=0), normals(np.random.default_rng(5), (6, 2, 4, 5), dtype)
    return net, x, *net.evaluate(x)


def use(dtype, seed):
    """{what: (function of arrays, these)}: every call that keeps plans. The dtype makes the functions, the seed the arrays."""
    rng, labels = np.random.default_rng(seed), np.arange(6) % 4

    def draw(*shape):
        return normals(rng, shape, dtype)

    kept, images, *_ = linearized(dtype)
    net, jac, layer = Network(kept.layers), kept._jacobian_of(*linearized(dtype)[1:]), Dense(7, 5, dtype=dtype, rng=1)
    objectives = {
        name: Objective(net, loss, images, labels if name == "entropy" else np.eye(4)[labels]) for name, loss in LOSSES.items()
    }
    samples, theta, out = draw(*images.shape), draw(net.n_params), draw(6, 4)
    x, W, b, v = draw(2, 4, 6, 7), draw(6, 4, 3, 3), draw(6), draw(2, 6, 6, 7)
    return {
        "layer": (layer, draw(3, 7)),
        "network": (net, samples),
        "mv": (lambda theta: jac.mv(theta=theta), theta),
        "mv by two": (lambda x, W: jac.mv(**{"x": x, "0.W": W}), samples, draw(3, 2, 3, 3)),
        "mv by a sum": (lambda theta, b: jac.mv(**{"theta": theta, "2.b": b}), theta, draw(4)),
        "jac_mv of a layer": (lambda x, W: layer.value_and_jac_mv(x, W=W, x=x)[1], draw(3, 7), draw(5, 7)),
        "jac_mv of a network": (lambda x, theta: net.jac_mv(x, theta=theta), samples, theta),
        "jac_tmv of a layer": (lambda x, v: list(layer.jac_tmv(x, v).values()), draw(3, 7), draw(3, 5)),
        "jac_tmv of a network": (lambda x, v: list(net.jac_tmv(x, v, ("x", "theta")).values()), samples, out),
        "jac_tmv by both": (lambda x, v: list(net.jac_tmv(x, v, ("2.b", "theta")).values()), samples, out),
        "tmv": (lambda v: list(jac.tmv(v).values()), out),
        "tmv by theta": (lambda v: list(jac.tmv(v, "theta").values()), out),
        "tmv by both": (lambda v: list(jac.tmv(v, ("2.b", "theta")).values()), out),
        **{f"value, {name}": (f.value, theta) for name, f in objectives.items()},
        **{f"gradient, {name}": (f.gradient, theta) for name, f in objectives.items()},
        **{f"batch, {name}": (lambda theta, f=f: f.gradient(theta, batch=[1, 3]), theta) for name, f in objectives.items()},
        "conv2d": (lambda x, W, b: fastlec.conv2d(x, W, b, padding=1), x, W, b),
        "conv2d without b": (lambda x, W: fastlec.conv2d(x, W, padding=1), x, W),
        "im2col": (lambda x, W: fastlec.conv2d(x, W, padding=1, algorithm="im2col"), x, W),
        "winograd": (lambda x, W: fastlec.conv2d(x, W, padding=1, algorithm="winograd"), x, W),
        "conv2d_jac_mv": (lambda x, W, dx, dW: fastlec.conv2d_jac_mv(x, W, dx=dx, dW=dW, padding=1), x, W, x + 1, W - 1),
        "conv2d_jac_mv by b": (lambda b, x, W: fastlec.conv2d_jac_mv(x, W, db=b, padding=1), b, x, W),
        "conv2d_jac_tmv": (lambda v, x, W: list(fastlec.conv2d_jac_tmv(v, x, W, padding=1).values()), v, x, W),
        "conv2d_jac_tmv by W": (lambda v, x, W: fastlec.conv2d_jac_tmv(v, x, W, padding=1, wrt="W")["W"], v, x, W),
    }


USES = list(use(np.float64, 0))


def bits(found):
    return [np.asarray(a).tobytes() for a in (found if isinstance(found, list) else [found])]


@pytest.mark.parametrize("name", USES)
def test_a_kept_plan_computes_what_a_new_one_does(name, isa, dtype):
    """Of other arrays; and earlier results stay."""
    function, *first = use(dtype, 1)[name]
    before = function(*first)
    stays = bits(before)
    for seed in (2, 3, 1):
        fresh, *arrays = use(dtype, seed)[name]
        found = bits(function(*arrays))
        functions.clear()
        assert found == bits(fresh(*arrays))
    assert found == bits(before) == stays


@pytest.mark.parametrize("name", USES)
def test_settings_count_at_each_call(name, dtype):
    """Instruction set, algorithm of convolutions, threads."""
    function, *arrays = use(dtype, 1)[name]
    before = runner.isa()
    try:
        for isa in (*runner.isas(), *runner.isas()):
            for algorithm in ("auto", "direct", "im2col", "auto"):
                runner.select_isa(isa)
                fastlec.set_conv_algorithm(algorithm)
                found = bits(function(*arrays))
                for threads in (1, 2):
                    fastlec.set_num_threads(threads)
                    assert bits(function(*arrays)) == found
                functions.clear()
                assert bits(use(dtype, 1)[name][0](*arrays)) == found
    finally:
        runner.select_isa(before)
        fastlec.set_conv_algorithm("auto")
        fastlec.set_num_threads(None)


def test_plans_of_another_instruction_set_or_algorithm_are_passed_by(dtype):
    keys, before = set(), runner.isa()
    try:
        for isa in runner.isas():
            for algorithm in ("auto", "direct"):
                runner.select_isa(isa)
                fastlec.set_conv_algorithm(algorithm)
                keys.add(calls.settings())
    finally:
        runner.select_isa(before)
        fastlec.set_conv_algorithm("auto")
    assert len(keys) == 2 * len(runner.isas())


def test_parameters_are_read_at_each_call(isa, dtype, rng):
    net = nets.network(nets.PLANNED["nested"], dtype, rng)
    x = normals(rng, (6, 5), dtype)
    for _ in range(3):
        net.theta = normals(rng, net.n_params, dtype)
        assert_array_equal(net(x), Network(net.layers)(x), strict=True)
        assert_array_equal(net.layers[0](x), copy.deepcopy(net.layers[0])(x), strict=True)


def test_out_is_filled_wherever_it_lies(isa, dtype, rng):
    """Also where jobs cannot write there: in the way of what is read, with gaps, in another order."""
    net, x = Network([Dense(4, 4, dtype=dtype, rng=0), Dense(4, 4, dtype=dtype, rng=1)]), normals(rng, (4, 4), dtype)
    W, v = normals(rng, (4, 4, 3, 3), dtype), normals(rng, (1, 4, 4, 4), dtype)
    y, jac = net.linearize(x)
    dy, dx = jac.mv(x=y), jac.tmv(y, "x")["x"]
    conv, dconv = fastlec.conv2d(v, W, padding=1), fastlec.conv2d_jac_mv(v, W, dx=v, padding=1)
    for _ in range(2):
        for out in (np.empty_like(x), np.empty((4, 8), dtype)[:, ::2], np.empty((4, 4), dtype).T):
            assert net(x, out=out) is out
            assert_array_equal(out, y)
            assert jac.mv(x=y, out=out) is out
            assert_array_equal(out, dy)
            assert jac.tmv(y, out={"x": out})["x"] is out
            assert_array_equal(out, dx)
        for out in (np.empty_like(v), np.empty((1, 4, 4, 8), dtype)[..., ::2]):
            assert fastlec.conv2d(v, W, padding=1, out=out) is out
            assert_array_equal(out, conv)
            assert fastlec.conv2d_jac_mv(v, W, dx=v, padding=1, out=out) is out
            assert_array_equal(out, dconv)
        own, image, direction = x.copy(), v.copy(), y.copy()
        assert_array_equal(net(own, out=own), y)
        assert_array_equal(jac.mv(x=direction, out=direction), dy)
        assert_array_equal(fastlec.conv2d(image, W, padding=1, out=image), conv)
        weights = W.copy()
        assert_array_equal(fastlec.conv2d(v, weights, padding=1, out=weights.ravel()[3:67].reshape(v.shape)), conv)
        assert_array_equal(Network(net.layers)(x), y)
        other = Network(net.layers)
        other(x)
        assert_array_equal(other(x, out=other.params["1.W"]), y)


V, FILTERS = np.ones((1, 2, 5, 5)), np.ones((3, 2, 3, 3))
READ_ONLY = np.empty((1, 3, 5, 5))
READ_ONLY.flags.writeable = False
REFUSED = {
    "stride": ({"stride": 1.0}, TypeError, r"stride is 1\.0; expected an integer"),
    "one stride": ({"stride": (1, 1.0)}, TypeError, r"stride\[1\] is 1\.0"),
    "groups": ({"groups": 1.0}, TypeError, r"groups is 1\.0"),
    "algorithm": ({"algorithm": 0}, ValueError, "algorithm is 0; expected one of auto"),
    "out": ({"out": np.empty((1, 3, 5, 4))}, ValueError, r"out has shape \(1, 3, 5, 4\); expected \(1, 3, 5, 5\)"),
    "dtype of out": ({"out": np.empty((1, 3, 5, 5), "f4")}, TypeError, "out has dtype float32; expected float64"),
    "read-only": ({"out": READ_ONLY}, ValueError, "out is read-only"),
    "no array": ({"out": [[]]}, TypeError, "out is a list; expected an ndarray"),
}


@pytest.mark.parametrize(("options", "error", "match"), REFUSED.values(), ids=REFUSED)
def test_bad_arguments_are_refused_after_good_ones(options, error, match):
    for _ in range(2):
        fastlec.conv2d(V, FILTERS, padding=1)
        with pytest.raises(error, match=f"^{match}"):
            fastlec.conv2d(V, FILTERS, **{"padding": 1} | options)


def test_options_of_any_kind_are_taken():
    expected = fastlec.conv2d(V, FILTERS, padding=1)
    for padding in (np.int64(1), [1, 1], np.array([1, 1]), ((1, 1), [1, 1]), "same", True):
        for _ in range(2):
            assert_array_equal(fastlec.conv2d(V, FILTERS, padding=padding), expected)
            assert_array_equal(fastlec.conv2d(V.tolist(), FILTERS.astype("f4"), padding=padding), expected)


def test_one_call_is_as_two(isa, dtype):
    net, x, *_ = linearized(dtype)
    y, jac = net.linearize(x)
    v, theta = y + 1, net.theta + 1
    for _ in range(2):
        assert_array_equal(net.jac_mv(x, theta=theta, x=x), jac.mv(theta=theta, x=x), strict=True)
        for wrt in (None, "x", ("theta", "x"), ("0.W", "theta", "0.W"), ()):
            found, expected = net.jac_tmv(x, v, wrt), jac.tmv(v, wrt)
            assert list(found) == list(expected)
            for name, a in found.items():
                assert_array_equal(a, expected[name], strict=True)


def test_bad_arguments_of_jacobians_are_refused_after_good_ones():
    net = Network([Dense(3, 2, rng=0)])
    _, jac = net.linearize(np.ones((4, 3)))
    for _ in range(2):
        jac.mv(x=np.ones((4, 3)))
        jac.tmv(np.ones((4, 2)), "x")
        for call, match in (
            (lambda: jac.mv(x=np.ones((3, 3))), r"x has shape \(3, 3\); expected \(4, 3\)"),
            (lambda: jac.mv(x=np.ones((4, 3)), out=np.ones((4, 3))), r"out has shape \(4, 3\); expected \(4, 2\)"),
            (lambda: jac.tmv(np.ones((2, 2)), "x"), r"v has shape \(2, 2\); expected \(4, 2\)"),
        ):
            with pytest.raises(ValueError, match=f"^{match}"):
                call()
        with pytest.raises(TypeError, match=r"^wrt has 1; expected names"):
            jac.tmv(np.ones((4, 2)), (1,))
        assert jac.tmv(np.ones((4, 2)), ()) == {}


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_a_thousand_shapes_take_no_more_memory_than_a_few(rng):
    net = Network([Dense(5, 30, rng=0), Dense(30, 3, rng=1)])
    f = Objective(net, MeanSquaredError(), rng.standard_normal((1000, 5)), rng.standard_normal((1000, 3)))
    W = rng.standard_normal((3, 2, 3, 3))
    for n in range(1, 1001):
        x = np.ones((1, 2, 3 + n % 40, 3 + n // 40))
        fastlec.conv2d(x, W)
        net(f.X[:n])
        net.layers[0](f.X[:n])
        f.value(net.theta, batch=slice(n))
        kept = (functions, net._calls, net.layers[0]._calls, f._calls)
        for one in kept:
            assert 0 < len(one.idle) <= one.most
            assert sum(plan.n_bytes for plan in one.idle) <= one.n_bytes
    assert [len(one.idle) for one in kept] == [64, 8, 8, 8]


def test_the_least_recently_used_plan_goes_first():
    kept = Calls(3)

    def use(key):
        return kept.results(key, np.dtype(float).num, (), [(1,)], (None,), lambda plan, y: None)

    for key in "abcadb":
        use(key)
    assert [plan.key for plan in kept.idle] == ["a", "d", "b"]
    kept.clear()
    assert kept.idle == []


def test_what_plans_hold_is_bounded():
    kept = Calls(8, 1000)

    def plan(key, n_bytes):
        made = Plan(np.dtype(float).num)
        made.key = key
        made.empty(n_bytes // 8)
        kept.give(made)

    for key, n_bytes in zip("abcd", (400, 400, 400, 1008), strict=True):
        plan(key, n_bytes)
    assert [plan.key for plan in kept.idle] == ["b", "c"]
    assert kept.find("d") is None
    plan(None, 8)
    assert kept.find(None) is None
    assert len(kept.idle) == 2


def test_copies_begin_with_no_plans(rng):
    net, x = Network([Dense(3, 2, rng=0)]), rng.standard_normal((4, 3))
    y = net(x)
    for other in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net), net.with_theta(net.theta.copy())):
        assert other._calls.idle == []
        other.theta *= 2
        assert not np.array_equal(other(x), y)
    assert_array_equal(net(x), y)
    assert pickle.loads(pickle.dumps(Calls(3, 5))).n_bytes == 5


def test_memory_is_released():
    fastlec.conv2d(V, FILTERS)
    assert functions.idle
    fastlec.release_memory()
    assert not functions.idle


# --- threads, forks, signals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", USES)
def test_python_threads_share_kept_plans(name, isa, dtype):
    made, *sets = zip(*(use(dtype, seed)[name] for seed in range(4)), strict=True)
    given = list(zip(*sets, strict=True))
    expected = [bits(made[1](*arrays)) for arrays in given]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: bits(made[0](*given[i % 4])), range(40)))
    assert found == [expected[i % 4] for i in range(40)]


@needs_fork
def test_a_forked_child_uses_kept_plans():
    code = """
    from fastlec import Dense, MeanSquaredError, Network, Objective
    x = np.random.default_rng(0).normal(size=(300, 20))
    net = Network([Dense(20, 64, rng=0), Dense(64, 3, "identity", rng=2)])
    _, jac = net.linearize(x)
    v, image, W = np.ones((300, 3)), np.ones((2, 16, 40, 40)), np.ones((16, 16, 3, 3))
    f = Objective(net, MeanSquaredError(), x, v)

    def bits():
        loss, gradient = f.value_and_gradient(net.theta)
        arrays = net(x), jac.mv(theta=net.theta), jac.tmv(v, "theta")["theta"], gradient, fastlec.conv2d(image, W)
        return loss, [a.tobytes() for a in arrays]

    expected = bits()
    assert in_child(lambda: bits() == expected)
    assert bits() == expected
    """
    assert forked(code) == ""


@needs_signals
@pytest.mark.parametrize("name", ["conv2d", "mv", "objective"])
def test_after_an_interruption_results_are_right(name, threads, alarm, rng):
    """A handler may call the same function within; what it raises ends the call, and the next ones are whole."""
    x, W = normals(rng, (32, 64, 56, 56), np.float32), normals(rng, (64, 64, 3, 3), np.float32)
    net = Network([Dense(512, 512, "relu", dtype=np.float32, rng=i) for i in range(3)])
    samples = normals(rng, (4000, 512), np.float32)
    _, jac = net.linearize(samples)
    f = Objective(net, MeanSquaredError(), samples, samples)
    call = {
        "conv2d": lambda: fastlec.conv2d(x, W, algorithm="direct"),
        "mv": lambda: jac.mv(x=samples),
        "objective": lambda: f.gradient(net.theta),
    }[name]
    expected, within = call(), []

    def calls_on():
        for _ in range(100):
            call()

    def interrupt(*_):
        within.append(call())
        raise Alarm

    alarm(interrupt, 0.02)
    with pytest.raises(Alarm):
        calls_on()
    assert_array_equal(within[0], expected)
    assert_array_equal(call(), expected)
