"""The report as text and as a picture."""

import math
import statistics

from ..plot import save

OURS = "fastlec"


def best_peer(result):
    """(name, min time) of the fastest peer, or None where none took part."""
    others = {name: time["min"] for name, time in result["times"].items() if name != OURS}
    name = min(others, key=others.get, default=None)
    return None if name is None else (name, others[name])


def ratio(result):
    """How many times fastlec is faster than the best peer, by minimum times; None if either is missing."""
    best = best_peer(result)
    return best[1] / result["times"][OURS]["min"] if best and OURS in result["times"] else None


def ratios(entry):
    """(by minimum, by median): how many times this side of a comparison is faster than the other one."""
    this, other = entry["times"]["this"], entry["times"]["other"]
    return tuple(other[statistic] / this[statistic] for statistic in ("min", "median"))


def count_of(threads):
    """ "1 thread", "2 threads"."""
    return f"{threads} thread{'s'[: threads > 1]}"


def instructions(report):
    """The instruction set, and whether everyone is held to it."""
    return f"{report['isa']}, to which peers are held" if report["held"] else report["isa"]


def text(report):
    """The whole report for a terminal."""
    parts = [
        f"{_machine(report)}; {instructions(report)}",
        ", ".join(f"{name} {version}" for name, version in report["libraries"].items()),
        *([f"left out: {_missing(report['missing'])}"] if report["missing"] else []),
        *_disturbed(report),
    ]
    failures = [
        f"{name}: {result['case']} {result['dtype']} {result['mode']}, {count_of(result['threads'])}: {why}"
        for result in report["results"]
        for name, why in result["failed"].items()
    ]
    if report["smoke"]:
        agreed = sum(len(result["times"]) for result in report["results"])
        parts.append(f"{len(report['results'])} cases, {agreed} results agree with the reference, {len(failures)} do not")
    else:
        for threads in sorted({result["threads"] for result in report["results"]}):
            results = [result for result in report["results"] if result["threads"] == threads]
            gemm = {limit["dtype"]: limit["gemm"] for limit in report["limits"] if limit["threads"] == threads}
            parts += [f"\n{count_of(threads)}; times in us, ratio to the best peer, limits: copy and NumPy's GEMM"]
            parts += [_ratios(results, gemm), "", _minima(results, report["libraries"])]
    if report.get("skipped"):
        parts.append(f"\n{report['skipped']} results more with --full")
    return "\n".join(parts + [f"failed: {failure}" for failure in failures])


def line(result):
    """A case in a line: fastlec's time, the best peer's and their ratio."""
    ours, best, times = result["times"].get(OURS), best_peer(result), ratio(result)
    parts = [f"fastlec {_us(ours['min'])} us" if ours else "fastlec failed"]
    parts += [f"{best[0]} {_us(best[1])} us"] if best else []
    return ", ".join(parts + ([f"{times:.2f}x"] if times else []))


def _missing(missing):
    """Who is left out, in a line, together where it is for the same reason."""
    reasons = {}
    for name, why in missing.items():
        reasons.setdefault("not installed" if why.startswith("No module named") else why, []).append(name)
    return "; ".join(f"{', '.join(names)} ({why})" for why, names in reasons.items())


def _disturbed(report):
    """Whether others worked on the machine meanwhile, as far as that can be told: a list of a line, or of none."""
    times = [result["times"][OURS] for result in report["results"] if OURS in result["times"]]
    unsteady, load = sum(time["median"] > 1.5 * time["min"] for time in times), report.get("load") or 0
    if report["smoke"] or (load < 0.5 and 4 * unsteady < len(times)) or not times:
        return []
    return [
        f"NOT TO BE TRUSTED: the machine is busy: load {load:.1f} at start; in {unsteady} of {len(times)} results the median is "
        "more than 1.5 times the minimum"
    ]


def comparison(report):
    """The report of `against` for a terminal."""
    parts = [_machine(report)]
    for side in ("this", "other"):
        facts = report[side]
        about = f"fastlec {facts['version']}, {facts['isa']}, Python {facts['python']}, NumPy {facts['numpy']}"
        parts.append(f"{side:<5}  {about}, {facts['folder']}")
    for threads in sorted({entry["threads"] for entry in report["results"]}):
        results = [entry for entry in report["results"] if entry["threads"] == threads and entry["times"]]
        parts += [f"\n{count_of(threads)}; times in us; ratios above 1: this is faster", _compared(results)]
    timed = [entry for entry in report["results"] if entry["times"]]
    if timed:
        means = (math.exp(statistics.fmean(map(math.log, column))) for column in zip(*map(ratios, timed), strict=True))
        parts.append("\n{}: geometric mean of the ratios {:.3f} by minimum, {:.3f} by median".format(len(timed), *means))
    return "\n".join(
        parts
        + [
            f"{side} failed: {entry['case']} {entry['dtype']} {entry['mode']}, {count_of(entry['threads'])}: {why}"
            for entry in report["results"]
            for side, why in entry["failed"].items()
        ]
    )


