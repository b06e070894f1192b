"""THE table of benchmark cases."""

from dataclasses import replace

from . import curvature, images
from .bridges import HAS_TORCH, ConvolutionGradient, LossGradient
from .fits import HAS_ESTIMATORS, HAS_MNIST, NetFit, SoftmaxFit
from .image_nets import Conv, cnn, lenet
from .kinds import SMOOTH, CrossEntropy, KMeans, Map, Network, Objective, Product, RobustRegression
from .nets import Dense, chain
from .norms import Dropped, Norm
from .second import Columns, Directions, Explicit, ImageLoss, Loss, Point

NETS = (  # name, batch, network; batch and network for smoke
    ("2-16-4x16-5", 64, chain((2, 16, 5), "tanh", blocks=4), 7, chain((2, 16, 5), "tanh", blocks=2)),
    ("784-256-256-10", 128, chain((784, 256, 256, 10), "relu"), 9, chain((35, 20, 19, 10), "relu")),
    ("784-128-6x128-10", 128, chain((784, 128, 10), "tanh", blocks=6), 12, chain((35, 33, 10), "tanh", blocks=2)),
    ("784-128-10-batch1", 1, chain((784, 128, 10), "tanh"), 1, chain((35, 17, 10), "tanh")),
)

CONVOLUTIONS = (  # x's shape, layer
    *(((m, c, n, n), Conv(c, c, 3, 1)) for c, n in ((64, 56), (128, 28), (256, 14), (512, 7)) for m in (1, 8)),
    ((64, 1, 28, 28), Conv(1, 32, 3, 1)),
    ((64, 1, 28, 28), Conv(1, 6, 5, 2)),
    ((8, 3, 224, 224), Conv(3, 64, 7, 3, stride=2)),
    ((64, 6, 14, 14), Conv(6, 16, 5)),
    ((16, 12, 16, 16), Conv(12, 20, 3, 1)),
    ((16, 17, 33, 29), Conv(17, 23, 3, 1)),
    ((8, 256, 56, 56), Conv(256, 64, 1)),
    *(((8, c, n, n), Conv(c, c, 3, 1, groups=c)) for c, n in ((32, 56), (128, 28), (512, 14))),
    ((8, 64, 28, 28), Conv(64, 64, 3, 2, dilation=2)),
    ((8, 128, 28, 28), Conv(128, 128, 3, 1, stride=2, groups=4)),
)
BOTH_DIRECTIONS = (  # of JacMV
    ((8, 64, 56, 56), Conv(64, 64, 3, 1)),
    ((8, 256, 14, 14), Conv(256, 256, 3, 1)),
    ((64, 6, 14, 14), Conv(6, 16, 5)),
    ((16, 17, 33, 29), Conv(17, 23, 3, 1)),
)

IMAGE_NETS = (  # name, X's shape, network; X's shape and network for smoke
    ("lenet", (64, 1, 28, 28), lenet(), (3, 1, 16, 16), lenet(16, (2, 3), (7, 4))),
    ("cnn", (64, 1, 28, 28), cnn(), (3, 1, 8, 8), cnn(8, (3, 4), (7, 5))),
)


def _convolution(op, x_shape, layer, kind=images.Convolution):
    """The case, named after all that matters; for smoke a smaller image, fewer channels and groups."""
    m, channels, *lengths = x_shape
    options = {name: getattr(layer, name) for name in ("stride", "dilation", "groups")}
    more = "".join(f"-{name}{value}" for name, value in options.items() if value > 1)
    name = f"{op}-{m}x{channels}x{lengths[0]}x{lengths[1]}-{layer.n_out}-{layer.size}x{layer.size}{more}"
    groups, n_in, n_out = min(layer.groups, 5), layer.n_in // layer.groups, layer.n_out // layer.groups
    small = replace(layer, n_in=groups * min(n_in, 3), n_out=groups * min(n_out, 4), groups=groups)
    return kind(name, op, (x_shape, layer), ((2, small.n_in, 9, 10), small))


BRIDGED = (  # first layers, and depthwise ones
    *(shape for shape in CONVOLUTIONS if shape[1].n_in <= 3),
    *(shape for shape in CONVOLUTIONS if shape[1].groups == shape[1].n_in),
)
BRIDGE_CASES = (
    *(_convolution("autograd_conv", *shape, kind=ConvolutionGradient) for shape in dict.fromkeys(BRIDGED)),
    LossGradient("autograd_cross_entropy-60000x10", "autograd_cross_entropy", (60000, 10), (50, 10)),
)

FITS = (  # name, (data, samples, hidden sizes), (batch size, epochs)
    ("digits-64-32", ("digits", None, (64, 32)), ((32, 20), (200, 60))),
    *((("mnist-100", ("mnist", None, (100,)), ((32, 4), (200, 10))),) if HAS_MNIST else ()),
    ("table-32", ("table", None, (32,)), ((32, 3),)),
)

