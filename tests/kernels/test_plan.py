"""Plans: products with epilogues, slopes, updates, losses; bound again and again."""

import itertools

import cases
import numpy as np
import pytest
from bounds import Bounds, Near
from numpy.testing import assert_allclose, assert_array_equal
from test_gemm import OPS, exact, integers, normals, ordered

import fastlec
from fastlec._kernels import gemm, map, residuals, runner, slope, update, xent
from fastlec._kernels import plan as kernels
from fastlec._kernels.epilogue import Epilogue
from fastlec._kernels.gemm.blocking import choose_blocking

# --- plans: what surrounds a product ---------------------------------------------------------------------------------

# Shapes (m, n, k), orders of a and b, and which way they take: the kernels, and what is packed of A or done with the depth.
WAYS = {
    "small": ((5, 7, 3), "CC", ["gemm"], ()),
    "one element": ((1, 1, 1), "CC", ["gemm"], ()),
    "panels": ((29, 35, 40), "CF", ["gemm_pack", "gemm"], ()),
    "in place": ((29, 35, 40), "CC", ["gemm"], ()),
    "a transposed": ((29, 35, 40), "FC", ["gemm"], ()),
    "both transposed": ((29, 35, 40), "FF", ["gemm_pack", "gemm"], ()),
    "rows packed": ((37, 150, 40), "CC", ["gemm"], ("pack_a",)),
    "strips": ((35, 35, 800), "CF", ["gemm_pack", "gemm"], ("strips", "keep", "blocks")),
    "strips, rows packed": ((29, 150, 800), "CC", ["gemm"], ("pack_a", "strips", "keep", "blocks")),
    "few rows": ((12, 1100, 800), "CC", ["gemm"], ("pack_a", "strips", "keep", "blocks")),
    "blocks": ((70, 1100, 100), "CF", ["gemm_pack", "gemm"], ("pack_a", "blocks")),
    "dots": ((61, 13, 70), "CF", ["gemm_dots"], ()),
    "dots, few rows": ((30, 130, 70), "CF", ["gemm_dots"], ()),
    "dots, flat": ((3, 130, 70), "CF", ["gemm_dots"], ()),
    "dots, blocks": ((500, 10, 200), "CF", ["gemm_dots"], ("blocks",)),
    "parts": ((7, 9, 9000), "FC", ["gemm", "sum"], ("parts", "strips")),
    "parts of both transposed": ((7, 9, 9000), "FF", ["gemm_pack", "gemm", "sum"], ("parts", "strips")),
    "one step": ((40, 150, 1), "FC", ["gemm"], ()),
    "rows far apart": ((50, 2048, 20), "CC", ["gemm_pack", "gemm"], ("pack_a", "blocks")),
    "columns far apart": ((256, 130, 400), "FC", ["gemm"], ("pack_a", "strips", "blocks")),
    "no depth": ((7, 9, 0), "CC", ["gemm"], ()),
    "no depth, rows far apart": ((50, 2048, 0), "CC", ["gemm_pack", "gemm"], ("pack_a", "blocks")),
    "all columns in a block": ((61, 61, 400), "CC", ["gemm"], ("strips", "blocks")),
    "few rows of both in order": ((61, 300, 400), "CC", ["gemm"], ("pack_a", "strips", "blocks")),
    "few rows of both transposed": ((131, 300, 400), "FF", ["gemm_pack", "gemm"], ("strips", "blocks")),
    "many rows of both in order": ((151, 300, 400), "CC", ["gemm"], ("pack_a", "strips", "blocks")),
    "many rows of both transposed": ((151, 300, 400), "FF", ["gemm_pack", "gemm"], ("strips", "blocks")),
}
PACKS = {"avx2": 6, "neon": 12}  # rows of a tile, where the instruction set packs for large products