def _compared(results):
    rows = [("case", "dtype", "result", "this", "median", "other", "median", "by min", "by median", "results")]
    for entry in results:
        times = [_us(entry["times"][side][statistic]) for side in ("this", "other") for statistic in ("min", "median")]
        difference = entry["difference"]
        words = "incomparable" if difference is None else f"differ by {difference:.1e}" if difference else "bitwise equal"
        rows.append((entry["case"], entry["dtype"], entry["mode"], *times, *(f"{r:.3f}x" for r in ratios(entry)), words))
    return _aligned(rows)


def _machine(report):
    facts = report["machine"]
    caches = ", ".join(f"{name} {size}" for name, size in facts["caches"].items())
    return f"{facts['processor']}, {facts['cpus']} CPUs, {caches}; {report['date']}"


def _ratios(results, gemm):
    rows = [("case", "dtype", "result", OURS, "median", "best peer", "its min", "ratio", "GB/s", "copy", "GFLOP/s", "GEMM")]
    for result in results:
        ours, best, times = result["times"].get(OURS), best_peer(result), ratio(result)
        row = [result["case"], result["dtype"], result["mode"]]
        row += [_us(ours["min"]), _us(ours["median"])] if ours else ["failed", ""]
        row += [best[0], _us(best[1])] if best else ["none", ""]
        row += [f"{times:.2f}x" if times else "", *_rates(result, ours, gemm)]
        rows.append(row)
    return _aligned(rows)


def _rates(result, ours, gemm):
    """GB/s of fastlec and of the copy; GFLOP/s of fastlec and of the matrix product."""
    if not ours:
        return ["", "", "", ""]
    flops = (
        [f"{result['flops'] / ours['min'] / 1e9:.1f}", f"{gemm[result['dtype']] / 1e9:.1f}"] if result["flops"] else ["", ""]
    )
    return [f"{result['bytes'] / time / 1e9:.1f}" for time in (ours["min"], result["copy"]["min"])] + flops


def _minima(results, libraries):
    """The minimum of every contender that took part, us."""
    libraries = [name for name in libraries if any(name in result["times"] for result in results)]
    rows = [("case", "dtype", "result", *libraries)]
    for result in results:
        minima = [_us(result["times"][name]["min"]) if name in result["times"] else "-" for name in libraries]
        rows.append((result["case"], result["dtype"], result["mode"], *minima))
    return _aligned(rows)


def _us(seconds):
    return f"{seconds * 1e6:.{1 if seconds < 1e-3 else 0}f}"


def _aligned(rows):
    """Columns of text: three of words to the left, the rest to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:{'<' if k < 3 else '>'}{width}}" for k, (cell, width) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    )


def plot(report, path):
    """Bars of the ratios to the best peer, each with its number and that peer's name, a panel for each number of threads, into the
    file `path`. The times of a smoke run are no measurement: the picture says so. Needs matplotlib."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    results = [result for result in report["results"] if ratio(result)]
    panels = sorted({result["threads"] for result in results})
    if not panels:
        raise ValueError("there is nothing to draw: no case ran in fastlec and in a peer")
    labels = list(dict.fromkeys((result["case"], result["mode"]) for result in results))[::-1]
    dtypes = sorted({result["dtype"] for result in results})
    figure = Figure(figsize=(3 + 5 * len(panels), 2 + 0.2 * len(labels) * len(dtypes)), layout="constrained")
    axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    height = 0.8 / len(dtypes)
    for axis, threads in zip(axes, panels, strict=True):
        for y in range(0, len(labels), 2):
            axis.axhspan(y - 0.5, y + 0.5, color="0.95", zorder=0)
        for k, dtype in enumerate(dtypes):
            shown = [result for result in results if (result["dtype"], result["threads"]) == (dtype, threads)]
            middle = (0.5 * (len(dtypes) - 1) - k) * height
            at = [labels.index((result["case"], result["mode"])) + middle for result in shown]
            axis.barh(at, [ratio(result) - 1 for result in shown], height, left=1, color=f"C{k}", label=dtype)
            for y, result in zip(at, shown, strict=True):
                times, ahead = ratio(result), ratio(result) >= 1
                words, side = f"{times:.2f} {best_peer(result)[0]}", "left" if ahead else "right"
                place = {"xytext": (3 if ahead else -3, 0), "textcoords": "offset points", "va": "center", "ha": side}
                axis.annotate(words, (times, y), fontsize="x-small", **place)
        axis.axvline(1, color="black", linewidth=1)
        axis.set(
            xscale="log", title=count_of(threads), xlabel="times faster than the best peer", ylim=(-0.5, len(labels) - 0.5)
        )
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(axis="x", alpha=0.3)
    low, high = min(0.5, *map(ratio, results)), max(2, *map(ratio, results))
    room = (high / low) ** 0.35  # for the words on either side
    axes[0].set_xlim(low / room, high * room)
    axes[0].set_yticks(range(len(labels)), [f"{case}, {mode}" for case, mode in labels])
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower right", ncols=len(dtypes))
    title = f"{report['machine']['processor']}; {instructions(report)}"
    if report["smoke"]:
        figure.suptitle(f"SMOKE RUN: every case once, these times are no measurement\n{title}", color="tab:red")
    else:
        figure.suptitle(title)
    save(figure, path)
