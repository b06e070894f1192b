# cython: freethreading_compatible=True
"""The job runner: decides the team, opens at most one parallel region, spreads each job's blocks with a barrier between jobs.

Thread policy, fork safety, interruption and determinism are here and nowhere else. A block's result depends on the block alone,
so every team gives the same bits. A team of one never enters libgomp.

Signal handlers run between regions, never inside one: a handler may fork, and the child has none of the threads that the end of a
region waits for. From time to time a team therefore takes no more blocks, leaves its region, and afterwards goes on in a new one.
"""

from cython.parallel cimport parallel, threadid

from fastlec._kernels cimport memory
from fastlec._kernels.dtypes cimport dtypes
from fastlec._kernels.fl cimport *


cdef extern from "team.h" nogil:
    int FL_OPENMP
    int fl_omp_max_threads()
    int fl_omp_in_parallel()
    void fl_barrier()
    int fl_team_take()
    void fl_team_give()
    int fl_is_forked()
    void fl_team_init()
    int fl_cpus()
    double fl_now()
    int fl_shared_get(const int *number)
    void fl_shared_set(int *number, int value)
    fl_int fl_take_below(fl_int *next, fl_int end)

cdef extern from "Python.h" nogil:
    ctypedef int PyGILState_STATE
    PyGILState_STATE PyGILState_Ensure()
    void PyGILState_Release(PyGILState_STATE state)
    int PyErr_CheckSignals()            # called with the GIL held, by signalled()

fl_team_init()

cdef double PARALLEL_FROM = 50e3    # ns of work on one core: about ten times what opening a region can cost
cdef double RELEASE_FROM = 10e3     # ns: below this the GIL is kept
cdef double POLL_EVERY = 0.05       # s between looks at pending signals
cdef double CLOCK_EVERY = 50e3      # ns of estimated work between looks at the clock, which would slow lists of tiny jobs
cdef double STALL = 2e-3            # s beyond eight times the serial estimate: the team waits for CPUs that others hold;
cdef double ALONE = 0.2             # after two such calls on end, calls compute alone for this many seconds

cdef enum:
    LINE = 64
    APART = 128                     # scratch of two threads never shares a line that the other one's prefetcher takes
    STACK = 16384                   # scratch of a small job

cdef int thread_limit = 0           # 0: none
cdef int cpu_quota = 0              # of the cgroup; 0: none
cdef double alone_until = 0         # fl_now()
cdef int stalls = 0                 # on end; both are the team holder's


cdef struct Run:
    fl_job **jobs
    int n_jobs
    fl_int n_blocks                 # of all jobs, which are numbered in their order
    char *scratch
    size_t per_thread
    int first                       # the job in which the next region begins,
    fl_int base                     # and the number of its first block
    double poll_at                  # s
    double since_clock              # ns, of thread 0
    int last                        # the job that the team does not finish, to leave the region; n_jobs: none
    char apart[APART]
    fl_int next                     # block that nobody has taken


cdef fl_block_fn kernel(int kernel, int dtype) noexcept nogil:
    return fl_active.fn[kernel][dtype]


cdef const fl_facts *facts() noexcept nogil:
    """What the instruction set in use has, for planning blocks and scratch: `facts().gemm_rows` and so on."""
    return &fl_active.facts


cdef double macs_per_ns(int dtype) noexcept:
    """Multiplications with an addition, on one core with the instruction set in use. AVX2 does as many as AVX-512 on Zen 4, in two
    pipes instead of one; NEON has half the lanes, and portable code no FMA either."""
    return dtypes[dtype].macs_per_ns * (1 if facts().vector_bytes >= 32 else 0.5 if facts().registers > 16 else 0.25)


cdef int team_limit() noexcept nogil:
    cdef int team = fl_cpus(), omp = fl_omp_max_threads()
    if omp < team:
        team = omp
    if 0 < thread_limit < team:
        team = thread_limit
    if 0 < cpu_quota < team:
        team = cpu_quota
    return team if team > 1 else 1


cdef int team_for(double work, fl_int most_blocks) noexcept nogil:
    """The threads for this much work; more than 1 only with the team taken, which the caller then gives back."""
    cdef int team
    if work < PARALLEL_FROM or most_blocks < 2 or thread_limit == 1 or fl_is_forked() or fl_omp_in_parallel():
        return 1
    if fl_now() < alone_until:
        return 1
    team = team_limit()
    if most_blocks < team:
        team = <int>most_blocks
    if team > 1 and not fl_team_take():
        return 1
    return team


cdef int signalled() noexcept nogil:
    """Runs Python's signal handlers; on an exception it stays set in this thread for the runner's caller."""
    cdef PyGILState_STATE state = PyGILState_Ensure()
    cdef int raised = PyErr_CheckSignals()
    PyGILState_Release(state)
    return raised


cdef void share(Run *run, int number, fl_int base, int thread) noexcept nogil:
    """Computes blocks of a job, as long as there are any that nobody has taken and the team stays."""
    cdef const fl_job *job = run.jobs[number]
    cdef void *scratch = run.scratch + thread * run.per_thread
    cdef fl_int block
    while fl_shared_get(&run.last) != number:
        block = fl_take_below(&run.next, base + job.n_blocks)
        if block < 0:
            return
        job.run(job, block - base, scratch)
        if thread != 0:     # thread 0 is the caller's own
            continue
        run.since_clock += job.work / job.n_blocks
        if run.since_clock > CLOCK_EVERY:
            run.since_clock = 0
            if fl_now() > run.poll_at:
                fl_shared_set(&run.last, number)    # no other thread is in another job


