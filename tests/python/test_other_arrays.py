"""What other libraries have for arrays is taken as an array of NumPy's: by DLPack, pandas's nullable columns, Pillow's images."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import fastlec
from fastlec import Dense, Network, SoftmaxObjective, fit


class ByDLPack:
    """An array that offers nothing but DLPack."""

    def __init__(self, a, error=None):
        self.a, self.error = a, error

    def __dlpack__(self, **options):
        if self.error:
            raise self.error
        return self.a.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.a.__dlpack_device__()


@pytest.mark.parametrize("order", ["C", "F"])
def test_dlpack(dtype, order, rng):
    x = np.asarray(rng.standard_normal((5, 4)), dtype, order=order)
    given = ByDLPack(x)
    assert_array_equal(fastlec.softmax(given), fastlec.softmax(x), strict=True)
    assert_array_equal(fastlec.tanh(given), fastlec.tanh(x), strict=True)
    assert_array_equal(fastlec.matmul(given, ByDLPack(x.T)), fastlec.matmul(x, x.T), strict=True)
    layer = Dense(4, 3, dtype=dtype, rng=0)
    assert_array_equal(layer(given), layer(x), strict=True)
    labels = np.array([0, 1, 2, 3, 0])
    found, expected = (fastlec.softmax_cross_entropy(a, b) for a, b in ((given, ByDLPack(labels)), (x, labels)))
    assert found[0] == expected[0]
    assert_array_equal(found[1], expected[1], strict=True)


@pytest.mark.parametrize(
    "error", [BufferError("it is read-only"), RuntimeError("it is a trace"), ValueError("it is on another device")]
)
def test_dlpack_that_numpy_cannot_read(error):
    with pytest.raises(TypeError, match="x is a ByDLPack that NumPy cannot read: "):
        fastlec.softmax(ByDLPack(np.ones(3), error))


# --- pandas ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def pandas():
    return pytest.importorskip("pandas")


@pytest.mark.parametrize(
    ("kinds", "dtype"),
    [
        (("Float64", "Float64"), np.float64),
        (("Float32", "Float32"), np.float32),
        (("Float32", "float32"), np.float32),
        (("Int64", "Float32"), np.float64),
        (("boolean", "Int8"), np.float64),
        (("float64", "boolean"), np.float64),
    ],
)
def test_tables_with_nullable_columns(kinds, dtype, pandas):
    a = np.array([[1, 0], [0, 1], [1, 1]])
    table = pandas.DataFrame({name: pandas.array(column, kind) for name, column, kind in zip("ab", a.T, kinds, strict=True)})
    layer = Dense(2, 3, dtype=np.float32, rng=0)
    assert_array_equal(layer(table), layer(a.astype(dtype)), strict=True)
    assert_array_equal(fastlec.softmax(table), fastlec.softmax(a.astype(dtype)), strict=True)


def test_missing_values_are_nan(pandas):
    table = pandas.DataFrame({"a": pandas.array([1, None, 3], "Int64"), "b": pandas.array([0.5, 1.5, 2.5], "Float64")})
    assert_array_equal(fastlec.relu(table), [[1, 0.5], [np.nan, 1.5], [3, 2.5]])
    assert_array_equal(fastlec.relu(pandas.array([True, None], "boolean")), [1, np.nan])
    with pytest.raises(ValueError, match=r"X\[1, 0\] is nan"):
        fastlec.kmeans(table, 2)
    with pytest.raises(TypeError, match="labels has dtype float64; expected integers"):
        fastlec.softmax_cross_entropy(np.ones((2, 2)), pandas.Series([1, None], dtype="Int64"))


def test_tables_train_as_arrays_do(pandas, rng):
    X, y = rng.standard_normal((20, 3)), np.arange(20) % 2
    table = pandas.DataFrame(X, columns=list("abc"), dtype="Float64")
    labels = pandas.Series(y, dtype="Int64")
    nets = [Network([Dense(3, 2, "identity")], rng=0) for _ in range(2)]
    for net, (samples, targets) in zip(nets, ((X, y), (table, labels)), strict=True):
        fit(net, samples, targets, optimizer=fastlec.SGD(0.1), epochs=2, batch_size=5, rng=0)
    assert_array_equal(nets[0].theta, nets[1].theta)
    theta = np.zeros(8)
    assert SoftmaxObjective(table, labels).value(theta) == SoftmaxObjective(X, y).value(theta)
    assert_array_equal(fastlec.kmeans(table, 2, rng=0).centers, fastlec.kmeans(X, 2, rng=0).centers)


def test_columns_of_text_are_refused(pandas):
    table = pandas.DataFrame({"a": pandas.array([1.0, 2.0], "Float64"), "b": ["x", "y"]})
    with pytest.raises(TypeError, match="x has dtype object; expected float32"):
        fastlec.softmax(table)


# --- Pillow ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "1", "F", "I;16"])
def test_images_of_pillow(mode, rng):
    image = pytest.importorskip("PIL.Image").fromarray(rng.integers(0, 255, (9, 7, 3), dtype=np.uint8))
    image = image.convert("L" if mode == "I;16" else mode).convert(mode)
    pixels, kernel = np.asarray(image), np.ones((3, 3)) / 9
    assert pixels.shape[:2] == (9, 7)
    assert_array_equal(fastlec.filter2d(image, kernel), fastlec.filter2d(pixels, kernel), strict=True)
    assert_array_equal(fastlec.sigmoid(image), fastlec.sigmoid(pixels), strict=True)
