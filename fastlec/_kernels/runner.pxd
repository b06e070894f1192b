from fastlec._kernels.fl cimport fl_block_fn, fl_facts, fl_job

cdef fl_block_fn kernel(int kernel, int dtype) noexcept nogil
cdef int run_jobs(fl_job **jobs, int n_jobs) except -1
cdef inline int run_job(void *job) except -1:
    cdef fl_job *jobs[1]
    jobs[0] = <fl_job *>job
    return run_jobs(jobs, 1)
cdef const fl_facts *facts() noexcept nogil
cdef int vector_bytes() noexcept nogil
