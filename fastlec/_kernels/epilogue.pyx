# cython: freethreading_compatible=True
"""The epilogue: what a kernel does with its sums before it stores them."""

cimport numpy as cnp

from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport Plan

cnp.import_array()

TANH, SIGMOID, RELU, IDENTITY = FL_TANH, FL_SIGMOID, FL_RELU, FL_IDENTITY

PARTS = {"bias": BIAS, "activation": ACTIVATION, "residual": RESIDUAL, "accumulate": ACCUMULATE, "derivative": DERIVATIVE,
         "update": UPDATE}


cdef class Epilogue:
    """c = (activation(z + [c] + bias) + residual) * derivative'(of), where z are a kernel's sums and c its output.

    bias : one number for each column of c, or each channel of images. residual, of : arrays of c's shape. accumulate : whether c
    itself is added, as it was before. derivative : an activation, whose derivative is taken from its value `of`. update : c are
    parameters and z their gradient: c takes the optimizer's step of the plan.
    """

    def __cinit__(self, cnp.ndarray bias=None, int activation=FL_IDENTITY, cnp.ndarray residual=None, bint accumulate=False,
                  int derivative=FL_IDENTITY, cnp.ndarray of=None, bint update=False):
        if derivative != FL_IDENTITY and of is None:
            raise ValueError("of is None; expected the value of the activation whose derivative is taken")
        self.bias, self.activation, self.residual, self.accumulate = bias, activation, residual, accumulate
        self.derivative, self.of, self.update = derivative, of if derivative != FL_IDENTITY else None, update

    cdef int parts(self) noexcept:
        """Those that this epilogue has."""
        return ((self.bias is not None) * BIAS | (self.activation != FL_IDENTITY) * ACTIVATION
                | (self.residual is not None) * RESIDUAL | self.accumulate * ACCUMULATE
                | (self.of is not None) * DERIVATIVE | self.update * UPDATE)

    cdef Epilogue part(self, object index, tuple shape):
        """The epilogue of c[index].reshape(shape)."""
        residual, of = [None if a is None else a[index].reshape(shape) for a in (self.residual, self.of)]
        return Epilogue(self.bias, self.activation, residual, self.accumulate, self.derivative, of, self.update)

    cdef int point(self, Plan plan, fl_conv_finish *f) except -1:
        """Fills f, a member of the plan's last job."""
        if self.bias is not None:
            plan.point(&f.bias, self.bias)
        if self.residual is not None:
            plan.point(&f.r, self.residual)
        if self.of is not None:
            plan.point(&f.slope, self.of)
        f.accumulate, f.op, f.op2 = self.accumulate, self.activation, self.derivative
        return 0

    cdef double work(self) noexcept:
        """Nanoseconds for each element of c."""
        return 0.3 if self.activation == FL_IDENTITY else 1


cdef Epilogue NOTHING = Epilogue()


cdef Epilogue checked(Epilogue after, Plan plan, str kernel, cnp.ndarray out, int allowed):
    """The epilogue, or for None one that does nothing. ValueError unless the kernel can do its parts and its arrays fit `out`."""
    cdef cnp.ndarray a
    cdef int refused
    if after is None:
        return NOTHING
    refused = after.parts() & ~allowed
    if refused:
        raise ValueError(f"after has {', '.join(name for name, part in PARTS.items() if part & refused)}; "
                         f"expected none for {kernel}")
    for a, name in ((after.residual, "residual"), (after.of, "of")):
        if a is not None:
            plan.check(a, name, cnp.PyArray_NDIM(out))
            if (<object>a).shape != (<object>out).shape:
                raise ValueError(f"{name} has shape {(<object>a).shape}; expected {(<object>out).shape}")
    if after.bias is not None:
        plan.check(after.bias, "bias", 1)
        if cnp.PyArray_DIM(after.bias, 0) != cnp.PyArray_DIM(out, 1):
            raise ValueError(f"bias has shape {(<object>after.bias).shape}; expected ({cnp.PyArray_DIM(out, 1)},)")
    return after
