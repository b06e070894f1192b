/* The kernels for x86-64-v4; setup.py gives the flags. */
#define FL_ISA avx512
#include "isa.h"
