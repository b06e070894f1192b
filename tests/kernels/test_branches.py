"""Sum and Concat: against fastlec.reference, as blocks of a residual network and of a U-Net, trained, saved, refused. They are also
among the networks of `nets` and of test_conv_networks, with those of error bounds."""

import copy
import pickle

import nets
import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal

import fastlec
from fastlec import (
    SGD,
    Activation,
    Adam,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dense,
    Dropout,
    EarlyStopping,
    Flatten,
    Layer,
    LayerNorm,
    MaxPool2d,
    MeanSquaredError,
    Network,
    Objective,
    Residual,
    SoftmaxCrossEntropy,
    Sum,
    Upsample2d,
    explain,
    fit,
    reference,
    training_step,
)
from fastlec._kernels.plan import Plan
from fastlec._kernels.sum import add
from fastlec.layers.registry import KINDS
from fastlec.network import MOST_DEPTH, container
from fastlec.testing import check_layer


class Twice(Layer):
    """Each pixel of images twice in both directions, in Python."""

    def output_shape(self, shape):
        return shape[0], 2 * shape[1], 2 * shape[2]

    def evaluate(self, x):
        return x.repeat(2, axis=2).repeat(2, axis=3), None

    def mv(self, kept, directions):
        return self.evaluate(directions["x"])[0]

    def tmv(self, kept, v, wrt):
        m, c, h, w = v.shape
        return {name: v.reshape(m, c, h // 2, 2, w // 2, 2).sum(axis=(3, 5)) for name in wrt}


def _dtype(o):
    return {"dtype": o["dtype"]}


def normals(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype)


def residual_block(c, o, training=False, activation="relu"):
    norm = {"dtype": o["dtype"], "training": training}
    first = [Conv2d(c, c, 3, padding=1, bias=False, **o), BatchNorm2d(c, **norm), Activation(activation)]
    second = [Conv2d(c, c, 3, padding=1, bias=False, **o), BatchNorm2d(c, **norm)]
    return [Sum([Network([*first, *second]), Activation("identity")]), Activation("relu")]


def residual_network(o):
    return Network(
        [
            Conv2d(2, 4, 3, padding=1, **o),
            *residual_block(4, o),
            *residual_block(4, o),
            Flatten(),
            Dense(80, 3, "identity", **o),
        ]
    )


def unet(o, up, down=None, activation="relu"):
    """Of images (2, h, w), h and w even: down, and up again beside what was there."""
    inner = Network([down or MaxPool2d(2), Conv2d(3, 4, 3, activation, padding=1, **o), up])
    return Network([Conv2d(2, 3, 3, activation, padding=1, **o), Concat([Activation("identity"), inner]), Conv2d(7, 2, 1, **o)])


def without_halving(o):
    """The same, all of fastlec's own layers."""
    inner = Network([AvgPool2d(3, 1, 1), Conv2d(3, 4, 3, "gelu", padding=1, **o), Conv2d(4, 4, 3, "tanh", padding=1, **o)])
    return Network([Conv2d(2, 3, 3, "sigmoid", padding=1, **o), Concat([Activation("identity"), inner]), Conv2d(7, 2, 1, **o)])


IMAGES = {  # (layer, shape of a sample), without kinks
    "residual block": (lambda o: residual_block(2, o, activation="tanh")[0], (2, 3, 4)),
    "residual block in training": (lambda o: residual_block(2, o, True, "tanh")[0], (2, 3, 4)),
    "projected block": (
        lambda o: Sum(
            [
                Network([Conv2d(2, 3, 3, "gelu", stride=2, padding=1, **o), BatchNorm2d(3, training=True, **_dtype(o))]),
                Conv2d(2, 3, 1, stride=2, **o),
            ]
        ),
        (2, 5, 5),
    ),
    "U-Net": (lambda o: unet(o, Upsample2d(2), AvgPool2d(2), "tanh"), (2, 2, 4)),
    "U-Net, partly in Python": (lambda o: unet(o, Twice(), AvgPool2d(2), "tanh"), (2, 2, 4)),
    "U-Net without halving": (without_halving, (2, 3, 4)),
    "joint of sums": (
        lambda o: Concat([Sum([Activation("identity"), Conv2d(2, 2, 1, "sigmoid", **o)]), Activation("tanh"), MaxPool2d(1)]),
        (2, 3, 4),
    ),
    "vectors": (lambda o: Concat([Flatten(), Network([Flatten(), Dense(12, 3, **o), LayerNorm(3, **_dtype(o))])]), (2, 2, 3)),
    "identities": (lambda o: Sum([Activation("identity"), Activation("identity")]), (2, 3, 3)),
    "one": (lambda o: Sum([Activation("sigmoid")]), (2, 3, 3)),
    "one beside nothing": (lambda o: Concat([Conv2d(2, 2, 1, "tanh", **o)]), (2, 3, 3)),
    "dropout": (
        lambda o: Sum([Network([Conv2d(2, 2, 1, **o), Dropout(0.4, training=True, rng=1)]), Dropout(0.4, rng=2)]),
        (2, 3, 4),
    ),
    "functions": (
        lambda o: Concat([Activation(np.sin, np.cos), Conv2d(2, 1, 1, "tanh", **o), Activation("identity")]),
        (2, 3, 3),
    ),
}
images = pytest.mark.parametrize(("build", "shape"), IMAGES.values(), ids=IMAGES)


def made(build, dtype, rng):
    """The layer with random biases, scales and running statistics."""
    layer = build({"dtype": dtype, "rng": rng})
    for name, a in (layer.params | layer.buffers).items():
        if name.endswith("running_var"):
            a[...] = rng.uniform(0.5, 2, a.shape)
        elif a.ndim == 1 and not name.endswith(("seed", "count")):
            a[...] = rng.standard_normal(a.shape)
    return layer


# --- the kernel ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("m", "n"), [(0, 5), (3, 0), (1, 1), (7, 3), (5, 33), (2, 16385), (300, 130), (16385, 2)])
def test_sums_of_matrices(m, n, isa, dtype, threads, rng):
    """Of some columns of larger ones as well; beyond them nothing is read or written. The sum's bits are NumPy's."""
    wide, b, out = normals(rng, (m, n + 5), dtype), normals(rng, (m, n), dtype), np.full((m, n + 3), 7, dtype)
    for values in ([-0.0, np.nan, np.inf, -np.inf, 5e-324], []):
        wide.ravel()[: len(values)] = values[: wide.size]
        a = wide[:, 2 : n + 2]
        for given, of in ((a, b), (a, None), (np.ascontiguousarray(a), b)):
            plan = Plan(dtype.num)
            add(plan, given, of, out[:, 1 : n + 1])
            plan.run()
            with np.errstate(invalid="ignore"):
                expected = a if of is None else a + b
            assert_array_equal(out[:, 1 : n + 1], expected)
            assert_array_equal(np.signbit(out[:, 1 : n + 1]), np.signbit(expected))
        assert (out[:, 0] == 7).all()
        assert (out[:, n + 1 :] == 7).all()


def test_a_sum_in_the_place_of_a_term(dtype, rng):
    a, b = normals(rng, (2, 40, 33), dtype)
    for target in (0, 1):
        terms = [a.copy(), b.copy()]
        plan = Plan(dtype.num)
        add(plan, *terms, terms[target])
        plan.run()
        assert_array_equal(terms[target], a + b)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"a": np.ones((3, 3))}, r"a has shape \(3, 3\); expected \(3, 4\)"),
        ({"b": np.ones((3, 5))}, r"b has shape \(3, 5\); expected \(3, 4\)"),
        ({"a": np.ones(4)}, "a: expected an aligned array of the plan's dtype with 2 axes"),
        ({"a": np.ones((3, 4), np.float32)}, "a: expected an aligned array of the plan's dtype"),
        ({"a": np.ones((4, 3)).T}, "a: expected C order"),
        ({"a": np.ones((3, 8))[:, ::2]}, "a: expected C order"),
        ({"a": np.ones((3, 4))[::-1]}, "a: expected C order"),
        ({"b": np.ones((3, 8))[:, :4]}, "b: expected C order"),
        ({"out": np.ones((6, 4))[::2, ::-1]}, "out: expected C order"),
    ],
    ids=str,
)
def test_matrices_that_the_kernel_refuses(change, text):
    given = {"a": np.ones((3, 4)), "b": np.ones((3, 4)), "out": np.ones((3, 4))} | change
    with pytest.raises(ValueError, match=text):
        add(Plan(given["out"].dtype.num), **given)