FIT_CASES = (
    *(
        NetFit(f"fit_net-{name}-batch{batch}", "fit_net", (*data, batch, epochs, 1e-3), ("digits", 200, (16,), 20, 60, 0.01))
        for name, data, runs in FITS
        for batch, epochs in runs
    ),
    *(
        SoftmaxFit(f"fit_softmax-{data}", "fit_softmax", (data, None, 1.0), ("digits", 100, 1.0))
        for data in ("digits", *(("mnist",) if HAS_MNIST else ()))
    ),
)

SMALL, FLAT = chain((7, 30, 20, 4), "tanh"), chain((784, 128, 10), "tanh")
TINY = (5, 7), chain((7, 6, 3), "tanh")  # X's shape and network for smoke
LOSSES = (  # name, X's shape and network; those for smoke; the kind
    ("7-30-20-4-batch64", ((64, 7), SMALL), TINY, Loss),
    ("784-128-10-batch256", ((256, 784), FLAT), ((5, 33), chain((33, 20, 4), "tanh")), Loss),
    ("lenet-batch32", ((32, 1, 28, 28), lenet()), ((3, 1, 16, 16), lenet(16, (2, 3), (7, 4))), ImageLoss),
)
MANY = (  # name, X's shape and network, directions
    ("7-30-20-4-batch64-32", ((64, 7), SMALL), 32),
    ("784-256-256-10-batch128-64", ((128, 784), chain((784, 256, 256, 10), "tanh")), 64),
)

CALL = chain((8, 16, 16, 4), "tanh"), chain((5, 7, 3), "tanh")  # a network for calls that compute next to nothing; for smoke

