/* names.h: short names for what the templates share. Each expands to its own symbol in each dtype and ISA. */
#define real FL_FN(real)             /* the dtype */
#define bits FL_FN(bits)             /* the signed integer of its size */
#define vec FL_FN(vec)               /* VL of them: one register */
#define ivec FL_FN(ivec)

#define vset FL_FN(vset)
#define vload FL_FN(vload)
#define vload_n FL_FN(vload_n)
#define vstore FL_FN(vstore)
#define vstore_n FL_FN(vstore_n)
#define vstream FL_FN(vstream)
#define vstream_end FL_FN(vstream_end)
#define vmax FL_FN(vmax)
#define vmin FL_FN(vmin)
#define vminus_abs FL_FN(vminus_abs)
#define vmask FL_FN(vmask)
#define vequal FL_FN(vequal)
#define vbelow FL_FN(vbelow)
#define vnegative FL_FN(vnegative)
#define vselect FL_FN(vselect)
#define vcopysign FL_FN(vcopysign)
#define vldexp FL_FN(vldexp)
#define vsum FL_FN(vsum)
#define vsum4 FL_FN(vsum4)
#define vtop FL_FN(vtop)
#define vgather128 FL_FN(vgather128)
#define vscatter128 FL_FN(vscatter128)
#define vtranspose128 FL_FN(vtranspose128)

#define vexp FL_FN(vexp)
#define vexp_nonpositive FL_FN(vexp_nonpositive)
#define vlog FL_FN(vlog)
#define vlog1p FL_FN(vlog1p)
#define vtanh FL_FN(vtanh)
#define vsigmoid FL_FN(vsigmoid)

#define load_transposed FL_FN(load_transposed)
#define store_transposed FL_FN(store_transposed)