# --- what they compute --------------------------------------------------------------------------------------------------


@images
@pytest.mark.parametrize("m", [1, 2])
def test_the_contract(build, shape, m, dtype, rng):
    check_layer(made(build, dtype, rng), normals(rng, (m, *shape), dtype), rng=2).assert_passed()


@images
def test_no_samples(build, shape, dtype, rng):
    layer = made(build, dtype, rng)
    if "training=True" in repr(layer) and "BatchNorm" in repr(layer):
        with pytest.raises(ValueError, match="expected one pixel or more, whose mean and variance are taken"):
            layer(np.ones((0, *shape), dtype))
        return
    y, jac = layer.linearize(np.ones((0, *shape), dtype))
    assert y.shape == (0, *layer.output_shape(shape))
    assert not any(g.any() for g in jac.tmv(y).values())


@pytest.mark.parametrize("training", [False, True])
def test_a_residual_block_agrees_with_numpy(training, isa, dtype, rng):
    """y = N2(W2 * relu(N1(W1 * x))) + x, N the normalisations, and J' v of x and every parameter, in float64."""
    layer = made(lambda o: residual_block(3, o, training)[0], dtype, rng)
    x, v = normals(rng, (4, 3, 6, 7), dtype), normals(rng, (4, 3, 6, 7), dtype)
    W1, gamma1, beta1, W2, gamma2, beta2 = layer.params.values()
    mean1, var1, mean2, var2 = (None,) * 4 if training else layer.buffers.values()
    z1 = reference.conv2d(x, W1, padding=1)
    h = reference.batch_norm2d(z1, gamma1, beta1, mean1, var1)
    z2 = reference.conv2d(reference.relu(h), W2, padding=1)
    y = reference.batch_norm2d(z2, gamma2, beta2, mean2, var2) + x
    norm2 = reference.batch_norm2d_jac_tmv(v, z2, gamma2, beta2, mean2, var2)
    conv2 = reference.conv2d_jac_tmv(norm2["x"], reference.relu(h), W2, padding=1)
    norm1 = reference.batch_norm2d_jac_tmv(conv2["x"] * (h > 0), z1, gamma1, beta1, mean1, var1)
    conv1 = reference.conv2d_jac_tmv(norm1["x"], x, W1, padding=1)
    expected = {"x": conv1["x"] + v, "0.0.W": conv1["W"], "0.1.gamma": norm1["gamma"], "0.1.beta": norm1["beta"]}
    expected |= {"0.3.W": conv2["W"], "0.4.gamma": norm2["gamma"], "0.4.beta": norm2["beta"]}
    found, jac = layer.linearize(x)
    products = jac.tmv(v) | {"y": found}
    assert list(products) == [*expected, "y"]
    for name, a in (expected | {"y": y}).items():
        assert_allclose(products[name], a, rtol=0, atol=100 * np.finfo(dtype).eps * np.abs(a).max(), err_msg=name)


