"""Values in float64 with how far from them a computation in float32 or float64 may be: errors go where the values go.

The units are those of conftest.UNITS; a sum is off by "product" times the sum of its absolute terms.
"""

import numpy as np
from numpy.testing import assert_array_less

from fastlec import reference

ACTIVATIONS = ("tanh", "sigmoid", "relu", "gelu", "gelu_tanh", "silu", "softplus", "elu", "leaky_relu", "identity")
KINKS = {"relu": 1, "leaky_relu": 0.99}  # by how much the derivative jumps at 0


class Near:
    """A float64 array, and for each element a bound of the error."""

    def __init__(self, value, error=0.0):
        self.value = np.asarray(value, np.float64)
        self.error = np.broadcast_to(error, self.value.shape)

    @property
    def size(self):
        return np.abs(self.value) + self.error

    @property
    def T(self):
        return Near(self.value.T, self.error.T)

    def reshape(self, *shape):
        return Near(self.value.reshape(shape), self.error.reshape(shape))

    def check(self, found):
        """found is as near as that."""
        found = np.asarray(found)
        assert found.shape == self.value.shape
        excess = np.abs(found - self.value) - self.error
        assert_array_less(excess, np.finfo(found.dtype).smallest_normal, err_msg="beyond the bound by")


class Bounds:
    """Arithmetic of `Near` for one dtype. tolerance: the fixture."""

    def __init__(self, tolerance, dtype):
        names = ("product", "map", "slope", "winograd")
        self.sum, self.map, self.slope, self.winograd = (tolerance(name, dtype) for name in names)
        self.eps = float(np.finfo(dtype).eps)

    def unit(self, n):
        """Of a sum of n terms, relative to the sum of their absolute values."""
        return min(self.sum, n * self.eps)

    def product(self, a, b):
        error = (a.error + self.unit(len(b.value)) * a.size) @ b.size
        if b.error.any():
            error += np.abs(a.value) @ b.error
        return Near(a.value @ b.value, error)

    def add(self, *terms):
        value = sum(t.value for t in terms)
        return Near(value, sum(t.error for t in terms) + self.unit(len(terms)) * sum(t.size for t in terms))

    def times(self, a, b):
        value = a.value * b.value
        return Near(value, a.error * b.size + np.abs(a.value) * b.error + self.eps * np.abs(value))

    def total(self, a):
        """The sum of the rows."""
        return Near(a.value.sum(axis=0, dtype=np.longdouble), (a.error + self.unit(len(a.value)) * a.size).sum(axis=0))

    def activate(self, z, name):
        """(sigma(z), sigma'(z) as it follows from sigma(z), or z). No sigma is steeper than 1.13, no slope of those without a kink
        than 2 by sigma(z) or z; either slope may be found near a kink."""
        y, slope = reference.value_and_derivative(z.value, name)
        rounding = 0 if name in ("relu", "identity") else self.map
        if name == "gelu":  # the reference rounds z^2 / 2 before it takes the exponential
            rounding = 2 * self.map + 2e-16 * z.value**2
        if name == "gelu_tanh":  # whose argument, cubic in z, is rounded before it
            rounding = self.map * (2 + z.value**2)
        y = Near(y, (1.13 if name in ("gelu", "gelu_tanh", "silu") else 1) * z.error + rounding * np.abs(y))
        if name == "identity":
            return y, Near(slope)
        if name in KINKS:
            return y, Near(slope, KINKS[name] * (np.abs(z.value) <= z.error) + self.slope * (name == "leaky_relu"))
        return y, Near(slope, 2 * y.error + 4 * self.slope * (name in ("gelu", "gelu_tanh", "silu")) + self.slope)


class Product:
    """The linear map x W' of samples x (m, n), with what its derivatives are made of."""

    def __init__(self, bounds):
        self.bounds = bounds

    def of(self, x, W):
        return self.bounds.product(x, W.T)

    def by_input(self, g, W, shape):
        return self.bounds.product(g, W)

    def by_weights(self, g, x, shape):
        return self.bounds.product(g.T, x)

    def spread(self, b, shape):
        """A bias, for all samples."""
        return Near(np.broadcast_to(b.value, shape))

    def total(self, g):
        return self.bounds.total(g)


