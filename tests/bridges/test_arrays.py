"""Arrays and tables of JAX, polars and scikit-image are taken as NumPy's are; what comes back is NumPy's."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fastlec
from fastlec import Dense, Network, fit

KERNEL = np.ones((3, 3), np.float32) / 9


@pytest.fixture
def jnp():
    return pytest.importorskip("jax.numpy")


def test_functions_of_arrays_of_jax(jnp, rng):
    x = rng.standard_normal((6, 4)).astype(np.float32)
    given = jnp.array(x)
    for function in (fastlec.softmax, fastlec.logsumexp, fastlec.tanh, fastlec.gelu):
        found = function(given)
        assert type(found) is np.ndarray
        assert_array_equal(found, function(x), strict=True)
    loss, gradient = fastlec.softmax_cross_entropy(given, jnp.arange(6) % 4)
    expected = fastlec.softmax_cross_entropy(x, np.arange(6) % 4)
    assert loss == expected[0]
    assert_array_equal(gradient, expected[1], strict=True)
    images = jnp.array(rng.standard_normal((2, 1, 5, 5)), np.float32)
    assert_array_equal(fastlec.conv2d(images, KERNEL[None, None]), fastlec.conv2d(np.asarray(images), KERNEL[None, None]))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int32", "bool"])
def test_dtypes_of_jax(jnp, dtype):
    x = jnp.array([[0, 1, 1]], dtype)
    assert_array_equal(fastlec.softmax(x), fastlec.softmax(np.asarray(x)), strict=True)


BFLOAT16 = {
    "softmax": lambda x: fastlec.softmax(x),
    "weighted logsumexp": lambda x: fastlec.logsumexp(x, b=x, return_sign=True),
    "gelu": lambda x: fastlec.gelu(x.T),
    "a number": lambda x: fastlec.tanh(x[0, 0]),
    "value_and_derivative": lambda x: fastlec.value_and_derivative(x, "silu"),
    "softmax_cross_entropy": lambda x: fastlec.softmax_cross_entropy(x, x, sample_weight=abs(x[:, 0])),
    "matmul": lambda x: fastlec.matmul(x, x.T),
    "conv2d": lambda x: fastlec.conv2d(x[None, None], x[None, None, :3, :3], b=x[0, :1]),
    "conv2d_jac_tmv": lambda x: fastlec.conv2d_jac_tmv(x[None, None], x[None, None], x[None, None, :1, :1])["W"],
    "im2col": lambda x: fastlec.im2col(x[None, None], 2),
    "filter2d": lambda x: fastlec.filter2d(x, x[:3, :3]),
    "SoftmaxObjective": lambda x: fastlec.SoftmaxObjective(x, np.arange(6) % 2, sample_weight=abs(x[:, 0])).gradient(
        x.ravel()[:10]
    ),
    "kmeans": lambda x: [(found := fastlec.kmeans(x, 2, rng=0)).centers, found.predict(x)],
    "robust_lstsq": lambda x: fastlec.robust_lstsq(x[:, :2], x[:, 2]).x,
    "Dense": lambda x: Dense(4, 3, dtype=np.float32, rng=0)(x),
    "reference": lambda x: fastlec.reference.logsumexp(x),
}


@pytest.mark.parametrize("call", BFLOAT16.values(), ids=BFLOAT16)
def test_bfloat16_is_computed_in_float32(call, rng):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = rng.standard_normal((6, 4)).astype(ml_dtypes.bfloat16)
    found, expected = call(x), call(x.astype(np.float32))
    assert type(found) is type(expected)
    for a, b in zip(found, expected, strict=True) if isinstance(found, tuple | list) else [(found, expected)]:
        assert_array_equal(a, b, strict=True)


def test_networks_with_arrays_of_jax(jnp, rng):
    X, y = rng.standard_normal((20, 3)).astype(np.float32), np.arange(20) % 2
    nets = [Network([Dense(3, 2, "identity")], rng=0).astype("float32") for _ in range(2)]
    for net, (samples, targets) in zip(nets, ((X, y), (jnp.array(X), jnp.array(y))), strict=True):
        fit(net, samples, targets, optimizer=fastlec.SGD(0.1), epochs=2, batch_size=5, rng=0)
    assert_array_equal(nets[0].theta, nets[1].theta)
    assert_array_equal(nets[0].predict(jnp.array(X)), nets[0].predict(X))


def test_what_jax_has_and_fastlec_has_not(jnp):
    import jax

    with pytest.raises(TypeError, match="x has dtype float8_e4m3fn; expected float32"):
        fastlec.softmax(jnp.ones(3, "float8_e4m3fn"))
    with pytest.raises(TypeError, match="traced array"):
        jax.jit(fastlec.softmax)(jnp.ones(3))


def test_tables_of_polars(rng):
    polars = pytest.importorskip("polars")
    X, y = rng.standard_normal((20, 2)), np.arange(20) % 2
    table, labels = polars.DataFrame({"a": X[:, 0], "b": X[:, 1]}), polars.Series("y", y)
    assert_array_equal(fastlec.softmax(table), fastlec.softmax(X), strict=True)
    assert_array_equal(fastlec.softmax(table["a"]), fastlec.softmax(X[:, 0]), strict=True)
    single = table.cast(polars.Float32)
    assert_array_equal(fastlec.tanh(single), fastlec.tanh(X.astype(np.float32)), strict=True)
    nets = [Network([Dense(2, 2, "identity")], rng=0) for _ in range(2)]
    for net, (samples, targets) in zip(nets, ((X, y), (table, labels)), strict=True):
        fit(net, samples, targets, optimizer=fastlec.SGD(0.1), epochs=2, batch_size=5, rng=0)
    assert_array_equal(nets[0].theta, nets[1].theta)
    assert_array_equal(fastlec.relu(polars.Series([1, None, -2])), [1, np.nan, 0])
    assert_array_equal(fastlec.relu(polars.DataFrame({"a": [1.5, None], "b": [1, 2]})), [[1.5, 1], [np.nan, 2]])
    with pytest.raises(TypeError, match="x has dtype object; expected float32"):
        fastlec.softmax(polars.DataFrame({"a": [1.0], "b": ["x"]}))


@pytest.mark.parametrize("kind", ["img_as_ubyte", "img_as_uint", "img_as_float32", "img_as_float64", "img_as_bool"])
def test_images_of_scikit_image(kind):
    skimage = pytest.importorskip("skimage")
    image = getattr(skimage.util, kind)(skimage.data.camera()[:40, :50])
    assert_array_equal(fastlec.filter2d(image, KERNEL), fastlec.filter2d(np.array(image), KERNEL), strict=True)
    turned = skimage.util.invert(image)[::-1, ::2]
    assert_array_equal(fastlec.filter2d(turned, KERNEL), fastlec.filter2d(turned.copy(), KERNEL), strict=True)
    smooth = skimage.filters.gaussian(skimage.util.img_as_float32(image))
    assert fastlec.sigmoid(smooth).dtype == np.float32