def test_a_joint_agrees_with_numpy(isa, dtype, rng):
    """y = (x, tanh(W * x + b)), as one copies and as the other computes it."""
    layer = made(lambda o: Concat([Activation("identity"), Conv2d(3, 4, 3, "tanh", padding=1, **o)]), dtype, rng)
    x, v = normals(rng, (5, 3, 6, 7), dtype), normals(rng, (5, 7, 6, 7), dtype)
    conv, eps = layer.layers[1], np.finfo(dtype).eps
    y, jac = layer.linearize(x)
    assert_array_equal(y, np.concatenate([x, conv(x)], axis=1))
    assert_allclose(y[:, 3:], np.tanh(reference.conv2d(x, *conv.params.values(), padding=1)), rtol=0, atol=20 * eps)
    own = reference.conv2d_jac_tmv(v[:, 3:] * (1 - y[:, 3:].astype(float) ** 2), x, conv.params["W"], padding=1)
    for name, a in {"x": own["x"] + v[:, :3], "1.W": own["W"], "1.b": own["b"]}.items():
        assert_allclose(jac.tmv(v)[name], a, rtol=0, atol=50 * eps * np.abs(a).max(), err_msg=name)


@images
def test_the_same_bits_for_any_number_of_threads(build, shape, isa, dtype, rng):
    layer = made(build, dtype, rng)
    x = normals(rng, (64, *shape), dtype)
    v = normals(rng, layer(x).shape, dtype)

    def everything():
        y, jac = layer.linearize(x)
        return {"y": y, "mv": jac.mv(x=x), **jac.tmv(v)}

    found = []
    for threads in (1, 2):
        fastlec.set_num_threads(threads)
        found.append(everything())
    fastlec.set_num_threads(None)
    nets.assert_same(*found)