CASES = (
    Map("softmax-64x10", "softmax", (64, 10), (4, 10)),
    Map("softmax-60000x10", "softmax", (60000, 10), (50, 10)),
    Map("softmax-4096x1000", "softmax", (4096, 1000), (3, 1000)),
    Map("softmax-256x32000", "softmax", (256, 32000), (2, 3000)),
    Map("softmax-axis0-1000x4096", "softmax", (1000, 4096), (100, 41), axis=0),
    Map("log_softmax-60000x10", "log_softmax", (60000, 10), (50, 10)),
    Map("log_softmax-4096x1000", "log_softmax", (4096, 1000), (3, 1000)),
    CrossEntropy("cross_entropy-60000x10", "cross_entropy", (60000, 10), (50, 10)),
    CrossEntropy("cross_entropy-4096x1000", "cross_entropy", (4096, 1000), (3, 1000)),
    CrossEntropy("cross_entropy-256x32000", "cross_entropy", (256, 32000), (2, 3000)),
    Objective("value_and_gradient-60000x784x10", "value_and_gradient", (60000, 784, 10), (70, 33, 5)),
    Objective("hessian_mv-60000x784x10", "hessian_mv", (60000, 784, 10), (70, 33, 5)),
    Objective("hessian_mv_frozen-60000x784x10", "hessian_mv_frozen", (60000, 784, 10), (70, 33, 5)),
    KMeans("kmeans-60000x784-10", "kmeans", (60000, 784, 10, 8), (90, 33, 5, 3)),
    KMeans("kmeans-60000x784-100", "kmeans", (60000, 784, 100, 4), (120, 33, 35, 3)),
    KMeans("kmeans-1000000x16-64", "kmeans", (10**6, 16, 64, 8), (150, 7, 20, 3)),
    RobustRegression("robust_lstsq-100000x20", "robust_lstsq", (100_000, 20), (2000, 4)),
    *(
        Map(f"{op}-{size:.0e}".replace("e+0", "e"), op, (size,), (1000,))
        for op, sizes in (("tanh", (10**5, 10**6, 4 * 10**6)), ("sigmoid", (10**5, 10**6, 4 * 10**6)), ("relu", (10**5, 10**6)))
        for size in sizes
    ),
    *(Map(f"smooth-{op}", op, (10**5,), (1000,)) for op in SMOOTH),
    *(
        Product(f"gemm-{size}", "gemm", (size, size, size), (small, small + 1, small + 2))
        for size, small in ((16, 2), (32, 5), (64, 16), (256, 31), (512, 33), (1024, 70))
    ),
    *(
        case
        for m in (4096, 60000)
        for case in (
            Product(f"gemm_nt-{m}x784x10", "gemm_nt", (m, 784, 10), (50, 33, 10)),
            Product(f"gemm_tn-10x{m}x784", "gemm_tn", (10, m, 784), (10, 50, 33)),
        )
    ),
    *(
        Network(f"{op}-{m}x{n}x{k}", op, (m, (Dense(n, k, "tanh"),)), (5, (Dense(33, 7, "tanh"),)))
        for op in ("dense", "dense_jac_tmv", "dense_jac_mv")
        for m, n, k in ((128, 784, 512), (4096, 256, 256))
    ),
    *(
        Norm(f"{op}-{m}x{n}", op, (m, n), (9, 33))
        for op in ("layer_norm", "layer_norm_jac_tmv", "batch_norm", "batch_norm_jac_tmv")
        for m, n in ((4096, 256), (128, 784))
    ),
    Dropped("dropout-4096x256", "dropout", (4096, 256), (70, 33)),
    *(
        Network(f"{op}-{name}", op, (batch, net), (small_batch, small_net))
        for op in ("step", "inference")
        for name, batch, net, small_batch, small_net in NETS
    ),
    *(
        kind(f"{op}-{name}", op, shape, small)
        for op in ("objective", "objective_hessian_mv", "objective_gauss_newton_mv")
        for name, shape, small, kind in LOSSES
    ),
    *(Loss(f"{op}-{LOSSES[1][0]}", op, *LOSSES[1][1:3]) for op in ("sample_gradients", "sample_norms")),
    Point("point-7-30-20-4-batch64", "point", ((64, 7), SMALL), TINY),
    *(Directions(f"{op}-{name}", op, shape, TINY, k) for op in ("mv_many", "tmv_many") for name, shape, k in MANY),
    *(Explicit(f"sample_jacobians-{name}", "sample_jacobians", shape, small) for name, shape, small, _ in LOSSES[:2]),
    Explicit("theta_jacobian-3-64-5-batch128", "theta_jacobian", ((128, 3), chain((3, 64, 5), "tanh")), TINY),
    *(
        curvature.Gram(f"{op}-20-128-128-10-batch500", op, ((500, 20), chain((20, 128, 128, 10), "tanh")), TINY)
        for op in ("gram", "gram_of_matrix")
    ),
    curvature.Iterations(
        "gauss_newton_iterations-3-64-5-batch1000", "gauss_newton_iterations", ((1000, 3), chain((3, 64, 5), "tanh")), TINY
    ),
    curvature.Fit(
        "least_squares-2-20-20-1-peaks400",
        "least_squares",
        ((400, 2), chain((2, 20, 20, 1), "tanh")),
        ((9, 2), chain((2, 6, 1), "tanh")),
    ),
    curvature.Predictive("laplace_variance-784-128-10-batch1000", "laplace_variance", ((1000, 784), FLAT), TINY),
    Columns("hessian_columns-60000x784x10-8", "hessian_columns", (60000, 784, 10), (70, 33, 5)),
    *(_convolution(op, *shape) for shape in CONVOLUTIONS for op in ("conv", "conv_data_gradient", "conv_weight_gradient")),
    *(_convolution("conv_jac_mv", *shape) for shape in BOTH_DIRECTIONS),
    *(
        images.ImageLayer(f"{op}-{name}", op, shape, small)
        for op, name, shape, small in (
            ("conv_transpose", "16x64x16x16-32-4x4-stride2", ((16, 64, 16, 16), 32, 4, 2, 1), ((2, 3, 4, 5), 2, 4, 2, 1)),
            ("conv1d", "32x16x256-32-5-stride2", ((32, 16, 256), 32, 5, 2, 2), ((2, 3, 9), 4, 5, 2, 2)),
            ("upsample", "8x32x28x28-2", ((8, 32, 28, 28), 2), ((2, 3, 4, 5), 2)),
        )
    ),
    *(
        images.Filter(f"filter2d-{name}-{mode}", "filter2d", shape, small, mode)
        for name, shape, small in (
            ("512x512-5x5", ((512, 512), (5, 5)), ((9, 7), (5, 5))),
            ("512x512x3-11x11", ((512, 512, 3), (11, 11)), ((13, 12, 3), (11, 11))),
        )
        for mode in ("mirror", "constant")
    ),
    *(
        images.ImageNetwork(f"{op}-{name}", f"image_{op}", (shape, net), (small_shape, small_net))
        for op in ("step", "inference")
        for name, shape, net, small_shape, small_net in IMAGE_NETS
    ),
    *(
        Network(f"call-{op}-8-16-16-4", op, (1, CALL[0]), (1, CALL[1]))  # of one sample
        for op in ("inference", "jac_mv", "jac_tmv")
    ),
    Network("step-7-30-20-4", "step", (64, SMALL), (5, TINY[1])),
    *(BRIDGE_CASES if HAS_TORCH else ()),
    *(FIT_CASES if HAS_ESTIMATORS else ()),
    images.Convolution("call-conv-1x3x8x8-8-3x3", "conv", ((1, 3, 8, 8), Conv(3, 8, 3, 1)), ((1, 2, 5, 6), Conv(2, 3, 3, 1))),
)


def spread(cases):
    """The first case of each operation, then the second ones, and so on."""
    ops = [case.op for case in cases]
    return [cases[i] for i in sorted(range(len(cases)), key=lambda i: ops[:i].count(ops[i]))]


def select(names=None):
    """The cases whose name contains one of `names` (a string or a sequence of them), or all. ValueError if there is none."""
    wanted = (names,) if isinstance(names, str) else tuple(names or ("",))
    chosen = [case for case in CASES if any(name in case.name for name in wanted)]
    if not chosen:
        raise ValueError(f"cases is {names!r}; no case has such a name; there are {', '.join(case.name for case in CASES)}")
    return chosen
