"""
Rooflines: how near to what the machine can do
==============================================

A kernel cannot be faster than the core multiplies and adds, nor than its arrays come from where they are. Across is the number
of operations for each byte that has to be moved, upwards the operations in each second; the roof has a slope, where memory is
the limit, and a flat part, where arithmetic is (S. Williams, A. Waterman, D. Patterson, "Roofline", 2009). The dot of a kernel
says how near it is to the roof; the end of its line is the best other library.

The numbers are not measured by this page. They are those of the table of AVX2, in ``docs/performance/roofline.csv``, whose
first lines name the machine, the date and the peaks.
"""

import csv
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

PEAK = {"float32": 118.0, "float64": 59.0}  # GFLOP/s
BANDWIDTHS = {"first cache": 207.0, "second cache": 111.0, "memory": 25.0}  # GB/s

path = Path("roofline.csv").resolve()  # beside this script, where it is run
rows = list(csv.DictReader(line for line in path.read_text().splitlines() if not line.startswith("#")))

figure, axes = plt.subplots(1, 2, figsize=(12.5, 6.5), sharey=True, layout="constrained")
axes[0].set_ylabel("GFLOP/s, counted by the formula")
across = np.logspace(-1.3, 2.5, 200)
for ax, (dtype, peak) in zip(axes, PEAK.items(), strict=True):
    for (name, bandwidth), style in zip(BANDWIDTHS.items(), (":", "--", "-"), strict=True):
        ax.loglog(across, np.minimum(peak, bandwidth * across), "k" + style, linewidth=1, label=f"{name}, {bandwidth:.0f} GB/s")
    for i, row in enumerate(row for row in rows if row["dtype"] == dtype):
        operations, size, seconds = float(row["operations"]), float(row["bytes"]), float(row["microseconds"]) * 1e-6
        x, rate = operations / size, operations / seconds / 1e9
        other = rate / float(row["ratio"])
        color = f"C{i}"
        ax.plot([x, x], [rate, other], color=color, linewidth=1.5)
        ax.plot(x, other, "_", color=color, markersize=10, markeredgewidth=2)
        ax.plot(x, rate, "o", color=color, label=f"{row['case']}: {row['peer']} {float(row['ratio']):.2f}")
    ax.set(xlabel="operations for each byte", ylim=(0.4, 2 * PEAK["float32"]), title=f"{dtype}: peak {peak:.0f} GFLOP/s")
    ax.legend(loc="lower right", fontsize=8)

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