# Where it does so, and a block's rows meet one panel of B after the other.
PANELS_FIRST = {
    "blocks": ["gemm_pack", "gemm"],
    "rows far apart": ["gemm_pack", "gemm"],
    "columns far apart": ["gemm_pack", "gemm"],
    "all columns in a block": ["gemm"],
    "few rows of both in order": ["gemm_pack", "gemm"],
    "few rows of both transposed": ["gemm_pack", "gemm"],
    "many rows of both in order": ["gemm_pack", "gemm"],
    "many rows of both transposed": ["gemm_pack", "gemm"],
}
ways = pytest.mark.parametrize(("shape", "orders"), [way[:2] for way in WAYS.values()], ids=WAYS)
AROUND = [{"bias"}, {"residual"}, {"accumulate"}, {"bias", "residual", "accumulate"}]


def new_plan(dtype):
    return kernels.Plan(np.dtype(dtype).num)


EXACT = ("identity", "tanh", "sigmoid", "relu", "elu")  # whose derivatives of y are polynomials


def derivative(y, op):
    return {"tanh": 1 - y * y, "sigmoid": y - y * y, "relu": (y > 0) * 1.0, "elu": np.minimum(y + 1, 1)}.get(
        op, np.ones_like(y)
    )


def blocking(shape, orders, dtype, packs=0, plain=True):
    by_row, by_column = orders[0] == "C", orders[1] == "F"
    size = np.dtype(dtype).itemsize
    return choose_blocking(*shape, by_row, by_column, size, plain, packs, 256 if packs else 1536 // size)


@pytest.mark.parametrize("way", WAYS)
def test_products_take_their_way(way, isa, dtype, taken):
    shape, orders, kernels, properties = WAYS[way]
    (m, n, k), plan = shape, new_plan(dtype)
    a, b = ordered(np.zeros((m, k), dtype), orders[0]), ordered(np.zeros((k, n), dtype), orders[1])
    gemm.product(plan, a, b, np.zeros((m, n), dtype))
    found = blocking(shape, orders, dtype, packs=PACKS.get(isa, 0))
    assert found.panels_first == (isa in PACKS and way in PANELS_FIRST)
    if found.panels_first:
        assert taken(plan) == PANELS_FIRST[way]
        assert found.pack_a
        assert found.pack_b
        assert found.few_rows == (m < 150)
        assert found.strip <= 256
        return
    assert taken(plan) == kernels
    assert found.pack_b == ("gemm_pack" in kernels)
    assert found.dots == ("gemm_dots" in kernels)
    assert (found.parts > 1) == ("parts" in properties)
    if not found.dots:
        assert found.pack_a == ("pack_a" in properties)
        assert (found.strip < k) == ("strips" in properties)
    if "keep" in properties:
        assert found.keep
    assert (found.rows < m or found.cols < n) == ("blocks" in properties)


# Shapes on both sides of a threshold, and the attribute of the blocking that changes there.
THRESHOLDS = {
    "columns of dots": (((100, 16, 64), "CF", {}), ((100, 17, 64), "CF", {}), "dots"),
    "rows of dots": (((32, 100, 64), "CF", {}), ((33, 100, 64), "CF", {}), "dots"),
    "depth of dots": (((32, 100, 64), "CF", {}), ((32, 100, 63), "CF", {}), "dots"),
    "depth of parts": (((7, 9, 4096), "FC", {}), ((7, 9, 4095), "FC", {}), "parts"),
    "parts of plain sums": (((7, 9, 9000), "FC", {}), ((7, 9, 9000), "FC", {"plain": False}), "parts"),
    "rows that pay for packing B": (((48, 2048, 20), "CC", {}), ((47, 2048, 20), "CC", {}), "pack_b"),
    "panels first": (((256, 256, 256), "CC", {"packs": 6}), ((256, 256, 256), "CC", {}), "panels_first"),
    "few rows": (((144, 256, 256), "CC", {"packs": 6}), ((145, 256, 256), "CC", {"packs": 6}), "few_rows"),
    "rows that pay for packing a B read twice": (
        ((48, 2000, 20), "CC", {"packs": 6}),
        ((47, 2000, 20), "CC", {"packs": 6}),
        "pack_b",
    ),
    "B in L1": (((256, 256, 33), "CC", {"packs": 6}), ((256, 256, 16), "CC", {"packs": 6}), "pack_b"),
    "columns of A": (((256, 130, 400), "FC", {}), ((257, 130, 400), "FC", {}), "pack_a"),
}


@pytest.mark.parametrize("name", THRESHOLDS)
def test_thresholds_of_blockings(name, dtype):
    (shape, orders, options), (other_shape, other_orders, other_options), what = THRESHOLDS[name]
    values = [
        getattr(blocking(*p[:2], dtype, **p[2]), what)
        for p in ((shape, orders, options), (other_shape, other_orders, other_options))
    ]
    assert values[0] > values[1]


def test_blocks_stay_in_their_bounds(dtype):
    """A row of a block is whole panels and at most 4 KiB; a block has at most 96 rows, or is one of less than 2 x 96."""
    for m, n, k, packs in itertools.product((1, 11, 12, 100, 1000, 3001), (1, 16, 129, 1100), (1, 64, 800), (0, 6)):
        found = blocking((m, n, k), "CC", dtype, packs)
        assert found.cols * dtype.itemsize % 128 == 0
        assert found.cols * dtype.itemsize <= 4096
        assert found.rows <= 2 * 96
        assert found.why


@pytest.mark.parametrize("orders", ["CC", "CF", "FC"])
@pytest.mark.parametrize("m", [60, 160])  # few rows and many
def test_what_was_packed_is_packed_anew_once_a_job_may_have_written_to_it(m, orders, isa, dtype, rng):
    k, n = 90, 128
    a, b, more, again = (integers(rng, s, dtype, 3) for s in ((m, k), (k, n), (m, k), (k, n)))
    left, right = ordered(a, orders[0]).copy("K"), ordered(b, orders[1]).copy("K")
    first, second, third = (np.full((m, n), np.nan, dtype) for _ in range(3))
    plan = new_plan(dtype)
    gemm.product(plan, left, right, first)
    gemm.product(plan, left, right, second)  # may share what is packed
    for target, source in ((left, more), (right, again)):
        rows = target.reshape(-1, order="A").reshape(1, -1)
        gemm.product(
            plan,
            np.zeros((1, 0), dtype),
            np.zeros((0, rows.size), dtype),
            rows,
            after=Epilogue(residual=ordered(source, "F" if target.flags.f_contiguous else "C").reshape(1, -1, order="A")),
        )
    gemm.product(plan, left, right, third)
    plan.run()
    assert_array_equal(first, exact(a, b))
    assert_array_equal(second, exact(a, b))
    assert_array_equal(third, exact(more, again))


@ways
def test_around_a_product_integers_are_exact(shape, orders, isa, dtype, rng):
    """op(a b + c + bias) + residual."""
    m, n, k = shape
    a, b = (integers(rng, s, dtype, 3) for s in ((m, k), (k, n)))
    start, bias, residual = (integers(rng, s, dtype, 30) for s in ((m, n), n, (m, n)))
    ab = exact(a, b)
    a, b = ordered(a, orders[0]), ordered(b, orders[1])
    for around, op in itertools.product(AROUND, ("identity", "relu")):
        options = {"bias": bias} if "bias" in around else {}
        options |= {"residual": residual} if "residual" in around else {}
        c, plan = start.copy(), new_plan(dtype)
        gemm.product(plan, a, b, c, after=Epilogue(activation=OPS[op], accumulate="accumulate" in around, **options))
        assert plan.run() == 0
        z = ab + (start if "accumulate" in around else 0) + (bias if "bias" in around else 0)
        z = np.maximum(z, 0) if op == "relu" else z
        assert_array_equal(c, z + (residual if "residual" in around else 0), err_msg=f"{around}, {op}")


@ways
def test_times_a_derivative_integers_are_exact(shape, orders, isa, dtype, rng):
    """(a b + c) * op'(y) and (a b + residual) * op'(y): y of quarters makes slopes of sixteenths."""
    m, n, k = shape
    a, b = (integers(rng, s, dtype, 3) for s in ((m, k), (k, n)))
    added, y = integers(rng, (m, n), dtype, 30), integers(rng, (m, n), dtype, 4) / dtype.type(4)
    z = exact(a, b) + added
    a, b = ordered(a, orders[0]), ordered(b, orders[1])
    for op, accumulate in itertools.product(EXACT, (False, True)):
        c, plan = added.copy(), new_plan(dtype)
        options = {"accumulate": True} if accumulate else {"residual": added}
        gemm.product(plan, a, b, c, after=Epilogue(derivative=OPS[op], of=y, **options))
        plan.run()
        assert_array_equal(c, z * derivative(y.astype(np.float64), op), err_msg=f"{op}, accumulate {accumulate}")


@pytest.mark.parametrize("shape", [(3, 5, 4), (64, 30, 20), (7, 10, 80), (130, 40, 33)])
def test_rows_of_a_derivative_are_taken_over_and_over(shape, isa, threads, dtype, rng):
    m, n, k = shape
    a, b, residual, y = (normals(rng, s, dtype) for s in ((3 * m, k), (k, n), (3 * m, n), (m, n)))
    for op, options in itertools.product(("tanh", "relu", "gelu"), ({}, {"residual": residual})):
        found, expected = (np.full((3 * m, n), np.nan, dtype) for _ in range(2))
        for c, of in ((found, y), (expected, np.tile(y, (3, 1)))):
            plan = new_plan(dtype)
            gemm.product(plan, a, b, c, after=Epilogue(derivative=OPS[op], of=of, **options))
            plan.run()
        assert_array_equal(found, expected)
    for wrong in (y[:0], y[: m - 1], y[:, : n - 1].copy()):
        with pytest.raises(ValueError, match=r"^of has shape"):
            gemm.product(new_plan(dtype), a, b, found, after=Epilogue(derivative=OPS["tanh"], of=wrong))


@ways
def test_activations_follow_a_product(shape, orders, isa, dtype, rng, tolerance):
    m, n, k = shape
    scale = dtype.type(1 / np.sqrt(max(k, 1)))
    a, b, bias = normals(rng, (m, k), dtype) * scale, normals(rng, (k, n), dtype), normals(rng, n, dtype)
    bounds = Bounds(tolerance, dtype)
    z = bounds.add(bounds.product(Near(a), Near(b)), Near(np.broadcast_to(bias, (m, n))))
    a, b = ordered(a, orders[0]), ordered(b, orders[1])
    for op in ("tanh", "sigmoid"):
        c, plan = np.full((m, n), np.nan, dtype), new_plan(dtype)
        gemm.product(plan, a, b, c, after=Epilogue(bias, OPS[op]))
        plan.run()
        bounds.activate(z, op)[0].check(c)


@ways
def test_updates_of_a_product_that_is_a_gradient(shape, orders, isa, dtype, rng):
    """Momentum with powers of two is exact: v = v/2 + g, c -= v/4, for two runs."""
    m, n, k = shape
    a, b = (integers(rng, s, dtype, 1) for s in ((m, k), (k, n)))
    theta, state = np.full(m * n + 20, 3, dtype), np.full(m * n + 20, 4, dtype)
    c = theta[10 : 10 + m * n].reshape(m, n)
    g = exact(a, b)
    plan = new_plan(dtype)
    plan.set_states(theta, (state,))
    gemm.product(plan, ordered(a, orders[0]), ordered(b, orders[1]), c, after=Epilogue(update=True))
    velocity, expected = np.full((m, n), 4.0), np.full((m, n), 3.0)
    for _ in range(2):
        plan.set_rule("momentum", (0.25, 0, 0.5))
        plan.run()
        velocity = velocity / 2 + g
        expected = expected - velocity / 4
        assert_array_equal(c, expected)
        assert_array_equal(state[10 : 10 + m * n].reshape(m, n), velocity)
    for array, before in ((theta, 3), (state, 4)):
        assert (array[:10] == before).all()
        assert (array[10 + m * n :] == before).all()


def test_a_parameter_packed_before_its_update_is_packed_again_after_it(isa, dtype, rng):
    x, W = integers(rng, (20, 30), dtype, 3), integers(rng, (40, 30), dtype, 3)
    g, first, second = integers(rng, (20, 40), dtype, 3), np.zeros((20, 40), dtype), np.zeros((20, 40), dtype)
    before = W.copy()
    plan = new_plan(dtype)
    gemm.product(plan, x, W.T, first)
    gemm.product(plan, g.T, x, W, after=Epilogue(update=True))
    gemm.product(plan, x, W.T, second)
    plan.set_rule("sgd", (0.25, 0))
    plan.run()
    after = before - exact(g.T, x) / 4
    assert_array_equal(W, after)
    assert_array_equal(first, exact(x, before.T))
    assert_array_equal(second, exact(x, after.T))


def test_a_square_parameter_and_its_transpose_are_packed_each_by_itself(isa, dtype, rng):
    """As a training step has them: x W', then g W."""
    n = 8192 // dtype.itemsize  # a row of W is two parts, a power of two apart
    x, W = integers(rng, (48, n), dtype, 3), integers(rng, (n, n), dtype, 3)
    plan, forward, back = new_plan(dtype), np.zeros((48, n), dtype), np.zeros((48, n), dtype)
    gemm.product(plan, x, W.T, forward)
    gemm.product(plan, x, W, back)
    plan.run()
    assert_array_equal(forward, x.astype(np.float64) @ W.T)
    assert_array_equal(back, x.astype(np.float64) @ W)


def test_products_in_a_row_see_one_another(isa, dtype, threads, rng):
    """More jobs than a plan has room for at first; each reads what the one before it wrote."""
    x = integers(rng, (70, 50), dtype, 1)
    P = np.eye(50, dtype=dtype)[rng.permutation(50)]
    plan, a, expected = new_plan(dtype), x, x
    for _ in range(33):
        b = plan.empty(70, 50)
        gemm.product(plan, a, P, b)
        a, expected = b, expected @ P
    assert len(plan) == 33
    plan.run()
    assert_array_equal(a, expected)


def test_a_plan_runs_as_often_as_wanted_and_keeps_its_arrays(isa, dtype, rng):
    plan, c = new_plan(dtype), np.zeros((20, 30), dtype)
    a, b = integers(rng, (20, 40), dtype), integers(rng, (30, 40), dtype)
    kept_a, kept_b = a.copy(), b.copy()
    gemm.product(plan, a, b.T, c)
    del b
    for _ in range(3):
        a += 1
        plan.run()
        kept_a += 1
        assert_array_equal(c, exact(kept_a, kept_b.T))


def test_bound_arrays(isa, dtype, rng):
    """Arrays in the places of slots, in every role that they have."""
    m, n = 20, 30
    x, y, v = (normals(rng, (m, n), dtype) for _ in range(3))
    W, g = integers(rng, (n, n), dtype, 3), np.zeros((m, n), dtype)
    plan = new_plan(dtype)
    assert (plan.slot(x), plan.slot(y)) == (0, 1)
    gemm.product(plan, x, W, y, after=Epilogue(residual=x))
    gemm.product(plan, v, W, g, after=Epilogue(derivative=OPS["relu"], of=y))
    for _ in range(3):
        new_x, new_y = integers(rng, (m, n), dtype), np.full((m, n), np.nan, dtype)
        plan.bind(0, new_x)
        plan.bind(1, new_y)
        plan.run()
        expected = exact(new_x, W) + new_x
        assert_array_equal(new_y, expected)
        assert_array_equal(g, fastlec.matmul(v, W) * (expected > 0))
    for wrong in (np.zeros((n, m), dtype), np.zeros(m * n, dtype), np.zeros((m, 2 * n), dtype)[:, ::2], np.zeros((m, n), int)):
        with pytest.raises(ValueError, match=r"^an array to bind"):
            plan.bind(0, wrong)
    plan.run()
    assert_array_equal(new_y, expected)


def test_bound_labels_and_targets(isa, dtype, rng):
    logits, grad = normals(rng, (12, 5), dtype), np.zeros((12, 5), dtype)
    for make in (lambda: rng.integers(0, 5, 12), lambda: rng.dirichlet(np.ones(5), 12).astype(dtype)):
        slot = make()
        plan = new_plan(dtype)
        plan.slot(slot)
        xent.loss(plan, logits, slot, grad, 12)
        labels = make()
        plan.bind(0, labels)
        loss, expected = fastlec.softmax_cross_entropy(logits, labels)
        assert plan.run() == loss
        assert_array_equal(grad, expected)


def product(plan, f, **parts):
    gemm.product(plan, f(3, 4), f(4, 5), f(3, 5), after=Epilogue(**parts))


PLAN_REFUSES = {
    "b's depth": (lambda p, f: gemm.product(p, f(3, 4), f(3, 5), f(3, 5)), r"b has shape \(3, 5\); expected \(4, 5\)"),
    "c's shape": (lambda p, f: gemm.product(p, f(3, 4), f(4, 5), f(5, 3)), r"c has shape \(5, 3\); expected \(3, 5\)"),
    "c in F order": (lambda p, f: gemm.product(p, f(3, 4), f(4, 5), f(5, 3).T), "c: expected C order"),
    "a strided": (lambda p, f: gemm.product(p, f(3, 8)[:, ::2], f(4, 5), f(3, 5)), "a: expected C order"),
    "a's axes": (lambda p, f: gemm.product(p, f(4), f(4, 5), f(3, 5)), "a: expected an aligned array .* with 2 axes"),
    "b's dtype": (lambda p, f: gemm.product(p, f(3, 4), np.zeros((4, 5), int), f(3, 5)), "b: expected an aligned array"),
    "b misaligned": (lambda p, f: gemm.product(p, f(3, 4), cases.misaligned(f(4, 5)), f(3, 5)), "b: expected an aligned array"),
    "b's byte order": (lambda p, f: gemm.product(p, f(3, 4), cases.swapped(f(4, 5)), f(3, 5)), "b: expected an aligned array"),
    "bias": (
        lambda p, f: product(p, f, bias=f(3)),
        r"bias has shape \(3,\); expected \(5,\)",
    ),
    "residual": (
        lambda p, f: product(p, f, residual=f(3, 4)),
        r"residual has shape \(3, 4\)",
    ),
    "of": (
        lambda p, f: product(p, f, derivative=OPS["relu"], of=f(3, 4)),
        r"of has shape \(3, 4\); expected \(3, 5\)",
    ),
    "slope's g": (lambda p, f: slope.slope(p, f(3, 4), f(4, 3)), r"g has shape \(4, 3\); expected \(3, 4\)"),
    "slope's total": (lambda p, f: slope.slope(p, f(3, 4), total=f(3)), r"total has shape \(3,\); expected \(4,\)"),
    "map": (lambda p, f: map.forward(p, OPS["tanh"], f(3), f(4)), r"y has shape \(4,\); expected \(3,\)"),
    "update": (lambda p, f: update.step(p, f(3), f(4)), r"g has shape \(4,\); expected \(3,\)"),
    "states": (lambda p, f: p.set_states(f(3), (f(4),)), "a state has 4 elements; theta has 3"),
    "too many states": (lambda p, f: p.set_states(f(3), (f(3),) * 3), "states has 3 arrays; expected 2 or fewer"),
    "a rule's states": (lambda p, f: p.set_rule("adam", (0.1, 0)), "there are 0 states; expected 2 for adam"),
    "coefficients": (lambda p, f: p.set_rule("sgd", range(11)), "coefficients has 11 elements; expected 10 or fewer"),
    "labels": (lambda p, f: xent.loss(p, f(3, 4), np.zeros(4, np.int64)), r"labels: expected \(3,\)"),
    "targets": (lambda p, f: xent.loss(p, f(3, 4), f(4, 3)), r"labels has shape \(4, 3\)"),
    "squares": (lambda p, f: residuals.loss(p, "squares", f(3, 4), f(3, 3)), r"t has shape \(3, 3\)"),
    "weights": (lambda p, f: xent.loss(p, f(3, 4), f(3, 4), weight=np.ones(4)), "weight has 4 elements; expected 3"),
    "weights' axes": (
        lambda p, f: xent.loss(p, f(3, 4), f(3, 4), weight=np.ones((3, 1))),
        "weight: expected float64",
    ),
    "weights' dtype": (
        lambda p, f: residuals.loss(p, "squares", f(3, 4), f(3, 4), weight=np.ones(3, int)),
        "weight: expected float64",
    ),
    "weights of squares": (
        lambda p, f: residuals.loss(p, "squares", f(3, 4), f(3, 4), weight=np.ones(5)),
        "weight has 5 elements; expected one for each sample",
    ),
    "too many axes": (lambda p, f: p.empty(*[1] * 65), "has more than 64 axes"),
}


@pytest.mark.parametrize(("call", "match"), PLAN_REFUSES.values(), ids=PLAN_REFUSES)
def test_a_plan_refuses(call, match, dtype):
    plan = new_plan(dtype)
    with pytest.raises(ValueError, match=match):
        call(plan, lambda *shape: np.zeros(shape, dtype))


def test_plans_are_of_float32_or_float64():
    for kind in (np.int64, np.float16, np.longdouble, complex):
        with pytest.raises(ValueError, match="typenum"):
            kernels.Plan(np.dtype(kind).num)


# --- plans: slopes, updates, losses ----------------------------------------------------------------------------------

SHAPES = [(0, 3), (1, 1), (5, 7), (3, 16), (130, 17), (127, 33), (129, 5), (300, 70), (40, 3000)]
SHAPES += [(4095, 3), (4096, 3), (4097, 3), (9000, 2)]  # one part, and more


@cases.parametrize("shape", SHAPES)
@pytest.mark.parametrize("op", EXACT)
def test_slopes_and_totals_of_integers_are_exact(shape, op, isa, dtype, rng):
    v, y = integers(rng, shape, dtype, 3), integers(rng, shape, dtype, 4) / dtype.type(4)
    expected = v.astype(np.float64) * derivative(y.astype(np.float64), op)
    g, total, start = np.full(shape, np.nan, dtype), np.full(shape[1], np.nan, dtype), integers(rng, shape[1], dtype)
    plan, changed = new_plan(dtype), start.copy()
    slope.slope(plan, v, g, after=Epilogue(derivative=OPS[op], of=y), total=total)
    slope.slope(plan, v, after=Epilogue(derivative=OPS[op], of=y), total=changed, update=True)
    plan.set_rule("sgd", (0.5, 0))
    own = v.copy()
    slope.slope(plan, own, own, after=Epilogue(derivative=OPS[op], of=y))
    plan.run()
    assert_array_equal(g, expected)
    assert_array_equal(own, expected)
    assert_array_equal(total, expected.sum(axis=0))
    assert_array_equal(changed, start - expected.sum(axis=0) / 2)


def test_long_sums_of_rows_lose_little(isa, dtype, rng, tolerance):
    """60000 rows: sums of runs are added up, not every row to one total."""
    v, total = rng.random((60_000, 3)).astype(dtype), np.zeros(3, dtype)
    plan = new_plan(dtype)
    slope.slope(plan, v, total=total)
    plan.run()
    Bounds(tolerance, dtype).total(Near(v)).check(total)


RULES = {
    "plain": {},
    "decay": {"decay": 0.25},
    "momentum": {"momentum": 0.5},
    "momentum and decay": {"momentum": 0.5, "decay": 0.25},
    "nesterov": {"momentum": 0.5, "nesterov": True, "decay": 0.25},
}
each_size = pytest.mark.parametrize("sizes", [cases.SIZES[:-3], cases.SIZES[-3:]], ids=["small", "blocks"])


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@each_size
def test_updates_by_sgd_are_exact(rule, sizes, isa, dtype, threads, rng):
    """g += decay w; v = momentum v + g; w -= rate v, or rate (g + momentum v): all in dyadic fractions."""
    momentum, decay = rule.get("momentum", 0), rule.get("decay", 0)
    for n in sizes:
        w, g, v = (integers(rng, n, dtype, 8) for _ in range(3))
        W, G, V = (a.astype(np.float64) for a in (w, g, v))
        plan = new_plan(dtype)
        plan.set_states(w, (v,) if momentum else ())
        update.step(plan, w, g)
        for rate in (0.5, 0.25):
            name = "nesterov" if rule.get("nesterov") else "momentum" if momentum else "sgd"
            plan.set_rule(name, (rate, decay, momentum))
            plan.run()
            D = G + decay * W
            V = momentum * V + D if momentum else V
            W = W - rate * (D + momentum * V if rule.get("nesterov") else V if momentum else D)
            assert_array_equal(w, W)
            assert_array_equal(v, V)


@pytest.mark.parametrize("decay", [0.0, 0.01])
@each_size
def test_updates_by_adam(decay, sizes, isa, dtype, threads, rng):
    """m = b1 m + (1 - b1) g; s = b2 s + (1 - b2) g^2; w -= rate (m u1 / (sqrt(s u2) + eps) + decay w)."""
    b1, b2, u1, u2, eps, rate = 0.875, 0.96875, 1.25, 8.0, 2.0**-10, 2.0**-6
    ulp = np.finfo(dtype).eps
    for n in sizes:
        w, g, m = (normals(rng, n, dtype) for _ in range(3))
        s = rng.random(n).astype(dtype)
        W, G, M, S = (a.astype(np.float64) for a in (w, g, m, s))
        plan = new_plan(dtype)
        plan.set_states(w, (m, s))
        update.step(plan, w, g)
        plan.set_rule("adam", (rate, decay, b1, 1 - b1, b2, 1 - b2, u1, u2, eps))
        plan.run()
        size = b1 * np.abs(M) + (1 - b1) * np.abs(G)
        M, S = b1 * M + (1 - b1) * G, b2 * S + (1 - b2) * G**2
        Near(M, 2 * ulp * size).check(m)
        assert_allclose(s, S, rtol=3 * ulp)
        root = np.sqrt(S * u2) + eps
        move = rate * M * u1 / root + rate * decay * W
        error = rate * u1 * (2 * size + 5 * np.abs(M)) / root + np.abs(move) + np.abs(W) * (1 + 2 * rate * decay)
        Near(W - move, ulp * error).check(w)


@each_size
@pytest.mark.parametrize("op", ["tanh", "sigmoid", "relu"])
def test_maps_are_those_of_the_library(sizes, op, isa, dtype, rng):
    for n in sizes:
        x, y = normals(rng, n, dtype), np.full(n, np.nan, dtype)
        plan = new_plan(dtype)
        map.forward(plan, OPS[op], x, y)
        plan.run()
        assert_array_equal(y, getattr(fastlec, op)(x))


@each_size
def test_squares_of_integers_are_exact(sizes, isa, dtype, threads, rng):
    for n in sizes:
        x, t, grad = integers(rng, n, dtype), integers(rng, n, dtype), np.full(n, np.nan, dtype)
        plan = new_plan(dtype)
        residuals.loss(plan, "squares", x, t, grad, 4)
        assert plan.run() == ((x - t).astype(np.float64) ** 2).sum() / 4
        assert_array_equal(grad, (x - t) / 2)
        plan = new_plan(dtype)
        residuals.loss(plan, "squares", x, t, x, 2)
        plan.run()
        assert_array_equal(x, 2 * grad)


@each_size
def test_weighted_squares_of_integers_are_exact(sizes, isa, dtype, threads, rng):
    """Samples of any width, whose registers and blocks end anywhere within them; weights as a slot."""
    for n in sizes:
        for width in {w for w in (1, 2, 3, 7, 16, 100, max(n, 1)) if n % w == 0}:
            x, t, grad = integers(rng, n, dtype), integers(rng, n, dtype), np.full(n, np.nan, dtype)
            weight, slot = rng.integers(0, 5, n // width).astype(np.float64), np.empty(n // width)
            plan = new_plan(dtype)
            plan.slot(slot)
            residuals.loss(plan, "squares", x, t, grad, 4, slot)
            plan.bind(0, weight)
            each = weight.repeat(width)
            assert plan.run() == (each * (x - t).astype(np.float64) ** 2).sum() / 4
            assert_array_equal(grad, (each * (x - t) / 2).astype(dtype))


def test_instruction_sets_agree_on_integers(dtype, rng):
    """The same plan on each: the same bits."""
    before, found = runner.isa(), []
    arrays = [integers(rng, s, dtype, 2) for s in ((50, 300), (60, 300), (50, 60))]
    try:
        for name in runner.isas():
            runner.select_isa(name)
            c = np.zeros((50, 60), dtype)
            plan = new_plan(dtype)
            gemm.product(plan, arrays[0], arrays[1].T, c, after=Epilogue(residual=arrays[2], activation=OPS["relu"]))
            plan.run()
            found.append(c.tobytes())
    finally:
        runner.select_isa(before)
    assert len(found) == len(runner.isas())
    assert len(set(found)) == 1