def test_samples_do_not_reach_each_other(dtype, rng):
    """NaN and infinities of one sample stay in it."""
    layer = made(without_halving, dtype, rng)
    x = normals(rng, (5, 2, 4, 5), dtype)
    y, others = layer(x), [0, 1, 3]
    x[2], x[4, 0, 1, 1] = np.nan, np.inf
    found = layer(x)
    assert_array_equal(found[others], y[others])
    assert np.isnan(found[2]).all()


def test_a_joint_of_rows_from_anywhere(dtype, rng):
    """Samples in any order of memory, and a given output."""
    layer = Concat([Dense(4, 3, dtype=dtype, rng=0), Activation("identity")])
    x = normals(rng, (9, 4), dtype)
    expected = layer(x)
    for other in (np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2], x.astype(x.dtype.newbyteorder())):
        assert_array_equal(layer(other), expected)
    out = np.empty_like(expected)
    assert layer(x, out=out) is out
    assert_array_equal(out, expected)


# --- jobs ---------------------------------------------------------------------------------------------------------------


def kernels_of(layer, x, backward=False):
    jobs = explain(layer, x).jobs
    return [job.kernel for job in (explain(layer, x, backward=True).jobs[len(jobs) :] if backward else jobs)]


def test_a_skip_takes_one_job_forwards_and_none_backwards():
    """The convolution that is the lowest layer of the other branch adds v in its epilogue."""
    inner = Network([Conv2d(3, 3, 1), BatchNorm2d(3)])
    block, x = Sum([inner, Activation("identity")]), (4, 3, 8, 8)
    assert kernels_of(block, x) == [*kernels_of(inner, x), "add"]
    assert kernels_of(block, x, True) == kernels_of(inner, x, True)
    assert kernels_of(Sum([Network([BatchNorm2d(3)]), Activation("identity")]), x, True)[-1] == "add"


def test_a_joint_copies_only_what_cannot_be_computed_in_place():
    """Of a single sample every part of y is in one piece; v's as well."""
    convolutions = [Conv2d(3, 2, 1), Conv2d(3, 4, 1)]
    joint = Concat([*convolutions, Activation("identity")])
    for m, copies in ((1, 0), (4, 2)):
        assert kernels_of(joint, (m, 3, 8, 8)).count("add") == copies + 1
        assert kernels_of(joint, (m, 3, 8, 8), True).count("add") == (0 if m == 1 else 3)


def test_jobs_are_shown_by_the_names_of_their_layers():
    net = Network([Conv2d(2, 3, 1), Sum([Network([Conv2d(3, 3, 1), BatchNorm2d(3)]), Activation("tanh")]), Conv2d(3, 2, 1)])
    jobs = explain(net, (2, 2, 4, 4)).jobs
    assert list(dict.fromkeys(job.layer for job in jobs)) == [
        "0 Conv2d",
        "1.0.0 Conv2d",
        "1.0.1 BatchNorm2d",
        "1.1 Activation",
        "1 Sum",
        "2 Conv2d",
    ]
    both = explain(net, (2, 2, 4, 4), backward=True).jobs
    assert {job.layer for job in both[len(jobs) :]} >= {"0 Conv2d", "1.0.0 Conv2d", "1.1 Activation", "2 Conv2d"}


def test_a_training_step_writes_no_gradients(dtype, rng):
    """Weights change in the products that are their gradients, within branches as elsewhere."""
    net = made(lambda o: Network([Sum([Dense(5, 5, "tanh", **o), Activation("identity")]), Dense(5, 3, **o)]), dtype, rng)
    plan = Plan(dtype.num)
    x, y, v = normals(rng, (6, 5), dtype), plan.empty(6, 3), normals(rng, (6, 3), dtype)
    expected = net.theta - dtype.type(0.5) * net.jac_tmv(x, v, wrt="theta")["theta"]
    plan.set_states(net.theta, ())
    plan.set_rule("sgd", (0.5,))
    kept = net._plan_forward(plan, x, y)
    net._plan_backward(plan, y, kept, v, net.params)
    plan.run()
    assert not any(job.kernel == "update" for job in plan.explained())
    assert_allclose(net.theta, expected, rtol=0, atol=8 * np.finfo(dtype).eps)


# --- explicit Jacobians -------------------------------------------------------------------------------------------------