class Convolution:
    """The linear map W * x of images x (m, c, h, w), as `Product`. winograd: whether that is the algorithm. kind: the reference's
    function; options: its own."""

    def __init__(self, bounds, winograd=False, kind="conv2d", **options):
        self.bounds, self.winograd, self.kind, self.options = bounds, winograd, kind, options

    def terms(self, W):
        """Those of the sums forward, and of the sums back."""
        both = W.value[0].size, W.value[:, 0].size
        return both[::-1] if self.kind == "conv_transpose2d" else both

    def of(self, x, W):
        return self.bilinear("y", x, W, self.terms(W)[0])

    def by_input(self, g, W, shape):
        return self.bilinear("x", g, W, self.terms(W)[1], shape)

    def by_weights(self, g, x, shape):
        return self.bilinear("W", g, x, max(g.value[:, 0].size, x.value[:, 0].size), shape)

    def bilinear(self, which, a, b, terms, shape=()):
        """y, or the derivative by x or W, which has this shape: a sum of so many products of elements of a and b."""

        def compute(a, b, shape=shape, options=self.options):
            if which == "y":
                return getattr(reference, self.kind)(a, b, **options)
            wanted = np.zeros(shape)
            arrays = (a, wanted, b) if which == "x" else (a, b, wanted)
            return getattr(reference, f"{self.kind}_jac_tmv")(*arrays, **options)[which]

        error = compute(a.error + self.bounds.unit(terms) * a.size, b.size)
        if b.error.any():
            error += compute(np.abs(a.value), b.error)
        if self.winograd:  # which mixes all the elements of a tile, and all taps
            within = {"axis": (2, 3), "keepdims": True}
            factor = b.size.max(**within) if which == "W" else b.size.sum(**within)
            tiles = compute(a.size.max(**within), factor, (*shape[:2], 1, 1), {"groups": self.options["groups"]})
            if which == "W":
                tiles = np.maximum(tiles, compute(a.size, b.size).max(**within))
            error += self.bounds.winograd * tiles
        return Near(compute(a.value, b.value), error)

    def spread(self, b, shape):
        return Near(np.broadcast_to(b.value.reshape(-1, *[1] * (len(shape) - 2)), shape))

    def total(self, g):
        """The sums of all pixels of a channel, in all images."""
        return self.bounds.total(Near(*(np.moveaxis(a, 1, -1).reshape(-1, a.shape[1]) for a in (g.value, g.error))))


