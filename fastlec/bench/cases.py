"""THE table of benchmark cases."""

from .kinds import CrossEntropy, Map, Network, Objective, Product
from .nets import Dense, chain

NETS = (  # name, batch, network; batch and network for smoke
    ("2-16-4x16-5", 64, chain((2, 16, 5), "tanh", blocks=4), 7, chain((2, 16, 5), "tanh", blocks=2)),
    ("784-256-256-10", 128, chain((784, 256, 256, 10), "relu"), 9, chain((35, 20, 19, 10), "relu")),
    ("784-128-6x128-10", 128, chain((784, 128, 10), "tanh", blocks=6), 12, chain((35, 33, 10), "tanh", blocks=2)),
    ("784-128-10-batch1", 1, chain((784, 128, 10), "tanh"), 1, chain((35, 17, 10), "tanh")),
)

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
    *(
        Map(f"{op}-{size:.0e}".replace("e+0", "e"), op, (size,), (1000,))
        for op, sizes in (("tanh", (10**5, 10**6, 4 * 10**6)), ("sigmoid", (10**5, 10**6, 4 * 10**6)), ("relu", (10**5, 10**6)))
        for size in sizes
    ),
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
        Network(f"{op}-{name}", op, (batch, net), (small_batch, small_net))
        for op in ("step", "inference")
        for name, batch, net, small_batch, small_net in NETS
    ),
)


def select(names=None):
    """The cases whose name contains one of `names` (a string or a sequence of them), or all. ValueError if there is none."""
    wanted = (names,) if isinstance(names, str) else tuple(names or ("",))
    chosen = [case for case in CASES if any(name in case.name for name in wanted)]
    if not chosen:
        raise ValueError(f"cases is {names!r}; no case has such a name; there are {', '.join(case.name for case in CASES)}")
    return chosen