def test_matrices_are_sums_and_stacks_of_those_of_the_branches(dtype, rng):
    first, second = Dense(4, 3, dtype=dtype, rng=1), Dense(4, 3, "sigmoid", dtype=dtype, rng=2)
    x = normals(rng, (2, 4), dtype)
    A, B = (layer.linearize(x)[1].matrix("x") for layer in (first, second))
    assert_array_equal(Sum([first, second]).linearize(x)[1].matrix("x"), A + B)
    stacked = np.concatenate([A.reshape(2, 3, 8), B.reshape(2, 3, 8)], axis=1).reshape(12, 8)
    jac = Concat([first, second]).linearize(x)[1]
    assert_array_equal(jac.matrix("x"), stacked)
    by_W = second.linearize(x)[1].matrix("W").reshape(2, 3, 12)
    assert_array_equal(jac.matrix("1.W"), np.concatenate([0 * by_W, by_W], axis=1).reshape(12, 12))
    assert jac.matrix("theta").shape == (12, 30)


@pytest.mark.parametrize("kind", [Sum, Concat])
def test_matrices_of_convolutions_are_sparse(kind, dtype, rng):
    layers = [Conv2d(2, 2, 3, padding=1, dtype=dtype, rng=1), Activation("identity")]
    x = normals(rng, (2, 2, 5, 4), dtype)
    jac, dense = kind(layers).linearize(x)[1], kind([*layers, Activation("tanh")]).linearize(x)[1]
    for name in ("x", "0.W", "theta"):
        matrix = jac.matrix(name)
        assert scipy.sparse.issparse(matrix)
        assert matrix.dtype == dtype
        assert matrix.nnz <= (jac.layer._nonzeros(jac.kept, name) if name != "theta" else matrix.nnz)
        u = normals(rng, jac.shape_of(name), dtype)
        assert_allclose(matrix @ u.ravel(), jac.mv(**{name: u}).ravel(), rtol=0, atol=50 * np.finfo(dtype).eps)
    assert isinstance(dense.matrix("x"), np.ndarray)


def test_a_matrix_that_is_too_large():
    layer = Sum([Activation("tanh"), Activation("identity")])
    with pytest.raises(MemoryError, match="the Jacobian by 'x' is larger than 2 GiB"):
        layer.linearize(np.ones((1, 17000)))[1].matrix("x")


# --- what they say of themselves -----------------------------------------------------------------------------------------


def test_shapes_that_are_known_beforehand():
    block = Sum(residual_block(4, {"dtype": np.float64, "rng": 0})[0].layers)
    assert block.input_shape == (4, None, None)
    assert block._fits(None) == (4, None, None)
    assert block.output_shape((4, 5, 6)) == (4, 5, 6)
    joint = Concat([Activation("identity"), Conv2d(4, 2, 3, padding=1)])
    assert joint._fits(None) == (6, None, None)
    assert joint.output_shape([4, 5, 6]) == (6, 5, 6)
    assert Concat([Activation("tanh"), nets.Cube()])._fits(None) is None
    assert Concat([Dense(4, 3), nets.Scale(4)])._fits(None) == (7,)
    assert Sum([Flatten(), Flatten()])._fits((None, 3, 4)) == (None,)


