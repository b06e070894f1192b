# cython: freethreading_compatible=True
"""Convolutions as jobs of a plan: forward map, data's and weights' gradients, by the algorithm that fits (conv/choose.pyx).

x (n, c, h, w), W (k, c / groups, r, s), y and v (n, k, oh, ow), all in C order, aligned and of the plan's dtype. g is the
`Geometry` of fastlec._geometry.
"""

cimport numpy as cnp

from fastlec._kernels.conv.choose cimport AUTO_CODE, CHANNELS_CODE, COLUMNS_CODE, DEPTHWISE_CODE, DIRECT_CODE, IM2COL_CODE
from fastlec._kernels.conv.choose cimport IMAGES_CODE, PIXELS_CODE, PRODUCTS_CODE, WINOGRAD_CODE, add_convolution, add_weights
from fastlec._kernels.conv.columns cimport each_image
from fastlec._kernels.conv.layout cimport Layout, data_layout, forward_layout
from fastlec._kernels.epilogue cimport ACCUMULATE, ACTIVATION, BIAS, DERIVATIVE, RESIDUAL, UPDATE, Z, Epilogue, checked
from fastlec._kernels.plan cimport Plan

from fastlec._kernels.slope import slope
from fastlec._kernels.update import step

cnp.import_array()

AUTO, IM2COL, DIRECT, WINOGRAD = AUTO_CODE, IM2COL_CODE, DIRECT_CODE, WINOGRAD_CODE
DEPTHWISE, PIXELS, CHANNELS, IMAGES = DEPTHWISE_CODE, PIXELS_CODE, CHANNELS_CODE, IMAGES_CODE
PRODUCTS, COLUMNS = PRODUCTS_CODE, COLUMNS_CODE

cdef int default = AUTO_CODE    # the process's choice: what "auto" is


def set_default(int algorithm):
    """What plans take for AUTO from now on; those that are there stay as they are."""
    global default
    default = algorithm


def get_default():
    """What plans take for AUTO."""
    return default


cdef int check_all(Plan plan, object g, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y) except -1:
    plan.check_image(x, "x", g.n, g.c, g.h, g.w)
    plan.check_image(W, "W", g.k, g.c // g.groups, g.r, g.s)
    plan.check_image(y, "y", g.n, g.k, g.oh, g.ow)
    return 0


cdef int named(int algorithm, Layout L) except -1:
    """The algorithm, or the default for AUTO. ValueError if it is Winograd's and the layout is not for it."""
    if algorithm == AUTO_CODE:
        algorithm = default
    if algorithm == WINOGRAD_CODE and not L.is_3x3():
        raise ValueError("algorithm is 'winograd'; expected another one, for it is for 3 x 3 weights and stride 1")
    return algorithm


cdef cnp.ndarray add_direct(Plan plan, Layout L, cnp.ndarray x, cnp.ndarray W, cnp.ndarray y, Epilogue after):
    add_convolution(plan, L, DIRECT_CODE, x, W, y, after)


def forward(Plan plan not None, g, cnp.ndarray x not None, cnp.ndarray W not None, cnp.ndarray y not None, *, int algorithm=0,
            Epilogue after=None):
    """y = W * x and the epilogue `after`."""
    cdef Layout L
    check_all(plan, g, x, W, y)
    after = checked(after, plan, "conv2d.forward", y, BIAS | ACTIVATION | RESIDUAL | ACCUMULATE | DERIVATIVE | Z)
    L = forward_layout(g)
    algorithm = named(algorithm, L)
    if algorithm == IM2COL_CODE:
        each_image(plan, g, x, W, y, after, add_direct)
    else:
        add_convolution(plan, L, algorithm, x, W, y, after)


def data_gradient(Plan plan not None, g, cnp.ndarray v not None, cnp.ndarray W not None, cnp.ndarray dx not None, *,
                  int algorithm=0, Epilogue after=None):
    """dx = the transpose of the convolution by x, of v, and the epilogue `after`."""
    cdef Layout L = data_layout(g)
    check_all(plan, g, dx, W, v)
    after = checked(after, plan, "conv2d.data_gradient", dx, BIAS | ACTIVATION | RESIDUAL | ACCUMULATE | DERIVATIVE | Z)
    add_convolution(plan, L, named(algorithm, L), v, W, dx, after)


def weight_gradient(Plan plan not None, g, cnp.ndarray v not None, cnp.ndarray x not None, cnp.ndarray dW not None, *,
                    int algorithm=0, Epilogue after=None):
    """dW = the transpose of the convolution by W, of v, and the epilogue `after`."""
    cdef Layout L = forward_layout(g, False)
    cdef cnp.ndarray target = dW
    check_all(plan, g, x, dW, v)
    after = checked(after, plan, "conv2d.weight_gradient", dW, UPDATE)
    algorithm = named(algorithm, L)
    if not cnp.PyArray_SIZE(v):
        flat = dW.reshape(1, -1)
        slope(plan, flat[:0], total=flat[0], update=after.update)
        return
    if after.update:
        target = plan.empty(g.k, g.c // g.groups, g.r, g.s)
    add_weights(plan, L, algorithm, v, x, target)
    if after.update:
        step(plan, dW, target)
