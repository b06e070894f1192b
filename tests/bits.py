"""A corpus of calls of all public functions, layers and training steps, and hashes of what they give, bit by bit: whether a change
altered any result.

    python tests/bits.py write FILE [KIND ...]     hashes of the library that is imported, for each instruction set of this machine
    python tests/bits.py compare FILE [KIND ...]   prints the calls whose hashes are others now; exit code 1 if there are any

Write with the build before the change, compare with the build after it, on one machine with one compiler, which chooses what it
contracts to an FMA. A kind is the first word of a call's name: all of them, unless named.
"""

import hashlib
import json
import sys
import warnings
from pathlib import Path

import cases
import nets
import numpy as np

import fastlec
from fastlec._kernels import runner
from fastlec.layers.activation import layer_of

ALGORITHMS = ("auto", "direct", "im2col", "winograd")
OPTIMIZERS = {
    "sgd": fastlec.SGD(0.05),
    "decay": fastlec.SGD(0.05, weight_decay=0.01),
    "momentum": fastlec.SGD(0.05, momentum=0.9),
    "nesterov": fastlec.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": fastlec.Adam(0.01),
    "adamw": fastlec.Adam(0.01, weight_decay=0.01),
    "rmsprop": fastlec.RMSprop(0.01),
    "rmsprop momentum": fastlec.RMSprop(0.01, momentum=0.9, weight_decay=0.01),
}
ACTIVATIONS = ("tanh", "sigmoid", "relu", "gelu", "gelu_tanh", "silu", "softplus", "elu", "leaky_relu")
LOSSES = {
    "huber": fastlec.Huber(0.7),
    "absolute": fastlec.MeanAbsoluteError(),
    "binary": fastlec.BinaryCrossEntropy(pos_weight=2.0),
    "smoothed": fastlec.SoftmaxCrossEntropy(label_smoothing=0.1),
}
CONVOLUTIONS = [  # shapes of which most algorithms are somebody's fastest, beside those of the table
    *(cases.Conv((m, c, n, n), (c, c, 3, 3), padding=1) for c, n in ((64, 28), (40, 14), (128, 7)) for m in (1, 8)),
    cases.Conv((64, 1, 28, 28), (32, 1, 3, 3), padding=1),
    cases.Conv((64, 1, 28, 28), (6, 1, 5, 5), padding=2),
    cases.Conv((2, 3, 96, 96), (64, 3, 7, 7), padding=3, stride=2),
    cases.Conv((64, 6, 14, 14), (16, 6, 5, 5)),
    cases.Conv((16, 12, 16, 16), (20, 12, 3, 3), padding=1),
    cases.Conv((16, 17, 33, 29), (23, 17, 3, 3), padding=1),
    cases.Conv((2, 256, 28, 28), (64, 256, 1, 1)),
    cases.Conv((2, 32, 56, 56), (32, 1, 3, 3), padding=1, groups=32),
    cases.Conv((2, 64, 28, 28), (64, 64, 3, 3), padding=2, dilation=2),
    cases.Conv((2, 128, 28, 28), (128, 32, 3, 3), padding=1, stride=2, groups=4),
]