def _maps(layer, bounds):
    """{weights: the map of their layer}."""
    kind = type(layer).__name__
    if kind == "Conv2d":
        options = {name: getattr(layer, name) for name in ("stride", "padding", "dilation", "groups")}
        return {"W": Convolution(bounds, layer.algorithm == "winograd", **options)}
    if kind in ("Conv1d", "ConvTranspose2d"):
        function = {"Conv1d": "conv1d", "ConvTranspose2d": "conv_transpose2d"}[kind]
        names = [name for name in ("stride", "padding", "output_padding", "dilation", "groups") if hasattr(layer, name)]
        return {"W": Convolution(bounds, kind=function, **{name: getattr(layer, name) for name in names})}
    if kind in ("ConvResidual", "ProjectedConvResidual"):
        centred = [((taps - 1) // 2, taps // 2) for taps in layer.kernel_size]
        if kind == "ConvResidual":
            return dict.fromkeys(("W1", "W2"), Convolution(bounds, padding=centred))
        return {"W1": Convolution(bounds, stride=layer.stride, padding=centred), "W2": Convolution(bounds, stride=layer.stride)}
    return dict.fromkeys(("W", "W1", "W2"), Product(bounds))


class Linearized:
    """What a layer must give at x: y, mv(directions) and tmv(v), each `Near`, v and the directions being arrays. layer: one of
    fastlec's own, or a network of them; only its settings and its parameters are taken from it, these in float64."""

    def __init__(self, layer, x, bounds):
        self.x, self.bounds = x if isinstance(x, Near) else Near(x), bounds
        self.p = {name: Near(a) for name, a in layer.params.items()}
        self.maps = _maps(layer, bounds)
        self.forward(layer)

    def directions(self, directions):
        return {name: d if isinstance(d, Near) else Near(d) for name, d in directions.items()}

    def given(self, directions, i):
        """Those of layer i of a layer of layers, by its own names, and that of x."""
        own = {name.removeprefix(f"{i}."): d for name, d in directions.items() if name.startswith(f"{i}.")}
        return own | ({"x": directions["x"]} if "x" in directions else {})

    def of(self, x, W):
        return self.maps[W].of(x, self.p[W])

    def terms(self, x, W, dx, dW):
        """The values whose sum is the differential of the map of the weights named W."""
        found = [] if dx is None else [self.of(dx, W)]
        return found if dW is None else [*found, self.maps[W].of(x, dW)]

    def sum(self, terms, shape):
        return self.bounds.add(*terms) if terms else Near(np.zeros(shape))

    def through(self, v, W, x):
        """The derivatives of the map by its input and its weights, transposed, times v."""
        own = self.maps[W]
        return own.by_input(v, self.p[W], x.value.shape), own.by_weights(v, x, self.p[W].value.shape)

    def inner(self, activation, W, b):
        """(sigma, sigma') of x W' + b."""
        terms = [self.of(self.x, W)]
        if b in self.p:
            terms.append(self.maps[W].spread(self.p[b], terms[0].value.shape))
        return self.bounds.activate(self.bounds.add(*terms), activation)

    def inner_mv(self, W, dx, dW, db):
        terms = self.terms(self.x, W, dx, dW)
        if db is not None:
            terms.append(self.maps[W].spread(db, self.slope.value.shape))
        return self.bounds.times(self.slope, self.sum(terms, self.slope.value.shape))

    def inner_tmv(self, v, W, b):
        g = self.bounds.times(v, self.slope)
        by_x, by_W = self.through(g, W, self.x)
        return {"x": by_x, W: by_W} | ({b: self.maps[W].total(g)} if b in self.p else {})


class _Dense(Linearized):
    def forward(self, layer):
        self.y, self.slope = self.inner(layer.activation, "W", "b")

    def mv(self, directions):
        d = self.directions(directions)
        return self.inner_mv("W", d.get("x"), d.get("W"), d.get("b"))

    def tmv(self, v):
        return self.inner_tmv(v if isinstance(v, Near) else Near(v), "W", "b")


class _Residual(Linearized):
    def forward(self, layer):
        self.h, self.slope = self.inner(layer.activation, "W1", "b")
        self.y = self.bounds.add(self.x, self.of(self.h, "W2"))

    def mv(self, directions):
        d = self.directions(directions)
        dh = self.inner_mv("W1", d.get("x"), d.get("W1"), d.get("b"))
        terms = self.terms(self.h, "W2", dh, d.get("W2"))
        return self.bounds.add(*terms, *([d["x"]] if "x" in d else []))

    def tmv(self, v):
        v = v if isinstance(v, Near) else Near(v)
        by_h, by_W2 = self.through(v, "W2", self.h)
        found = self.inner_tmv(by_h, "W1", "b")
        return found | {"x": self.bounds.add(v, found["x"]), "W2": by_W2}


class _ProjectedResidual(Linearized):
    def forward(self, layer):
        self.h, self.slope = self.inner(layer.activation, "W1", "b")
        self.y = self.bounds.add(self.of(self.x, "W2"), self.h)

    def mv(self, directions):
        d = self.directions(directions)
        dh = self.inner_mv("W1", d.get("x"), d.get("W1"), d.get("b"))
        return self.bounds.add(*self.terms(self.x, "W2", d.get("x"), d.get("W2")), dh)

    def tmv(self, v):
        v = v if isinstance(v, Near) else Near(v)
        found = self.inner_tmv(v, "W1", "b")
        by_x, by_W2 = self.through(v, "W2", self.x)
        return found | {"x": self.bounds.add(by_x, found["x"]), "W2": by_W2}


class _Activation(Linearized):
    def forward(self, layer):
        self.y, self.slope = self.bounds.activate(self.x, layer.activation)

    def mv(self, directions):
        return self.bounds.times(self.slope, self.directions(directions)["x"])

    def tmv(self, v):
        return {"x": self.bounds.times(self.slope, v if isinstance(v, Near) else Near(v))}


class _Flatten(Linearized):
    def forward(self, layer):
        self.y = self.flat(self.x)

    def flat(self, a):
        return a.reshape(len(a.value), int(np.prod(a.value.shape[1:])))

    def mv(self, directions):
        return self.flat(self.directions(directions)["x"])

    def tmv(self, v):
        return {"x": (v if isinstance(v, Near) else Near(v)).reshape(*self.x.value.shape)}


class _Network(Linearized):
    def forward(self, layer):
        self.parts, self.y = [], self.x
        for part in layer.layers:
            self.parts.append(linearized(part, self.y, self.bounds))
            self.y = self.parts[-1].y

    def mv(self, directions):
        d = self.directions(directions)
        for i, part in enumerate(self.parts):
            if own := self.given(d, i):
                d["x"] = part.mv(own)
        return d["x"]

    def tmv(self, v):
        found = {}
        for i, part in reversed(list(enumerate(self.parts))):
            own = part.tmv(v)
            v = own.pop("x")
            found |= {f"{i}.{name}": a for name, a in own.items()}
        return found | {"x": v}

    def theta(self, found):
        """What tmv gave, flat as theta."""
        values, errors = ([getattr(found[name], part).ravel() for name in self.p] for part in ("value", "error"))
        return Near(np.concatenate(values), np.concatenate(errors))


class _Sum(Linearized):
    def forward(self, layer):
        self.parts = [linearized(part, self.x, self.bounds) for part in layer.layers]
        self.y = self.joined([part.y for part in self.parts])

    def joined(self, outputs):
        return self.bounds.add(*outputs)

    def shares(self, v):
        return [v] * len(self.parts)

    def mv(self, directions):
        d = self.directions(directions)
        zeros = [Near(np.zeros(part.y.value.shape)) for part in self.parts]
        given = [self.given(d, i) for i in range(len(self.parts))]
        return self.joined([part.mv(own) if own else zero for part, own, zero in zip(self.parts, given, zeros, strict=True)])

    def tmv(self, v):
        shares = self.shares(v if isinstance(v, Near) else Near(v))
        found = [part.tmv(share) for part, share in zip(self.parts, shares, strict=True)]
        named = {f"{i}.{name}": a for i, own in enumerate(found) for name, a in own.items() if name != "x"}
        return {"x": self.bounds.add(*(own["x"] for own in found))} | named


class _Concat(_Sum):
    def joined(self, outputs):
        return Near(*(np.concatenate([getattr(y, part) for y in outputs], axis=1) for part in ("value", "error")))

    def shares(self, v):
        ends = np.cumsum([part.y.value.shape[1] for part in self.parts])[:-1]
        return [Near(*both) for both in zip(np.split(v.value, ends, axis=1), np.split(v.error, ends, axis=1), strict=True)]


def linearized(layer, x, bounds):
    """`Linearized` of any layer of fastlec's own."""
    kinds = {"Dense": _Dense, "Residual": _Residual, "ProjectedResidual": _ProjectedResidual}
    kinds |= {"Conv2d": _Dense, "ConvResidual": _Residual, "ProjectedConvResidual": _ProjectedResidual}
    kinds |= {"Conv1d": _Dense, "ConvTranspose2d": _Dense}
    kinds |= {"Activation": _Activation, "Flatten": _Flatten, "Network": _Network, "Sum": _Sum, "Concat": _Concat}
    return kinds[type(layer).__name__](layer, x, bounds)


def loss_of(output, y, bounds, tolerance, dtype):
    """(mean loss, its gradient by the output), both `Near`: cross-entropy for labels y (m,), else squares. output: `Near`."""
    m, error = len(output.value), output.error
    if np.ndim(y) == 1 and np.asarray(y).dtype.kind in "iu":
        value, gradient = reference.softmax_cross_entropy(output.value, y)
        top, at = output.value.max(axis=1), output.value[np.arange(m), y]
        size = top - at + np.log(output.value.shape[1])
        moved = 2 * error.max(axis=1)  # no logit moves log-softmax by more, nor a probability by more than that of itself
        p = reference.softmax(output.value)
        unit = tolerance("gradient", dtype)
        return (
            Near(value, np.mean(moved + tolerance("loss", dtype) * size)),
            Near(gradient, (moved[:, None] * p * (1 + moved[:, None]) + unit) / m),
        )
    value, gradient = reference.mean_squared_error(output.value, y)
    difference = np.abs(output.value - np.reshape(y, output.value.shape))
    eps64 = np.finfo(np.float64).eps
    error_of_value = np.mean(2 * difference * error + error**2) + (2 * bounds.eps + np.sqrt(gradient.size) * eps64) * value
    return Near(value, error_of_value), Near(gradient, 2 * error / error.size + 2 * bounds.eps * np.abs(gradient))
