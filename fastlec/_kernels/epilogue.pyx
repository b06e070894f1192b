# cython: freethreading_compatible=True
"""The epilogue: what a kernel does with its sums before it stores them."""

cimport numpy as cnp

from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport Plan

cnp.import_array()

cdef extern from *:
    """
    enum { fl_kept_y, fl_kept_z };
    #define FL_ACTIVATION_ROW(NAME, name, kept, ...) {#name, fl_kept_##kept},
    static const struct fl_activation_row { const char *name; int keeps_z; } fl_rows[] = {FL_EACH_ACTIVATION(FL_ACTIVATION_ROW)};
    #undef FL_ACTIVATION_ROW
    enum { fl_n_rows = sizeof fl_rows / sizeof *fl_rows };
    """
    ctypedef struct fl_activation_row:
        const char *name
        int keeps_z
    enum: fl_n_rows
    const fl_activation_row fl_rows[fl_n_rows]

# csrc/activations.def: {name: number}, and the numbers of those whose derivative follows from z, which layers keep then.
ACTIVATIONS = {fl_rows[i].name.decode(): i for i in range(fl_n_rows)}
KEEP_Z = {i for i in range(fl_n_rows) if fl_rows[i].keeps_z}
IDENTITY = FL_IDENTITY

PARTS = {"bias": BIAS, "activation": ACTIVATION, "residual": RESIDUAL, "accumulate": ACCUMULATE, "derivative": DERIVATIVE,
         "update": UPDATE, "z": Z}


cdef class Epilogue:
    """c = (activation(z) + residual) * derivative'(of) with z = sums + [c] + bias, where c is a kernel's output.

    bias : one number for each column of c, or each channel of images; by_row : for each row of c. residual, of, z : arrays of
    c's shape; z takes z. accumulate : whether c itself is added, as it was before. derivative : an activation, whose derivative is
    taken from `of`, its value or, for those in KEEP_Z, its argument; then there are no activation and no z. Where the kernel allows
    it, `of` may have the shape of the first rows of c alone, and these are taken over and over. update : c are parameters and the
    sums their gradient: c takes the optimizer's step of the plan. alpha : the parameter of the activation, or of the derivative, by
    default as in FL_ALPHA.
    """

    def __cinit__(self, cnp.ndarray bias=None, int activation=FL_IDENTITY, cnp.ndarray residual=None, bint accumulate=False,
                  int derivative=FL_IDENTITY, cnp.ndarray of=None, bint update=False, cnp.ndarray z=None, bint by_row=False,
                  alpha=None):
        if derivative != FL_IDENTITY and of is None:
            raise ValueError("of is None; expected what the derivative of the activation follows from")
        if derivative != FL_IDENTITY and (activation != FL_IDENTITY or z is not None):
            raise ValueError("there are a derivative and an activation or z; expected the one or the others")
        self.bias, self.activation, self.residual, self.accumulate = bias, activation, residual, accumulate
        self.derivative, self.of, self.update = derivative, of if derivative != FL_IDENTITY else None, update
        self.z, self.by_row = z, by_row
        self.alpha = FL_ALPHA(derivative or activation) if alpha is None else alpha

    cdef int parts(self) noexcept:
        """Those that this epilogue has."""
        return ((self.bias is not None) * BIAS | (self.activation != FL_IDENTITY) * ACTIVATION
                | (self.residual is not None) * RESIDUAL | self.accumulate * ACCUMULATE
                | (self.of is not None) * DERIVATIVE | self.update * UPDATE | (self.z is not None) * Z)

    cpdef Epilogue part(self, object index, tuple shape):
        """The epilogue of c[index].reshape(shape)."""
        residual, of, z = [None if a is None else a[index].reshape(shape) for a in (self.residual, self.of, self.z)]
        return Epilogue(self.bias, self.activation, residual, self.accumulate, self.derivative, of, self.update, z, self.by_row,
                        self.alpha)

    cdef Epilogue rows(self, object index, tuple shape, object channels):
        """The epilogue of c[index].reshape(shape), where c are images and the rows these channels of one."""
        cdef Epilogue part = self.part(index, shape)
        if self.bias is not None:
            part.bias, part.by_row = self.bias[channels], True
        return part

    cdef int point(self, Plan plan, fl_epilogue *e) except -1:
        """Fills e, a member of the plan's last job."""
        if self.bias is not None:
            plan.point(&e.bias, self.bias)
        if self.residual is not None:
            plan.point(&e.residual, self.residual)
        if self.of is not None:
            plan.point(&e.of, self.of)
        if self.z is not None:
            plan.point(<const void **>&e.z, self.z)
        e.accumulate, e.activation, e.derivative = self.accumulate, self.activation, self.derivative
        e.by_row, e.alpha = self.by_row, self.alpha
        e.update = &plan.rule if self.update else NULL
        return 0

    cdef fl_int of_rows(self, fl_int m) noexcept:
        """The rows of `of` where they are fewer than m, else 0."""
        return 0 if self.of is None or cnp.PyArray_DIM(self.of, 0) == m else cnp.PyArray_DIM(self.of, 0)

    cdef double work(self) noexcept:
        """Nanoseconds for each element of c."""
        return 0.3 if self.activation == FL_IDENTITY else 1


cdef bint repeats(cnp.ndarray of, cnp.ndarray out):
    """Whether the rows of `of`, over and over, are as many as those of out."""
    return ((<object>of).shape[1:] == (<object>out).shape[1:] and cnp.PyArray_DIM(of, 0) > 0
            and cnp.PyArray_DIM(out, 0) % cnp.PyArray_DIM(of, 0) == 0)


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
    for a, name in ((after.residual, "residual"), (after.of, "of"), (after.z, "z")):
        if a is not None:
            plan.check(a, name, cnp.PyArray_NDIM(out))
            repeated = allowed & REPEATED_OF and a is after.of and repeats(a, out)
            if (<object>a).shape != (<object>out).shape and not repeated:
                raise ValueError(f"{name} has shape {(<object>a).shape}; expected {(<object>out).shape}")
    if after.bias is not None:
        plan.check(after.bias, "bias", 1)
        length = cnp.PyArray_DIM(out, 0 if after.by_row else 1)
        if cnp.PyArray_DIM(after.bias, 0) != length:
            raise ValueError(f"bias has shape {(<object>after.bias).shape}; expected ({length},)")
    return after