def normal(name, *shapes, dtype):
    """Arrays of normal numbers that depend on the name alone."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
    random = np.random.RandomState(seed)
    return [random.standard_normal(shape).astype(dtype) for shape in shapes]


def along_axis(case, dtype):
    (x,) = normal(f"along {case}", case.shape, dtype=dtype)
    return [f(x, axis=case.axis) for f in cases.ALONG_AXIS]


def maps(size, dtype):
    (x,) = normal(f"maps {size}", (size,), dtype=dtype)
    found = [f(x * 5) for f in (*cases.MAPS, fastlec.erf, fastlec.erf_derivative)]
    return found + [a for name in ACTIVATIONS for a in fastlec.value_and_derivative(x, name)]


def cross_entropy(shape, dtype):
    m, n = shape
    logits, targets, weight = normal(f"xent {shape}", shape, shape, (m,), dtype=dtype)
    targets = fastlec.softmax(targets)
    found = []
    for labels in (np.arange(m) % n, targets):
        for w in (None, np.abs(weight)):
            found += fastlec.softmax_cross_entropy(logits, labels, sample_weight=w)
    return found


def weighted(shape, dtype):
    """Losses, and steps, with weights."""
    m, n = shape
    output, y, weight = normal(f"weighted {shape}", shape, shape, (m,), dtype=dtype)
    weight, found = np.abs(weight).astype(np.float64), []
    net = fastlec.Network([fastlec.Dense(n, n, "identity", dtype=dtype, rng=1)])
    for loss, target in ((fastlec.SoftmaxCrossEntropy(), np.arange(m) % n), (fastlec.MeanSquaredError(), y)):
        found += [*loss.value_and_gradient(output, target, weight), loss.hessian_mv(output, target, y, weight)]
        found += fastlec.Objective(net, loss, output, target, sample_weight=weight).value_and_gradient(net.theta)
        found += [fastlec.training_step(net, loss, fastlec.SGD(0.05), m)(output, target, weight), net.theta.copy()]
    return found


def regression(shape, dtype):
    m, n, k = shape
    X, theta, direction = normal(f"regression {shape}", (m, n), (k * (n + 1),), (k * (n + 1),), dtype=dtype)
    softmax = fastlec.SoftmaxObjective(X, np.arange(m) % k, n_classes=k, l2=0.1)
    logistic = fastlec.LogisticObjective(X, np.arange(m) % 2)
    found = []
    for f in (softmax, logistic):
        t, d = theta[: f.n_params], direction[: f.n_params]
        found += [*f.value_and_gradient(t), f.value(t), f.gradient(t), f.hessian_mv(t, d), f.predict_proba(t, X)]
    return found


def product(shape, dtype):
    m, n, k = shape
    a, b = normal(f"product {shape}", (m, k), (k, n), dtype=dtype)
    columns = np.asfortranarray(b)
    return [fastlec.matmul(a, b), fastlec.matmul(a, columns), fastlec.matmul(np.asfortranarray(a), b)]


def convolution(case, dtype):
    x, W, b, dx, dW = normal(f"conv {case}", case.x, case.W, case.W[:1], case.x, case.W, dtype=dtype)
    found = []
    for algorithm in ALGORITHMS:
        if algorithm == "winograd" and (case.W[2:] != (3, 3) or case.stride != 1):
            continue
        y = fastlec.conv2d(x, W, b, algorithm=algorithm, **case.options)
        found += [y, fastlec.conv2d_jac_mv(x, W, dx=dx, dW=dW, db=b, algorithm=algorithm, **case.options)]
        found += fastlec.conv2d_jac_tmv(y, x, W, algorithm=algorithm, **case.options).values()
    columns = fastlec.im2col(x, case.W[2:], **case.windows)
    return [*found, columns, fastlec.col2im(columns, case.x, case.W[2:], **case.windows)]


def filters(shape, dtype):
    found = []
    for size in (3, 5, 7, (1, 9), (2, 4)):
        image, kernel = normal(f"filter {shape} {size}", shape, size if isinstance(size, tuple) else (size, size), dtype=dtype)
        smooth = np.outer(kernel[:, 0], kernel[0])
        found += [fastlec.filter2d(image, k, mode=mode) for k in (kernel, smooth) for mode in ("reflect", "constant", "wrap")]
    return found


def loss(name, dtype):
    """A loss of rows of 10 elements, with and without weights."""
    output, y, v, weight = normal(f"loss {name}", (41, 10), (41, 10), (41, 10), (41,), dtype=dtype)
    of = LOSSES[name]
    y = {"binary": (y > 0).astype(dtype), "smoothed": np.arange(41) % 10}.get(name, y)
    found = [*of.value_and_gradient(output, y), *of.value_and_gradient(output, y, np.abs(weight).astype(np.float64))]
    return [*found, of.hessian_mv(output, y, v)]


def layers(dtype):
    """name -> (layer, shape of x)"""
    rng = np.random.default_rng(3)
    dense, conv = {"dtype": dtype, "rng": rng}, {"dtype": dtype, "rng": rng, "padding": 1}
    made = {}
    for activation in ("tanh", "sigmoid", "relu", "identity"):
        made |= {
            f"Dense {activation}": (fastlec.Dense(37, 21, activation, **dense), (19, 37)),
            f"Residual {activation}": (fastlec.Residual(21, 34, activation, **dense), (19, 21)),
            f"ProjectedResidual {activation}": (fastlec.ProjectedResidual(37, 21, activation, **dense), (19, 37)),
            f"Conv2d {activation}": (fastlec.Conv2d(5, 18, 3, activation=activation, **conv), (3, 5, 14, 17)),
            f"Conv2d wide {activation}": (fastlec.Conv2d(40, 48, 3, activation=activation, **conv), (2, 40, 21, 22)),
            f"Conv2d many {activation}": (fastlec.Conv2d(3, 8, 3, activation=activation, **conv), (32, 3, 9, 8)),
            f"Conv2d depthwise {activation}": (
                fastlec.Conv2d(9, 9, 3, activation=activation, groups=9, **conv),
                (3, 9, 20, 18),
            ),
            f"ConvResidual {activation}": (fastlec.ConvResidual(16, activation=activation, **dense), (2, 16, 9, 12)),
            f"ProjectedConvResidual {activation}": (
                fastlec.ProjectedConvResidual(8, 16, activation=activation, stride=2, **dense),
                (2, 8, 11, 12),
            ),
            f"Activation {activation}": (fastlec.Activation(activation), (7, 33)),
        }
    for activation in (*ACTIVATIONS[3:], fastlec.Activation("elu", alpha=0.5)):
        made |= {
            f"Dense {activation}": (fastlec.Dense(37, 21, activation, **dense), (19, 37)),
            f"Conv2d {activation}": (fastlec.Conv2d(5, 18, 3, activation=activation, **conv), (3, 5, 14, 17)),
            f"Activation {activation}": (layer_of(activation), (7, 33)),
        }
    return made | {
        "large Dense": (fastlec.Dense(784, 300, **dense), (130, 784)),
        "AvgPool2d": (fastlec.AvgPool2d(2), (3, 4, 13, 34)),
        "AvgPool2d overlapping": (fastlec.AvgPool2d(3, stride=2, padding=1), (3, 4, 13, 34)),
        "AvgPool2d of the image": (fastlec.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), (3, 4, 13, 34)),
        "MaxPool2d": (fastlec.MaxPool2d(2), (3, 4, 13, 34)),
        "MaxPool2d dilated": (fastlec.MaxPool2d(3, 2, 1, 2, ceil_mode=True), (3, 4, 13, 34)),
        "MaxPool2d overlapping": (fastlec.MaxPool2d(3, stride=2, padding=1), (3, 4, 13, 34)),
        "AvgPool1d": (fastlec.AvgPool1d(3, stride=2, padding=1), (3, 4, 70)),
        "MaxPool1d": (fastlec.MaxPool1d(3, stride=2, padding=1), (3, 4, 70)),
        "GlobalAvgPool2d": (fastlec.GlobalAvgPool2d(), (3, 4, 13, 34)),
        "Upsample2d": (fastlec.Upsample2d((3, 2)), (3, 4, 13, 34)),
        "Conv1d": (fastlec.Conv1d(5, 18, 5, "tanh", stride=2, padding=2, **dense), (3, 5, 70)),
        "ConvTranspose2d": (fastlec.ConvTranspose2d(18, 34, (4, 2), "tanh", stride=2, padding=1, **dense), (3, 18, 7, 17)),
        "BatchNorm2d": (fastlec.BatchNorm2d(7, dtype=dtype), (5, 7, 11, 9)),
        "BatchNorm2d trains": (fastlec.BatchNorm2d(7, dtype=dtype).for_training(), (5, 7, 11, 9)),
        "BatchNorm": (fastlec.BatchNorm(33, dtype=dtype), (130, 33)),
        "BatchNorm trains": (fastlec.BatchNorm(33, dtype=dtype).for_training(), (130, 33)),
        "LayerNorm": (fastlec.LayerNorm(33, dtype=dtype), (130, 33)),
        "LayerNorm wide": (fastlec.LayerNorm(300, dtype=dtype), (70, 300)),
        "Dropout": (fastlec.Dropout(0.3, training=True, rng=0), (130, 33)),
        "Flatten": (fastlec.Flatten(), (3, 4, 5, 6)),
    }


def layer(name, dtype):
    made, shape = layers(dtype)[name]
    x, dx = normal(f"layer {name}", shape, shape, dtype=dtype)
    y, jac = made.linearize(x)
    (v,) = normal(f"layer {name} v", y.shape, dtype=dtype)
    found = [made(x), y, *jac.tmv(v).values(), *jac.tmv(v, wrt="x").values(), jac.mv(x=dx)]
    for name, value in made.params.items():
        found += [*jac.tmv(v, wrt=name).values(), jac.mv(**{name: value + 1})]
    return found


def networks(dtype):
    """name -> (layers, shape of x)"""
    o = {"dtype": dtype, "rng": np.random.default_rng(4)}
    image = [
        fastlec.Conv2d(1, 6, 5, padding=2, **o),
        fastlec.AvgPool2d(2),
        fastlec.Conv2d(6, 32, 3, activation="identity", bias=False, **o),
        fastlec.BatchNorm2d(32, dtype=dtype),
        fastlec.Activation("relu"),
        fastlec.ConvResidual(32, activation="tanh", **o),
        fastlec.ProjectedConvResidual(32, 40, activation="sigmoid", stride=2, **o),
        fastlec.MaxPool2d(2),
        fastlec.Flatten(),
        fastlec.Dense(40 * 3 * 3, 3, "identity", **o),
    ]
    made = {name: (make(o), (41, 5)) for name, make in nets.PLANNED.items()}
    wide = [fastlec.Dense(784, 256, "relu", **o), fastlec.Dense(256, 256, "relu", **o), fastlec.Dense(256, 3, "identity", **o)]
    return made | {"wide": (wide, (128, 784)), "images": (image, (16, 1, 28, 28))}


def network(name, dtype):
    """A network, its Jacobian, its objective's derivatives and steps of each optimizer with each loss."""
    made, shape = networks(dtype)[name]
    net = fastlec.Network(made)
    x, dx = normal(f"network {name}", shape, shape, dtype=dtype)
    v, theta = normal(f"network {name} v", (shape[0], 3), net.theta.shape, dtype=dtype)
    y, jac = net.linearize(x)
    found = [net(x), y, *jac.tmv(v).values(), jac.mv(x=dx), jac.mv(theta=theta), *jac.tmv(v, "theta").values()]
    start, buffers = net.theta.copy(), {key: a.copy() for key, a in net.buffers.items()}
    labels = np.arange(len(x)) % 3
    warnings.filterwarnings("ignore", "net ends with")  # in any activation, whatever the loss
    for loss, target in ((fastlec.SoftmaxCrossEntropy(), labels), (fastlec.MeanSquaredError(), v)):
        found += fastlec.Objective(net, loss, x, target).value_and_gradient(start)
        for optimizer in OPTIMIZERS.values():
            net.theta[...] = start
            for key, a in buffers.items():
                net.buffers[key][...] = a
            step = fastlec.training_step(net, loss, optimizer, len(x))
            found += [step(x, target) for _ in range(3)]
            found += [net.theta.copy(), *(a.copy() for a in net.buffers.values())]
    return found


