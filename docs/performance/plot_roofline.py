"""
Rooflines: how near to what the machine can do
==============================================

A kernel cannot be faster than the core multiplies and adds, nor than its arrays come from where they are. Across is the number
of operations for each byte that has to be moved, upwards the operations in each second; the roof has a slope, where memory is
the limit, and a flat part, where arithmetic is (S. Williams, A. Waterman, D. Patterson, "Roofline", 2009). The dot of a kernel
says how near it is to the roof; the dash at the end of its line is the best other library, the best peer.

The numbers are not measured by this page. They are those of the table of AVX2: one core of an AMD EPYC (Zen 4) at 3.69 GHz,
everyone held to AVX2, gcc 12, 2026-11-30.
"""

import csv

import matplotlib.pyplot as plt
import numpy as np

PEAK = {"float32": 118.0, "float64": 59.0}  # GFLOP/s, of fused multiplications and additions
BANDWIDTHS = {
    "first cache": 207.0,
    "second cache": 111.0,
    "memory": 25.0,
}  # GB/s: 56 and 30 bytes a cycle; arrays of 13 to 26 MB

# operations: additions and multiplications; those of polynomials are counted: about 22 and 38 for tanh, 24 and 32 for an element
# of softmax. bytes: each array once. ratio: what the best peer takes, in units of microseconds.
TABLE = """\
case,dtype,operations,bytes,microseconds,peer,ratio
relu 1e6,float32,1e6,8e6,88.5,torch,0.95
relu 1e6,float64,1e6,16e6,253,torch,0.89
tanh 1e6,float32,22e6,8e6,526,JAX,0.73
tanh 1e6,float64,38e6,16e6,1546,JAX,0.84
softmax 60000 x 10,float32,14.4e6,4.8e6,436,torch.compile,7.24
softmax 60000 x 10,float64,19.2e6,9.6e6,943,torch.compile,5.16
cross-entropy 4096 x 1000,float32,98e6,32.8e6,2538,torch,1.61
cross-entropy 4096 x 1000,float64,131e6,65.5e6,7400,torch,1.36
softmax regression 60000 x 784,float32,1.88e9,188e6,22100,torch,2.90
softmax regression 60000 x 784,float64,1.88e9,376e6,44900,scikit-learn,2.74
4096 x 784 by 784 x 10,float32,64.2e6,13.0e6,1002,SciPy,1.56
4096 x 784 by 784 x 10,float64,64.2e6,26.1e6,2511,SciPy,1.63
matmul 64,float32,524288,49152,4.8,NumPy,1.30
matmul 64,float64,524288,98304,10.3,NumPy,1.20
matmul 512,float32,268.4e6,3.15e6,2621,NumPy,0.95
matmul 512,float64,268.4e6,6.29e6,5400,NumPy,1.00
Dense 128 x 784 to 512,float32,102.8e6,2.27e6,1044,NumPy,1.04
Dense 128 x 784 to 512,float64,102.8e6,4.54e6,2195,torch,1.15
filter2d 512 x 512 and 5 x 5,float32,13.1e6,2.1e6,183,OpenCV,1.39
filter2d 512 x 512 and 5 x 5,float64,13.1e6,4.2e6,571,OpenCV,1.37
"""
rows = list(csv.DictReader(TABLE.splitlines()))

# Where the label of a dot is, in points: of the others to the right.
LABELS = {
    "matmul 64": (-10, 0),
    "Dense 128 x 784 to 512": (0, 36),
    "4096 x 784 by 784 x 10": (-10, 7),
    "tanh 1e6": (-10, -5),
    "softmax 60000 x 10": (-10, -4),
}

figure, axes = plt.subplots(2, 1, figsize=(10, 12), layout="constrained")
across = np.logspace(-1.7, 3, 200)
for ax, (dtype, peak) in zip(axes, PEAK.items(), strict=True):
    for (name, bandwidth), style in zip(BANDWIDTHS.items(), (":", "--", "-"), strict=True):
        ax.loglog(
            across,
            np.minimum(peak, bandwidth * across),
            "k" + style,
            linewidth=1,
            zorder=1,
            label=f"{name}, {bandwidth:.0f} GB/s",
        )
    for row in (row for row in rows if row["dtype"] == dtype):
        operations, size, seconds = float(row["operations"]), float(row["bytes"]), float(row["microseconds"]) * 1e-6
        x, rate = operations / size, operations / seconds / 1e9
        other = rate / float(row["ratio"])
        ax.plot([x, x], [rate, other], "C0", linewidth=1.5)
        ax.plot(x, other, "_", color="C1", markersize=12, markeredgewidth=2.5)
        ax.plot(x, rate, "oC0")
        offset = LABELS.get(row["case"], (10, 0))
        text = f"{row['case']}: {row['peer']} {float(row['ratio']):.2f}"
        side = {-10: "right", 0: "center", 10: "left"}[offset[0]]
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
        ax.annotate(text, (x, rate), offset, textcoords="offset points", ha=side, va="center", bbox=box, zorder=1.5)
    ax.plot([], [], "oC0", label="fastlec")
    ax.plot([], [], "_", color="C1", markersize=12, markeredgewidth=2.5, label="the best peer")
    ax.set(ylim=(peak / 40, 1.9 * peak), title=f"{dtype}: peak {peak:.0f} GFLOP/s", ylabel="GFLOP/s, counted by the formula")
    ax.legend(loc="lower right")
axes[1].set_xlabel("operations for each byte")
plt.show()

# %%
# Dots: fastlec. Dashes: the best peer, whose time is that many times fastlec's. Where the dash is above the dot, the peer is
# faster.
#
# - Large products and ``Dense`` are at the flat roof, and everybody is: there is nothing to gain but at their ends.
# - What is narrow (products with ten columns, softmax regression, rows of ten) lies under the slope: others pass over memory
#   several times, or call routines that are made for squares. This is where fastlec gains most.
# - ``relu`` runs at the speed of the caches, in every library. ``tanh`` is bound by its operations: others take fewer, and err
#   by 5 ULP where fastlec's stays below 2.

numbers = {(r["case"], r["dtype"]): float(r["operations"]) / float(r["microseconds"]) / 1e3 / PEAK[r["dtype"]] for r in rows}
for (case, dtype), share in numbers.items():
    print(f"{case:32} {dtype}  {share:5.0%} of the FMA peak")
assert max(numbers.values()) <= 1
