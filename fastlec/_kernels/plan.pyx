# cython: freethreading_compatible=True
"""Lists of jobs, planned once and run by one call, as often as wanted.

The modules of the kernels' families add jobs: functions whose first argument is the plan. A plan holds the arrays that its jobs
point into. Arrays are float32 or float64, all of the plan's dtype, aligned, in C order unless a function says otherwise. Everything
is checked when a job is added, nothing when it runs. A plan is not for two threads at once.
"""

cimport numpy as cnp
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memset

from fastlec._kernels cimport memory
from fastlec._kernels.dtypes cimport dtypes
from fastlec._kernels.fl cimport *
from fastlec._kernels.runner cimport kernel, run_jobs, start_job

from time import perf_counter

from numpy import ndarray

from fastlec._kernels.jobs import Job, reason, table

cnp.import_array()

cdef extern from *:
    """
    static const char *const fl_names[] = {
    #define FL_KERNEL(name) #name,
    #include "kernels.def"
    #undef FL_KERNEL
    };
    """
    const char *fl_names[]

cdef extern from *:
    """
    #define FL_RULE_ROW(NAME, name, states, ...) {#name, states},
    static const struct fl_rule_row { const char *name; int states; } fl_rules[] = {FL_EACH_RULE(FL_RULE_ROW)};
    #undef FL_RULE_ROW
    """
    ctypedef struct fl_rule_row:
        const char *name
        int states
    const fl_rule_row fl_rules[FL_RULES]

RULES = {fl_rules[i].name.decode(): i for i in range(FL_RULES)}     # csrc/rules.def: {name: number}

cdef enum:
    AXES = 64               # of an array, at most: NumPy's own limit
    LITTLE = 1 << 12        # bytes that take less than what says how long they are


cdef shape(object a):
    return a.shape


cdef bint alike(cnp.ndarray a, cnp.ndarray slot) noexcept:
    """Whether a can be bound to a slot: in C order, aligned, of its dtype and shape."""
    return (cnp.PyArray_ISCARRAY_RO(a) and cnp.PyArray_TYPE(a) == cnp.PyArray_TYPE(slot)
            and cnp.PyArray_NDIM(a) == cnp.PyArray_NDIM(slot)
            and cnp.PyArray_CompareLists(cnp.PyArray_DIMS(a), cnp.PyArray_DIMS(slot), cnp.PyArray_NDIM(a)))


cdef bint apart(cnp.ndarray a, object others) except -1:
    """Whether a, in C order, shares no memory with these arrays, which are plain or transposed."""
    cdef cnp.ndarray b
    cdef char *start = cnp.PyArray_BYTES(a)
    cdef char *end = start + cnp.PyArray_NBYTES(a)
    for b in others:
        if start < cnp.PyArray_BYTES(b) + cnp.PyArray_NBYTES(b) and cnp.PyArray_BYTES(b) < end:
            return False
    return True


