from libc.string cimport memset

from fastlec._kernels.fl cimport fl_block_fn, fl_facts, fl_job

cdef fl_block_fn kernel(int kernel, int dtype) noexcept nogil
cdef int run_jobs(fl_job **jobs, int n_jobs) except -1
cdef inline int run_job(void *job) except -1:
    cdef fl_job *jobs[1]
    jobs[0] = <fl_job *>job
    return run_jobs(jobs, 1)
cdef inline void start_job(void *job, size_t size, int which, int dtype) noexcept:
    """Makes a job of so many bytes one of this kernel, everything else 0: the beginning of every job."""
    memset(job, 0, size)
    (<fl_job *>job).run = kernel(which, dtype)
cdef const fl_facts *facts() noexcept nogil
cdef double macs_per_ns(int dtype) noexcept
