# cython: freethreading_compatible=True
"""The choice between the ways to compute a convolution, or the gradient by its weights.

Each way is a module with one contract, for convolutions (the forward map and the gradient by the data, which differ in their
layouts) and again for the gradient by the weights:

    fits(plan, L)                       whether it can compute this layout, as accurately and within as much memory as it must
    cost_ns(plan, L)                    its time on one core, in nanoseconds, without the epilogue
    add(plan, L, x, W, y, after)        adds its jobs. What it returns is None, or a flag that is 1 where these jobs do nothing
                                        because of the data: then y is summed directly

The cheapest one that fits is taken; of equal ones the first.
"""

cimport numpy as cnp

from fastlec._kernels.conv cimport channels, columns, depthwise, images, pixels, products, winograd
from fastlec._kernels.conv.layout cimport Layout
from fastlec._kernels.epilogue cimport ACCUMULATE, Epilogue
from fastlec._kernels.plan cimport Plan

from fastlec._kernels.gemm import product

cnp.import_array()


ctypedef bint (*Fits)(Plan plan, Layout L) except -1
ctypedef double (*Cost)(Plan plan, Layout L) except -1
ctypedef cnp.ndarray (*Add)(Plan plan, Layout L, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after)

cdef struct Algorithm:
    const char *name
    int code
    bint direct         # sums the products of the formula, whatever the data: all but "auto" choose among these
    Fits fits
    Cost cost_ns
    Add add


cdef Algorithm algorithm_of(const char *name, int code, bint direct, Fits fits, Cost cost_ns, Add add) noexcept:
    cdef Algorithm a
    a.name, a.code, a.direct, a.fits, a.cost_ns, a.add = name, code, direct, fits, cost_ns, add
    return a


# Both lists end with a row without a name.
cdef Algorithm FORWARD[8]
FORWARD[0] = algorithm_of("depthwise", DEPTHWISE_CODE, False, depthwise.fits, depthwise.cost_ns, depthwise.add)
FORWARD[1] = algorithm_of("winograd", WINOGRAD_CODE, False, winograd.fits, winograd.cost_ns, winograd.add)
FORWARD[2] = algorithm_of("pixels", PIXELS_CODE, True, pixels.fits, pixels.cost_ns, pixels.add)
FORWARD[3] = algorithm_of("channels", CHANNELS_CODE, True, channels.fits, channels.cost_ns, channels.add)
FORWARD[4] = algorithm_of("images", IMAGES_CODE, True, images.fits, images.cost_ns, images.add)
FORWARD[5] = algorithm_of("products", PRODUCTS_CODE, True, products.fits, products.cost_ns, products.add)
FORWARD[6] = algorithm_of("columns", COLUMNS_CODE, True, columns.fits, columns.cost_ns, columns.add)

cdef Algorithm WEIGHTS[6]
WEIGHTS[0] = algorithm_of("depthwise", DEPTHWISE_CODE, False, depthwise.weights_fits, depthwise.weights_cost_ns,
                          depthwise.add_weights)
WEIGHTS[1] = algorithm_of("winograd", WINOGRAD_CODE, False, winograd.weights_fits, winograd.weights_cost_ns, winograd.add_weights)
WEIGHTS[2] = algorithm_of("pixels", PIXELS_CODE, True, pixels.weights_fits, pixels.weights_cost_ns, pixels.add_weights)
WEIGHTS[3] = algorithm_of("channels", CHANNELS_CODE, True, channels.weights_fits, channels.weights_cost_ns, channels.add_weights)
WEIGHTS[4] = algorithm_of("images", IMAGES_CODE, True, images.weights_fits, images.weights_cost_ns, images.add_weights)


