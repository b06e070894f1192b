"""python -m fastlec.bench: `fastlec bench` without the command line's dependencies."""

import argparse
import sys

from . import report
from .against import compare, slower
from .timing import run


def main():
    parser = argparse.ArgumentParser(prog="python -m fastlec.bench", description=__doc__)
    parser.add_argument("--cases", nargs="+", metavar="NAME", help="only the cases whose name contains one of these")
    parser.add_argument("--dtypes", nargs="+", default=("float32", "float64"), metavar="DTYPE")
    parser.add_argument("--threads", nargs="+", type=int, metavar="N", help="default: 1 and all CPUs")
    parser.add_argument("--contenders", nargs="+", metavar="NAME", help="only these libraries")
    parser.add_argument("--isa", help="the instruction set that fastlec uses and peers are held to: base, avx2, avx512 or neon")
    parser.add_argument("--against", metavar="PYTHON", help="only against the fastlec of another environment")
    parser.add_argument("--fail-below", type=float, metavar="RATIO", help="with --against: exit code 1 if a ratio is below")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--smoke", action="store_true", help="smallest sizes, once: does everything run and agree?")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--plot", metavar="FILE")
    options = vars(parser.parse_args())
    options |= {"json_path": options.pop("json"), "progress": lambda line: print(line, file=sys.stderr)}
    plot, against, least = (options.pop(name) for name in ("plot", "against", "fail_below"))
    if against:
        if options.pop("isa"):
            parser.error("--isa holds the peers: there are none with --against")
        del options["contenders"]
        return bool(slower(compare(against, **options), least or 0.0))
    result = run(**options, plot_path=plot)
    return any(report.OURS in entry["failed"] for entry in result["results"])


if __name__ == "__main__":
    sys.exit(main())
