"""What a plan shows of its jobs."""

from typing import NamedTuple


class Job(NamedTuple):
    """One job of a plan. kernel : its name in csrc/kernels.def. blocks : what teams share out. estimated_ns : its time on one core,
    by which teams are chosen. measured_ns : the least of its times where they were measured, by as many threads as it gets alone.
    why : what made the planner take this kernel or these blocks, "" where there is no choice. condition : when it runs, "" for
    always. layer : whose job it is, "" outside networks.
    """

    kernel: str
    blocks: int
    estimated_ns: float
    measured_ns: float | None = None
    why: str = ""
    condition: str = ""
    layer: str = ""


def table(jobs):
    """The jobs as text, one line each, with the columns that say something."""
    columns = {
        "layer": [job.layer for job in jobs],
        "kernel": [job.kernel for job in jobs],
        "blocks": [str(job.blocks) for job in jobs],
        "estimated": [_time(job.estimated_ns) for job in jobs],
        "measured": ["" if job.measured_ns is None else _time(job.measured_ns) for job in jobs],
        "why": ["; ".join(text for text in (job.condition, job.why) if text) for job in jobs],
    }
    columns = {name: [name, *cells] for name, cells in columns.items() if any(cells)}
    padded = []
    for name, cells in columns.items():
        width = max(map(len, cells))
        padded.append(
            [cell.rjust(width) if name in ("blocks", "estimated", "measured") else cell.ljust(width) for cell in cells]
        )
    return "\n".join("  ".join(row).rstrip() for row in zip(*padded, strict=True))


def reason(why):
    """The text of what a planner gave as its reason: a text, or [(nanoseconds, name)] of the ways that it compared."""
    if isinstance(why, str):
        return why
    best, *others = [f"{name.decode()} {_time(ns)}" for ns, name in sorted(why)]
    return f"{best}; {', '.join(others)}" if others else f"{best}; no other fits"


def _time(ns):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.3g} ns"