cdef class Plan:
    def __cinit__(self, int typenum):
        if typenum != cnp.NPY_FLOAT and typenum != cnp.NPY_DOUBLE:
            raise ValueError("typenum: expected that of float32 or float64")
        self.jobs = self.few
        self.room = FEW
        self.typenum = typenum
        self.dtype = FL_F32 if typenum == cnp.NPY_FLOAT else FL_F64
        self.size = dtypes[self.dtype].size
        self.kernels = []

    def __dealloc__(self):
        if self.jobs != self.few:
            free(self.jobs)
        free(self.losses)
        free(self.bindings)

    # --- memory ------------------------------------------------------------------------------------------------------

    cdef any_job *add(self, int which) except NULL:
        """The next job, all zeros but its kernel."""
        cdef any_job *more
        cdef any_job *job
        if self.n == self.room:
            more = <any_job *>malloc(2 * self.room * sizeof(any_job))
            if more is NULL:
                raise MemoryError(f"cannot allocate {2 * self.room * sizeof(any_job)} bytes")
            for i in range(self.n):
                more[i] = self.jobs[i]
            if self.jobs != self.few:
                free(self.jobs)
            self.jobs = more
            self.n_bytes += self.room * sizeof(any_job)
            self.room *= 2
        job = self.jobs + self.n
        start_job(job, sizeof(any_job), which, self.dtype)
        if self.layer is not None:
            self.layers = self.layers or {}
            self.layers[self.n] = self.layer
        self.kernels.append(which)
        self.n += 1
        return job

    cdef int because(self, object why) except -1:
        """Remembers why the last job is as it is: a text, or [(nanoseconds, name)] of the ways that were compared."""
        if self.whys is None:
            self.whys = {}
        self.whys[self.n - 1] = why
        return 0

    cdef int point(self, const void **field, cnp.ndarray a) except -1:
        """Makes a field of the last job point to a's data, and remembers to exchange it if a is a slot."""
        cdef Py_ssize_t within
        cdef cnp.ndarray slot
        field[0] = cnp.PyArray_DATA(a)
        if self.packed:
            self.forget(a)
        if self.slots is not None:
            for i, slot in enumerate(self.slots):
                within = <char *>field[0] - cnp.PyArray_BYTES(slot)
                if within == 0 or 0 < within < cnp.PyArray_NBYTES(slot):    # a, or some of it, in any shape
                    return self.add_binding(i, <char *>field - <char *>self.jobs, within)
        return self.hold(a)

    cdef int add_binding(self, int slot, Py_ssize_t field, Py_ssize_t within) except -1:
        cdef binding *more
        if self.n_bindings == self.bindings_room:
            more = <binding *>realloc(self.bindings, (2 * self.bindings_room + 8) * sizeof(binding))
            if more is NULL:
                raise MemoryError(f"cannot allocate {(2 * self.bindings_room + 8) * sizeof(binding)} bytes")
            self.bindings = more
            self.bindings_room = 2 * self.bindings_room + 8
        self.bindings[self.n_bindings] = binding(slot, field, within)
        self.n_bindings += 1
        return 0

    cdef int forget(self, cnp.ndarray a) except -1:
        """Drops the panels of matrices that share memory with a."""
        cdef cnp.ndarray matrix
        cdef char *start = cnp.PyArray_BYTES(a)
        for key, (matrix, _) in list(self.packed.items()):
            if (start < cnp.PyArray_BYTES(matrix) + cnp.PyArray_NBYTES(matrix)
                    and cnp.PyArray_BYTES(matrix) < start + cnp.PyArray_NBYTES(a)):
                del self.packed[key]
        return 0

    cdef int keep(self, cnp.ndarray a) except -1:
        """Jobs point into a, a table of their own, if there is one."""
        if a is None:
            return 0
        self.n_bytes += cnp.PyArray_NBYTES(a)
        return self.hold(a)

    cdef int hold(self, cnp.ndarray a) except -1:
        if self.arrays is None:
            self.arrays = []
        self.arrays.append(a)
        return 0

    cdef int only_if(self, int first, cnp.ndarray flag, int wanted, str condition) except -1:
        """Makes the jobs from number `first` on run only if flag, an int32 that a job before them writes, then has this value.
        condition: what that means."""
        cdef int j
        if self.conditions is None:
            self.conditions = {}
        for j in range(first, self.n):
            self.conditions[j] = condition
            self.jobs[j].head.then = self.jobs[j].head.run
            self.jobs[j].head.run = kernel(FL_KERNEL_conditional, self.dtype)
            self.jobs[j].head.flag = <const int *>cnp.PyArray_DATA(flag)
            self.jobs[j].head.wanted = wanted
        self.keep(flag)
        return 0

    cdef cnp.ndarray new(self, tuple shape):
        cdef cnp.npy_intp dims[AXES]
        if len(shape) > AXES:
            raise ValueError(f"shape {shape} has more than {AXES} axes")
        for i, n in enumerate(shape):
            dims[i] = n
        return memory.empty(len(shape), dims, self.typenum)

    def empty(self, *shape):
        """A new array (uninitialised) of the plan's dtype for its jobs to write; it lives as long as somebody holds it."""
        cdef cnp.ndarray a = self.new(shape)
        self.n_bytes += cnp.PyArray_NBYTES(a)
        return a

    def slot(self, cnp.ndarray a not None):
        """Declares that `bind` may put another array in a's place; before any job uses it. Returns its number."""
        if self.slots is None:
            self.slots = []
        self.slots.append(a)
        return len(self.slots) - 1

    def place(self, *shape):
        """A new array of the plan's dtype that is a slot."""
        a = self.new(shape)
        self.slot(a)
        return a

    def settle(self):
        """Lets go of the slots' own memory where it is much: there are no more jobs to add, and `call` gives other arrays."""
        cdef cnp.ndarray slot
        self.packed = None
        for i, slot in enumerate(self.slots):
            if cnp.PyArray_NBYTES(slot) > LITTLE:
                a = <object>slot
                self.slots[i] = ndarray(a.shape, a.dtype, bytes(a.itemsize), strides=(0,) * a.ndim)
            else:
                self.n_bytes += cnp.PyArray_NBYTES(slot)

    def bind(self, int slot, cnp.ndarray a not None):
        """Puts a in the place of a slot: same dtype and shape, C order, aligned. The caller keeps it alive."""
        cdef cnp.ndarray old
        cdef int i
        if self.slots is None or not 0 <= slot < len(self.slots):
            raise ValueError(f"slot is {slot}; the plan has {0 if self.slots is None else len(self.slots)}")
        old = <cnp.ndarray>self.slots[slot]
        if not alike(a, old):
            if (not cnp.PyArray_ISCARRAY_RO(a) or cnp.PyArray_TYPE(a) != cnp.PyArray_TYPE(old)
                    or cnp.PyArray_NDIM(a) != cnp.PyArray_NDIM(old)):
                raise ValueError("an array to bind: expected dtype, axes and order of the slot's")
            raise ValueError(f"an array to bind has shape {shape(a)}; expected {shape(old)}")
        for i in range(self.n_bindings):
            if self.bindings[i].slot == slot:
                (<char **>(<char *>self.jobs + self.bindings[i].field))[0] = cnp.PyArray_BYTES(a) + self.bindings[i].within

    def call(self, inputs, outs=None):
        """Runs with other arrays in the places of all slots, in their order: first inputs, then outs, each an array or None for a
        new one; outs=None: new ones for the slots that are left. Returns the list of outs; None, and nothing has run, unless all
        are plain arrays of dtype and shape of their slots, and each of outs apart from all others that the jobs use."""
        cdef list arrays = []
        cdef Py_ssize_t i, n = len(self.slots), first
        cdef cnp.ndarray slot
        cdef binding *place
        for a in inputs:
            if len(arrays) == n or not cnp.PyArray_CheckExact(a) or not alike(a, <cnp.ndarray>self.slots[len(arrays)]):
                return None
            arrays.append(a)
        first = len(arrays)
        for a in (None,) * (n - first) if outs is None else outs:
            slot = <cnp.ndarray>self.slots[len(arrays)]
            if a is None:
                a = memory.empty(cnp.PyArray_NDIM(slot), cnp.PyArray_DIMS(slot), self.typenum)
            elif not (cnp.PyArray_CheckExact(a) and cnp.PyArray_ISWRITEABLE(<cnp.ndarray>a) and alike(a, slot)
                      and apart(a, arrays) and apart(a, self.arrays or ())):
                return None
            arrays.append(a)
        for i in range(self.n_bindings):
            place = &self.bindings[i]
            (<char **>(<char *>self.jobs + place.field))[0] = cnp.PyArray_BYTES(<cnp.ndarray>arrays[place.slot]) + place.within
        self.loss = self.run()
        return arrays[first:]

    cdef int check(self, cnp.ndarray a, str name, int ndim, bint transposed=False) except -1:
        if (cnp.PyArray_TYPE(a) != self.typenum or cnp.PyArray_NDIM(a) != ndim or not cnp.PyArray_ISALIGNED(a)
                or not cnp.PyArray_ISNOTSWAPPED(a)):
            raise ValueError(f"{name}: expected an aligned array of the plan's dtype with {ndim} axes")
        if not (cnp.PyArray_IS_C_CONTIGUOUS(a) or (transposed and cnp.PyArray_IS_F_CONTIGUOUS(a))):
            raise ValueError(f"{name}: expected C order")
        return 0

    cdef int check_shape(self, cnp.ndarray a, str name, fl_int m, fl_int n) except -1:
        self.check(a, name, 2)
        if cnp.PyArray_DIM(a, 0) != m or cnp.PyArray_DIM(a, 1) != n:
            raise ValueError(f"{name} has shape {shape(a)}; expected ({m}, {n})")
        return 0

    cdef int check_image(self, cnp.ndarray a, str name, fl_int n, fl_int c, fl_int h, fl_int w) except -1:
        self.check(a, name, 4)
        if (cnp.PyArray_DIM(a, 0) != n or cnp.PyArray_DIM(a, 1) != c or cnp.PyArray_DIM(a, 2) != h or cnp.PyArray_DIM(a, 3) != w):
            raise ValueError(f"{name} has shape {shape(a)}; expected ({n}, {c}, {h}, {w})")
        return 0

    cdef int check_size(self, cnp.ndarray a, str name, cnp.ndarray like) except -1:
        """For jobs that work elementwise."""
        self.check(a, name, cnp.PyArray_NDIM(a))
        if cnp.PyArray_SIZE(a) != cnp.PyArray_SIZE(like):
            raise ValueError(f"{name} has shape {shape(a)}; expected {shape(like)}")
        return 0

    cdef int check_weights(self, cnp.ndarray a, str name) except -1:
        """Weights of samples are float64 whatever the plan's dtype."""
        if cnp.PyArray_TYPE(a) != cnp.NPY_DOUBLE or cnp.PyArray_NDIM(a) != 1 or not cnp.PyArray_ISCARRAY_RO(a):
            raise ValueError(f"{name}: expected float64 with one axis, in C order")
        return 0

    # --- the optimizer's rule -----------------------------------------------------------------------------------------

    def set_rule(self, str name not None, coefficients):
        """How jobs with update=True change their parameters, from the next run on: a rule of csrc/rules.def and its coefficients,
        in the order that csrc/shared/step.h says. Its states must have been set."""
        cdef int i, rule = RULES[name], states = 0 if self.states is None else len(self.states)
        if states != fl_rules[rule].states:
            raise ValueError(f"there are {states} states; expected {fl_rules[rule].states} for {name}")
        if len(coefficients) > FL_COEFFICIENTS:
            raise ValueError(f"coefficients has {len(coefficients)} elements; expected {FL_COEFFICIENTS} or fewer")
        memset(&self.rule.c, 0, sizeof(self.rule.c))
        for i, c in enumerate(coefficients):
            self.rule.c[i] = c
        self.rule.rule = rule

    def set_states(self, cnp.ndarray theta not None, tuple states):
        """The optimizer's arrays, flat as theta: where a parameter lies in theta its states lie in them."""
        self.check(theta, "theta", 1)
        if len(states) > FL_STATES:
            raise ValueError(f"states has {len(states)} arrays; expected {FL_STATES} or fewer")
        for state in states:
            self.check(state, "state", 1)
            if len(state) != len(theta):
                raise ValueError(f"a state has {len(state)} elements; theta has {len(theta)}")
        self.states = states
        for i, state in enumerate(states):
            self.rule.state[i] = cnp.PyArray_BYTES(state) - cnp.PyArray_BYTES(theta)

    cdef double *take_losses(self, fl_int n, double count) except NULL:
        free(self.losses)
        self.losses = <double *>malloc(n * sizeof(double))
        if self.losses is NULL:
            self.n_losses = 0
            raise MemoryError(f"cannot allocate {n * sizeof(double)} bytes")
        memset(self.losses, 0, n * sizeof(double))
        self.n_losses = n
        self.loss_count = count
        return self.losses

    # --- running -----------------------------------------------------------------------------------------------------

    def run(self, int first=0, int end=-1):
        """Runs the jobs in order, all or those from first up to end; returns the loss where one was planned, else 0. What a signal
        handler raises comes through: results are then incomplete."""
        cdef fl_job *few[8 * FEW]
        cdef fl_job **jobs = few
        cdef double loss = 0
        cdef fl_int b
        cdef int i, n
        self.packed = None
        end = self.n if end < 0 else min(end, self.n)
        first = min(max(first, 0), end)
        n = end - first
        if n > 8 * FEW:
            jobs = <fl_job **>malloc(n * sizeof(fl_job *))
            if jobs is NULL:
                raise MemoryError(f"cannot allocate {n * sizeof(fl_job *)} bytes")
        for i in range(n):
            jobs[i] = &self.jobs[first + i].head
        try:
            run_jobs(jobs, n)
        finally:
            if jobs != few:
                free(jobs)
        for b in range(self.n_losses):
            loss += self.losses[b]
        return loss / self.loss_count if self.n_losses else 0.0

    def __len__(self):
        return self.n

    # --- what is shown -----------------------------------------------------------------------------------------------

    def explained(self, int rounds=0):
        """[`Job`]: what the plan will run. rounds: runs it as often, job by job, with a clock: as `run`, it writes all outputs."""
        cdef fl_job *job
        cdef double start
        cdef list times = [None] * self.n
        cdef int i
        for _ in range(rounds):
            for i in range(self.n):
                job = &self.jobs[i].head
                start = perf_counter()
                run_jobs(&job, 1)
                start = 1e9 * (perf_counter() - start)
                times[i] = start if times[i] is None else min(times[i], start)
        whys, conditions, layers = self.whys or {}, self.conditions or {}, self.layers or {}
        return [Job(fl_names[<int>self.kernels[i]].decode(), self.jobs[i].head.n_blocks, self.jobs[i].head.work, times[i],
                    reason(whys.get(i, "")), conditions.get(i, ""), layers.get(i, ""))
                for i in range(self.n)]

    def __repr__(self):
        return f"Plan of {self.n} jobs, {dtypes[self.dtype].name.decode()}\n{table(self.explained())}"


def is_plain(object a):
    """Whether a is an ndarray, no subclass, in C order, aligned and of native byte order: kernels of its dtype read it in place."""
    return bool(cnp.PyArray_CheckExact(a) and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>a))