def fit(dtype):
    X, y = fastlec.data.load_digits()
    o = {"dtype": dtype, "rng": np.random.default_rng(5)}
    net = fastlec.Network([fastlec.Dense(64, 20, **o), fastlec.Dense(20, 10, "identity", **o)])
    options = {"optimizer": fastlec.Adam(0.01), "batch_size": 32, "epochs": 2, "rng": np.random.default_rng(6)}
    history = fastlec.fit(net, X[:500].astype(dtype), y[:500], loss=fastlec.SoftmaxCrossEntropy(), **options)
    return [net.theta, *history.train_loss]


def corpus():
    """(name, function of a dtype) of all calls."""
    for kind, table in {
        along_axis: cases.REDUCTIONS + cases.TUPLES + cases.TEAM + [cases.Case((2, 2**20 + 5)), cases.Case((2**20 + 5, 2), 0)],
        maps: cases.SIZES,
        cross_entropy: cases.CROSS_ENTROPY + cases.CROSS_ENTROPY_TEAM,
        weighted: [(41, 5), (3000, 10), (7, 300)],
        regression: cases.LINEAR + cases.LINEAR_TEAM,
        product: [*cases.PRODUCTS, *cases.PRODUCTS_TEAM, (256, 256, 256), (512, 512, 512), (128, 512, 784)],
        convolution: [*cases.CONVOLUTIONS, *CONVOLUTIONS],
        filters: [(23, 31), (40, 70, 3), (200, 300)],
        loss: LOSSES,
        layer: list(layers(np.float64)),
        network: list(networks(np.float64)),
    }.items():
        for entry in table:
            yield f"{kind.__name__} {entry}", lambda dtype, kind=kind, entry=entry: kind(entry, dtype)
    yield "fit", fit