cdef const Algorithm *cheapest(const Algorithm *algorithms, Plan plan, Layout L, bint direct) except NULL:
    """The cheapest that fits, of the direct ones or of all. L.why: what each was estimated to take."""
    cdef const Algorithm *best = NULL
    cdef double cost, least = 0
    cdef list costs = []
    cdef int i = 0
    while algorithms[i].name is not NULL:
        if (algorithms[i].direct or not direct) and algorithms[i].fits(plan, L):
            cost = algorithms[i].cost_ns(plan, L)
            costs.append((cost, algorithms[i].name))
            if best is NULL or cost < least:
                best, least = &algorithms[i], cost
        i += 1
    L.why = costs
    return best


cdef const Algorithm *of_code(const Algorithm *algorithms, Plan plan, Layout L, int code) except NULL:
    """The algorithm of this code. ValueError if it does not fit, but for Winograd's, which is then less accurate."""
    cdef int i = 0, named = 0
    while FORWARD[named].code != code:      # which has all of them
        named += 1
    while algorithms[i].name is not NULL and algorithms[i].code != code:
        i += 1
    if algorithms[i].name is NULL or (code != WINOGRAD_CODE and not algorithms[i].fits(plan, L)):
        raise ValueError(f"algorithm is {FORWARD[named].name.decode()!r}; expected another one for this convolution")
    L.asked, L.why = True, "asked for"
    return &algorithms[i]


cdef int add_direct(const Algorithm *algorithms, Plan plan, Layout L, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y,
                    Epilogue after) except -1:
    cheapest(algorithms, plan, L, True).add(plan, L, x, W, y, after)
    return 0


cdef int add_cheapest(const Algorithm *algorithms, Plan plan, Layout L, int algorithm, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y,
                      Epilogue after) except -1:
    cdef const Algorithm *best
    cdef cnp.ndarray flag
    cdef int first
    if algorithm >= WINOGRAD_CODE:
        best = of_code(algorithms, plan, L, algorithm)
    else:
        best = cheapest(algorithms, plan, L, algorithm != AUTO_CODE)
    flag = best.add(plan, L, x, W, y, after)
    if flag is not None:
        first = plan.n
        add_direct(algorithms, plan, L, x, W, y, after)
        plan.only_if(first, flag, 1, "if they lose too many")
    return 0


cdef int add_convolution(Plan plan, Layout L, int algorithm, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after) except -1:
    """y = W * x, as the layout says, by the algorithm of this code."""
    if not cnp.PyArray_SIZE(y):
        return 0
    if not L.whole:
        return add_part(plan, L, x, W, y, after)
    return add_cheapest(FORWARD, plan, L, algorithm, x, W, y, after)


cdef int add_weights(Plan plan, Layout L, int algorithm, cnp.ndarray v, cnp.ndarray x, cnp.ndarray dW) except -1:
    """dW = the gradient by the weights of the convolution of this layout, by the algorithm of this code."""
    return add_cheapest(WEIGHTS, plan, L, algorithm, v, x, dW, Epilogue())


cdef int add_part(Plan plan, Layout L, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after) except -1:
    """Where some pixels of y have no tap: zeros first, then the others, and the epilogue for all of them."""
    cdef cnp.ndarray rows = y.reshape(-1, L.ow), nothing = plan.empty(len(rows), 0), none = plan.empty(0, L.ow)
    if not after.accumulate:
        product(plan, nothing, none, rows)
    if L.total:
        add_direct(FORWARD, plan, L, x, W, y, Epilogue(accumulate=after.accumulate))
    last = Epilogue(after.bias, after.activation, after.residual, True, after.derivative, after.of, z=after.z,
                    alpha=after.alpha)
    if last.parts() != ACCUMULATE:
        for image in (...,) if after.bias is None else range(L.images):     # a bias is one for each row, of one image's channels
            planes = y[image].reshape(-1, L.oh * L.ow)
            product(plan, plan.empty(len(planes), 0), plan.empty(0, L.oh * L.ow), planes,
                    after=last.rows(image, planes.shape, slice(None)))
    return 0