LINEAR = Dense(4, 4, "identity")
REFUSED = {
    "no branch": (lambda: Sum([]), ValueError, "layers is empty; expected one layer or more"),
    "no layer": (lambda: Concat([Dense(4, 3), "relu"]), TypeError, "layers[1] is a str; expected a Layer"),
    "no list": (lambda: Sum(Dense(4, 3)), TypeError, "layers is a Dense; expected a sequence of layers"),
    "dtypes": (lambda: Sum([LINEAR, Dense(4, 4, dtype=np.float32)]), TypeError, "layers have dtypes"),
    "inputs": (
        lambda: Sum([LINEAR, Dense(5, 4)]),
        ValueError,
        "layers[1]: x has samples of shape (4,); expected (5,)",
    ),
    "inputs of images": (
        lambda: Concat([Activation("identity"), Conv2d(3, 2, 1), Conv2d(2, 2, 1)]),
        ValueError,
        "layers[2]: x has samples of shape (3, h, w); expected (2, h, w)",
    ),
    "outputs": (
        lambda: Sum([LINEAR, Dense(4, 3)]),
        ValueError,
        "layers[1] gives samples of shape (3,); expected (4,)",
    ),
    "skip of another size": (
        lambda: Sum([Conv2d(3, 4, 3), Activation("identity")]),
        ValueError,
        "layers[1] gives samples of shape (3, h, w); expected (4, h, w)",
    ),
    "in a network": (
        lambda: Network([Dense(4, 5), Sum([LINEAR, Activation("identity")])]),
        ValueError,
        "layers[1]: layers[0]: x has samples of shape (5,); expected (4,)",
    ),
    "size of images": (
        lambda: Concat([Conv2d(3, 4, 3), Activation("identity")]).output_shape((3, 5, 6)),
        ValueError,
        "layers[1] gives samples of shape (3, 5, 6); expected (c, 3, 4)",
    ),
    "images and vectors": (
        lambda: Concat([Flatten(), Activation("identity")])(np.ones((2, 3, 4, 4))),
        ValueError,
        "layers[1] gives samples of shape (3, 4, 4); expected (n,)",
    ),
    "numbers": (
        lambda: Concat([Activation("identity")])(np.ones(3)),
        ValueError,
        "layers[0] gives samples of shape (); expected one axis or more, the first to be joined",
    ),
    "x": (
        lambda: Sum([LINEAR, Activation("identity")])(np.ones((2, 3))),
        ValueError,
        "layers[0]: x has samples of shape (3,); expected (4,)",
    ),
    "a batch of one": (
        lambda: training_step(
            Network([Concat([Activation("identity"), fastlec.BatchNorm(4)])]), MeanSquaredError(), SGD(0.1), 3
        )(np.ones((1, 4)), np.ones((1, 8))),
        ValueError,
        "layers[1]: x has shape (1, 4); expected more than one value of each feature",
    ),
    "settings": (lambda: Sum([LINEAR]).with_settings(layers=[]), TypeError, "a Sum has no settings; make a new one"),
    "exchange": (lambda: setattr(Sum([LINEAR]), "layers", ()), AttributeError, "Sum([*net.layers[:-1], Dense(...)])"),
}


