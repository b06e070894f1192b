/* templates.h: all kernel families for one dtype; included by isa.h with FL_DTYPE and FL_IS_F32 set. */
#if !defined FL_DTYPE || !defined FL_ISA
#error "FL_DTYPE and FL_ISA must be defined here"
#endif

#include "simd_tmpl.h"
#include "math_tmpl.h"
#include "map_tmpl.h"
#include "softmax_tmpl.h"
#include "xent_tmpl.h"
#include "linear_tmpl.h"
#include "update_tmpl.h"
#include "dense_tmpl.h"
#include "gemm_tmpl.h"
#include "channels_tmpl.h"
#include "conv2d_tmpl.h"
#include "conv2d_weights_tmpl.h"
#include "winograd_tmpl.h"
#include "depthwise_tmpl.h"
#include "stencil_tmpl.h"
#include "squares_tmpl.h"
#include "im2col_tmpl.h"
#include "batch_norm_tmpl.h"
#include "pool_tmpl.h"
