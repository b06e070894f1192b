# cython: freethreading_compatible=True
"""Weights packed to panels of A."""

cimport numpy as cnp

from fastlec._kernels.conv.layout cimport Layout
from fastlec._kernels.fl cimport *
from fastlec._kernels.plan cimport Plan, blocks
from fastlec._kernels.runner cimport facts

cnp.import_array()


cdef fl_int rows_of_panel(fl_int rows):
    """The height of A's panels that wastes least: a row of zeros costs as much as any, and tiles of few rows wait for loads."""
    cdef fl_int mr, best = 1
    cdef double cost, least = 0
    for mr in range(1, facts().conv_rows + 1):
        cost = blocks(rows, mr) * (max(<double>mr, 1.7) + 0.3)
        if mr == 1 or cost < least:
            best, least = mr, cost
    return best


cdef fl_conv_taps taps_of(Layout L, cnp.ndarray W, fl_int mr):
    """All but w itself."""
    cdef fl_conv_taps taps
    taps.w, taps.place, taps.order, taps.mr = NULL, L.where, L.order, mr
    taps.group_step, taps.row_step, taps.channel_step = cnp.PyArray_SIZE(W) // L.groups, L.row_step, L.channel_step
    return taps


cdef cnp.ndarray packed(Plan plan, Layout L, cnp.ndarray W, fl_int mr):
    """The panels of A, by a job."""
    cdef fl_int panels = blocks(L.rows, mr), elements = 0, f
    cdef fl_conv_pack_job *pack
    cdef cnp.ndarray a
    for f in range(L.n_phases):
        L.phase[f].panels = elements
        elements += L.groups * panels * L.channels * L.phase[f].taps * mr
    a = plan.empty(elements + 16)
    pack = <fl_conv_pack_job *>plan.add(FL_KERNEL_conv_pack)
    pack.phases, pack.groups, pack.rows, pack.channels, pack.panels = L.n_phases, L.groups, L.rows, L.channels, panels
    pack.phase = L.phase
    pack.taps = taps_of(L, W, mr)
    plan.point(&pack.taps.w, W)
    plan.point(<const void **>&pack.a, a)
    pack.head.n_blocks = L.groups * (panels if L.order == FL_PACK_ROWS else L.channels)
    pack.head.work = 0.2 * elements
    plan.keep(L.phases)
    plan.keep(L.place)
    return a