@pytest.mark.parametrize(("call", "kind", "text"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(call, kind, text):
    with pytest.raises(kind) as error:
        call()
    assert text in str(error.value)


def test_claims():
    identity, tanh = Activation("identity"), Activation("tanh")
    assert Sum([LINEAR, identity]).affine_in_theta
    assert Sum([LINEAR, tanh, LINEAR]).affine_in_theta
    assert not Sum([LINEAR, Dense(4, 4)]).affine_in_theta
    assert Concat([LINEAR, identity]).linear_in_x
    assert not Sum([LINEAR, tanh]).linear_in_x
    assert Sum([identity, Dropout(0.5, training=True)]).couples_samples
    assert not Sum([identity, Dropout(0.5)]).couples_samples
    assert Sum([LINEAR, tanh])._planned
    assert not Sum([LINEAR, nets.Cube()])._planned


def test_an_affine_network_of_branches_has_an_exact_hessian(rng):
    net = Network([Concat([Dense(4, 2, "identity", rng=0), Dense(4, 1, "identity", rng=1)])])
    f = Objective(net, SoftmaxCrossEntropy(), normals(rng, (9, 4), np.float64), rng.integers(0, 3, 9))
    theta, v = rng.standard_normal((2, net.n_params))
    steps = [f.gradient(theta + h * v) for h in (1e-5, -1e-5)]
    assert_allclose(f.hessian_mv(theta, v), (steps[0] - steps[1]) / 2e-5, rtol=1e-7, atol=1e-9)


def test_values_of_branches_count_where_parts_are_made(rng):
    """So that an objective over many samples takes no more memory for a network of blocks."""
    block = Network([Conv2d(2, 8, 1), Conv2d(8, 2, 1)])
    net = Network([Sum([block, Activation("identity")]), Flatten()])
    assert net._kept_values((2, 3, 3)) == 72 + 18 + 18 + 18
    assert net._widest((2, 3, 3)) == 72
    assert Concat([Activation("tanh"), Activation("tanh")])._widest((2, 3, 3)) == 36


def test_as_deep_as_layers_may_be(rng):
    layer = Dense(2, 2, rng=0)
    for i in range(MOST_DEPTH):
        layer = (Sum if i % 2 else Concat)([layer])
    with pytest.raises(ValueError, match=r"layers\[0\] nests networks 64 deep; expected at most 63"):
        Sum([layer])
    x = normals(rng, (3, 2), np.float64)
    y, jac = layer.linearize(x)
    assert_allclose(y, np.tanh(x @ layer.theta[:4].reshape(2, 2).T), rtol=1e-14)
    assert jac.tmv(y)["x"].shape == x.shape
    assert pickle.loads(pickle.dumps(layer)).theta.tolist() == layer.theta.tolist()


# --- copies, files, seeds ------------------------------------------------------------------------------------------------

COPIES = [
    copy.copy,
    copy.deepcopy,
    lambda layer: pickle.loads(pickle.dumps(layer)),
    lambda layer: layer.astype(layer.theta.dtype),
]


@images
def test_copies(build, shape, dtype, rng):
    layer = made(build, dtype, rng)
    x = normals(rng, (3, *shape), dtype)
    y = layer(x)
    for how in COPIES:
        other = how(layer)
        assert type(other) is type(layer)
        assert_array_equal(other(x), y)
        assert repr(other) == repr(layer)
        for name, a in other.params.items():
            assert not np.may_share_memory(a, layer.params[name])
            assert np.may_share_memory(a, other.theta)


def test_parameters_are_views_of_the_networks_theta(rng):
    net = residual_network({"dtype": np.float64, "rng": rng})
    assert {"1.0.0.W", "1.0.1.gamma", "3.0.4.beta", "6.b"} <= set(net.params)
    assert {"1.0.1.running_mean", "3.0.4.running_var"} <= set(net.buffers)
    net.theta[:] = 3
    block = net.layers[1]
    assert (block.layers[0].layers[3].params["W"] == 3).all()
    assert np.shares_memory(block.theta, net.theta)
    assert "\n    Sum([\n        Network([\n            Conv2d(" in repr(net)
    assert "1 Sum" in net.summary((2, 4, 5))


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_files(ending, tmp_path, dtype, rng, monkeypatch):
    if ending == ".safetensors":
        pytest.importorskip("safetensors")
    monkeypatch.setitem(KINDS, "Twice", Twice)
    x = normals(rng, (3, 2, 4, 6), dtype)
    nets_of = [lambda o: unet(o, Twice()), lambda o: unet(o, Upsample2d(2)), lambda o: Network([residual_block(2, o)[0]])]
    for build in [*nets_of, without_halving]:
        net = made(build, dtype, rng)
        net.save(tmp_path / f"net{ending}")
        other = Network.load(tmp_path / f"net{ending}")
        assert other.config() == net.config()
        assert_array_equal(other(x), net(x))
        nets.assert_same(other.buffers, net.buffers)


def test_a_subclass_is_in_no_file(tmp_path):
    class Mine(Sum):
        pass

    with pytest.raises(TypeError, match=r"a network is a Mine, which a file does not hold: save Sum\(net\.layers\)"):
        Network([Mine([Dense(3, 3)])]).save(tmp_path / "net.npz")


def test_one_seed_draws_all_branches():
    first, second = (
        Network([Sum([Network([Dense(4, 4), Dense(4, 4)]), Dense(4, 4)]), Concat([Dense(4, 2), Dense(4, 2, rng=5)])], rng=seed)
        for seed in (1, 2)
    )
    differ = {name for name, a in first.params.items() if a.ndim > 1 and (a != second.params[name]).any()}
    assert differ == {"0.0.0.W", "0.0.1.W", "0.1.W", "1.0.W"}
    assert_array_equal(first.params["1.1.W"], Dense(4, 2, rng=5).params["W"])


# --- training ----------------------------------------------------------------------------------------------------------


def classes(rng, m=24, shape=(2, 4, 5)):
    return rng.standard_normal((m, *shape)), rng.integers(0, 3, m)


def test_training_is_the_same_for_any_number_of_threads(isa, dtype):
    found = []
    for threads in (1, 2):
        fastlec.set_num_threads(threads)
        rng = np.random.default_rng(3)
        net, (X, y) = residual_network({"dtype": dtype, "rng": rng}), classes(rng, 48)
        step = training_step(net, SoftmaxCrossEntropy(), SGD(0.1, momentum=0.9), 48)
        losses = [step(X, y) for _ in range(3)]
        found.append((losses, net.theta, *net.buffers.values()))
    fastlec.set_num_threads(None)
    for one, other in zip(*found, strict=True):
        assert_array_equal(one, other)


@pytest.mark.parametrize(
    "build",
    [residual_network]
    + [
        lambda o, up=up: Network([*unet(o, up).layers, Flatten(), Dense(48, 3, "identity", **o)])
        for up in (Twice(), Upsample2d(2))
    ],
)
def test_a_step_is_that_of_the_gradient(build, dtype, rng):
    """Loss and theta, in training; buffers as a batch's statistics make them."""
    net, (X, y) = made(build, dtype, rng), classes(rng, shape=(2, 4, 5) if build is residual_network else (2, 4, 6))
    X, loss, eps = X.astype(dtype), SoftmaxCrossEntropy(), float(np.finfo(dtype).eps)
    form = net.for_training()
    output, jac = form.linearize(X)
    value, v = loss.value_and_gradient(output, y)
    expected = net.theta - dtype.type(0.25) * jac.tmv(v, "theta")["theta"]
    other = copy.deepcopy(net)
    other.for_training().update_buffers(other.for_training().linearize(X)[1].kept)
    assert training_step(net, loss, SGD(0.25), 24)(X, y) == pytest.approx(value, rel=32 * eps)
    assert_allclose(net.theta, expected, rtol=0, atol=64 * eps)
    for name, a in net.buffers.items():
        assert_allclose(a, other.buffers[name], rtol=8 * eps, err_msg=name)


def test_parts_that_are_trained(dtype, rng):
    """A branch that is not keeps its bits, and its running statistics."""
    net, (X, y) = residual_network({"dtype": dtype, "rng": rng}), classes(rng)
    before = {name: a.copy() for name, a in (net.params | net.buffers).items()}
    inner = net.layers[1].layers[0]
    step = training_step(net, SoftmaxCrossEntropy(), SGD(0.1, momentum=0.9), 24, trainable=[inner.layers[3], "3.0.1.*"])
    for _ in range(2):
        step(X.astype(dtype), y)
    changed = {name for name, a in (net.params | net.buffers).items() if (a != before[name]).any()}
    assert changed == {"1.0.3.W", *(f"3.0.1.{name}" for name in ("gamma", "beta", "running_mean", "running_var"))}


def test_dropout_in_a_branch_drops_whatever_is_trained(rng):
    net = Network([Sum([Network([Dropout(0.5, rng=0)]), Activation("identity")]), Dense(4, 3, "identity", rng=1)])
    step = training_step(net, SoftmaxCrossEntropy(), SGD(0.1), 6, trainable="1.W")
    step(rng.standard_normal((6, 4)), rng.integers(0, 3, 6))
    assert net.buffers["0.0.0.count"][0] == 1
    assert net.for_training().layers[0].couples_samples


def test_fit_stops_and_goes_on(tmp_path, rng):
    """The same bits in one go as with a stop, from a checkpoint; the best network is in it."""
    X, y = classes(rng, 30)
    settings = {"optimizer": Adam(0.01), "batch_size": 8, "validation": (X[:9], y[:9]), "rng": 0}

    def trained(epochs, **more):
        net = residual_network({"dtype": np.float64, "rng": 1})
        return net, fit(net, X, y, epochs=epochs, early_stopping=EarlyStopping(9, restore_best=True), **settings, **more)

    whole, history = trained(4)
    assert history.train_loss[-1] < history.train_loss[0]
    trained(2, checkpoint=tmp_path / "part.npz")
    parts, _ = trained(4, checkpoint=tmp_path / "part.npz")
    assert_array_equal(parts.theta, whole.theta)
    loaded = Network.load(tmp_path / "part.npz")
    assert_array_equal(loaded.predict(X), whole.predict(X))
    assert [a.shape for a in loaded.activations(X)][1] == (30, 4, 4, 5)


@pytest.mark.parametrize("own", [False, True])
def test_objectives(own, rng):
    o = {"dtype": np.float64, "rng": rng}
    branches = [Network([Residual(4, **o), nets.Cube() if own else Dense(4, 4, "gelu", **o)]), Activation("identity")]
    net = Network([Sum(branches), Concat([Dense(4, 2, **o), Dense(4, 1, "identity", **o)])])
    f = Objective(net, SoftmaxCrossEntropy(), rng.standard_normal((9, 4)), rng.integers(0, 3, 9))
    fastlec.testing.gradient_test(f.value, f.gradient, net.theta, rng=1).assert_passed()
    v, w = rng.standard_normal((2, net.n_params))
    assert_allclose(v @ f.gauss_newton_mv(net.theta, w), w @ f.gauss_newton_mv(net.theta, v), rtol=1e-12)


def test_plans_of_branches_are_kept(rng):
    """Calls with other samples find the plan of the first."""
    layer = Sum([Dense(4, 4, rng=0), Activation("identity")])
    x = rng.standard_normal((container.MOST_IDLE, 3, 4))
    assert_array_equal([layer(one) for one in x], [layer(one) for one in x])
    assert_allclose(layer(x[0]), np.tanh(x[0] @ layer.params["0.W"].T) + x[0], rtol=1e-14)
