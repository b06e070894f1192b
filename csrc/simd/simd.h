/* simd.h: one vector register of reals, and what can be done with it: the vocabulary in which all kernels are written.
 *
 * Arithmetic is the compilers' vector extension (a * b + c becomes one FMA where there is one). What that lacks is a function whose
 * name begins with v. <isa>.h has those that each instruction set does in its own way, generic.h those that all share. Lane 0 is
 * the first element in memory. Every instruction set gives every function the results that base.h gives, but for the order in which
 * vsum and vsum4 add. tests/kernels/test_simd.py compares them. */
#ifndef FL_SIMD_H
#define FL_SIMD_H

#include "fl.h"
#include "unit.h"

#include <assert.h>
#include <string.h>

#include FL_SIMD_HEADER(FL_DTYPE)
#include FL_SIMD_HEADER(FL_ISA)
#include "simd/generic.h"

#endif
