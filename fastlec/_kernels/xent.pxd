from fastlec._kernels.fl cimport fl_int, fl_xent_job

cdef void plan_xent(fl_xent_job *job, int dtype, fl_int m, fl_int n) noexcept