cdef void alone(Run *run) noexcept nogil:
    cdef int j = run.first
    cdef fl_int base = run.base
    while j < run.n_jobs and j <= run.last:
        share(run, j, base, 0)
        base += run.jobs[j].n_blocks
        j += 1


cdef void together(Run *run, int team) noexcept nogil:
    cdef int j = 0
    cdef fl_int base = 0
    with nogil, parallel(num_threads=team):
        j = run.first
        base = run.base
        while j < run.n_jobs and j <= fl_shared_get(&run.last):
            share(run, j, base, threadid())
            fl_barrier()        # so that all see the same `last`
            base = base + run.jobs[j].n_blocks
            j = j + 1


cdef int compute(Run *run, int team, double *busy) noexcept nogil:
    """All blocks; *busy: the seconds that a team took. -1 if a signal handler raised."""
    cdef double start
    run.next = run.first = run.base = 0
    run.since_clock = busy[0] = 0
    while True:
        run.last = run.n_jobs
        start = fl_now()
        run.poll_at = start + POLL_EVERY
        if team > 1:
            together(run, team)
            busy[0] += fl_now() - start
        else:
            alone(run)
        if run.next == run.n_blocks:
            return 0
        if signalled():
            return -1
        if fl_is_forked():      # in the handler, and this is the child
            team = 1
        while run.base + run.jobs[run.first].n_blocks <= run.next:
            run.base += run.jobs[run.first].n_blocks
            run.first += 1


cdef int run_jobs(fl_job **jobs, int n_jobs) except -1:
    """Runs the jobs in order. Where a team was held up (spinning threads of another library on the same CPUs), the next calls
    compute alone. Raises MemoryError before anything has run, or what a signal handler raised (KeyboardInterrupt):
    the outputs are then incomplete."""
    cdef char stack[STACK + LINE]
    cdef Run run
    cdef size_t scratch = 0
    cdef fl_int most_blocks = 0, block
    cdef double work = 0, busy
    global alone_until, stalls
    cdef int j, team, raised
    run.n_blocks = 0
    for j in range(n_jobs):
        work += jobs[j].work
        run.n_blocks += jobs[j].n_blocks
        most_blocks = max(most_blocks, jobs[j].n_blocks)
        scratch = max(scratch, jobs[j].scratch)
    team = team_for(work, most_blocks)

    run.jobs = jobs
    run.n_jobs = n_jobs
    run.per_thread = (scratch + APART - 1) // APART * APART
    if team == 1 and scratch <= STACK:
        run.scratch = <char *>((<size_t>stack + LINE - 1) // LINE * LINE)
        if work < RELEASE_FROM:
            for j in range(n_jobs):
                for block in range(jobs[j].n_blocks):
                    jobs[j].run(jobs[j], block, run.scratch)
            return 0
        with nogil:
            raised = compute(&run, 1, &busy)
        return raised

    run.scratch = NULL
    if scratch:
        try:
            run.scratch = <char *>memory.take(run.per_thread * <size_t>team)
        except BaseException:
            if team > 1:
                fl_team_give()
            raise
    with nogil:
        raised = compute(&run, team, &busy)
        if team > 1:
            stalls = stalls + 1 if busy > STALL + 8e-9 * work else 0
            if stalls > 1:
                alone_until = fl_now() + ALONE
            fl_team_give()
    if scratch:
        memory.give(run.scratch, run.per_thread * <size_t>team)
    return raised


def set_num_threads(int n):
    """The most threads a call may use, for the whole process; 0: as many as OpenMP and the CPUs allow."""
    global thread_limit
    thread_limit = n


def get_num_threads():
    """The threads that a large call would use now."""
    return 1 if fl_is_forked() else team_limit()


def set_cpu_quota(int n):
    """The CPUs that a container grants, rounded up; 0: no limit."""
    global cpu_quota
    cpu_quota = n


def isas():
    """The instruction sets that were compiled in and run here, best first."""
    names = []
    cdef int i = 0
    while fl_tables[i] is not NULL:
        if fl_runs_here(fl_tables[i]):
            names.append(fl_tables[i].isa.decode())
        i += 1
    return names


def compiled_isas():
    names = []
    cdef int i = 0
    while fl_tables[i] is not NULL:
        names.append(fl_tables[i].isa.decode())
        i += 1
    return names


def isa():
    """The instruction set in use."""
    return fl_active.isa.decode()


def select_isa(str name):
    """Uses this table from the next call on. ValueError if it was not compiled in or this CPU cannot run it."""
    cdef int i = 0
    while fl_tables[i] is not NULL:
        if fl_tables[i].isa.decode() == name and fl_runs_here(fl_tables[i]):
            set_active(fl_tables[i])
            return
        i += 1
    raise ValueError(f"instruction set {name!r}: expected one of {', '.join(isas())}")


cdef extern from *:
    """
    static void set_active(const fl_table *table) { fl_active = table; }
    #if defined __clang__
    #define FL_COMPILER "clang " __clang_version__
    #else
    #define FL_COMPILER "gcc " __VERSION__
    #endif
    """
    void set_active(const fl_table *table)
    const char *FL_COMPILER


def is_forked():
    """Whether this process is a forked child of one whose team ran: it computes serially."""
    return bool(fl_is_forked())


def openmp():
    """OpenMP's version date (201511 is 4.5), 0 without OpenMP."""
    return FL_OPENMP


def compiler():
    """The compiler that built this module."""
    return FL_COMPILER.decode().strip()
