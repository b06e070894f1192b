from fastlec._kernels.fl cimport fl_int, fl_xent_job

cdef int xent_jobs(fl_int n, bint gradient) noexcept
cdef fl_int xent_losses(fl_int m, fl_int n) noexcept
cdef fl_int xent_partial(fl_int m, fl_int n) noexcept
cdef void plan_xent(fl_xent_job *job, int i, int dtype, fl_int m, fl_int n) noexcept
