/* The kernels for any CPU of the architecture; setup.py gives the flags. */
#define FL_ISA base
#include "isa.h"