def bits_of(call):
    """A hash of what the call gives in both dtypes. -0 and 0 differ; all NaN are one."""
    found = hashlib.sha256()
    for dtype in (np.float32, np.float64):
        for a in call(dtype):
            a = np.asarray(a)
            found.update(f"{a.shape} {a.dtype}".encode())
            found.update(np.where(np.isnan(a), np.nan, a).astype(a.dtype).tobytes())
    return found.hexdigest()[:12]


def hashes(kinds=()):
    """{instruction set: {name: hash}} of all that this machine runs."""
    before, found = runner.isa(), {}
    for isa in runner.isas():
        runner.select_isa(isa)
        found[isa] = {name: bits_of(call) for name, call in corpus() if not kinds or name.split()[0] in kinds}
    runner.select_isa(before)
    return found


def main(command, file, *kinds):
    """The exit code."""
    found, file = hashes(kinds), Path(file)
    if command == "write":
        file.write_text(json.dumps(found, indent=0, sort_keys=True) + "\n")
        return 0
    expected, differ = json.loads(file.read_text()), 0
    for isa, table in found.items():
        for name, hash in table.items():
            if hash != expected[isa].get(name):
                print(f"{isa}: {name}: {expected[isa].get(name)} -> {hash}")
                differ = 1
    return differ


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
