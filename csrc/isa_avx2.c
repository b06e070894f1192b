/* The kernels for x86-64-v3; setup.py gives the flags. */
#define FL_ISA avx2
#include "isa.h"
