"""The Python of a page of the documentation, and a program that runs it: `python page.py PAGE`, in the folder where it is called.

Blocks run from top to bottom in one namespace, as a reader runs them; what stands behind >>> is compared with what the page shows.
Blocks marked "python cluster" need machines and files of one, and are not run.
"""

import ast
import doctest
import re
import sys
from pathlib import Path

BLOCK = re.compile(r"^```(?:python|pycon)\n(.*?)^```", re.M | re.S)
OF_EXTRAS = {"dask", "mpi4py", "torch", "onnx", "onnxruntime", "jax", "sklearn", "pandas", "matplotlib", "PIL", "safetensors"}
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(page):
    """[(number of the line that a block begins at, its text)]."""
    text = page.read_text()
    return [(text.count("\n", 0, match.start(1)), match[1]) for match in BLOCK.finditer(text)]


def needed(page):
    """The modules of extras that the page imports, itself or by a bridge of fastlec."""
    names = set()
    for _, block in blocks(page):
        code = doctest.script_from_examples(block) if ">>>" in block else block
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(node.module)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "fastlec":
                names.add(f"fastlec.{node.attr}")
    return {name.removeprefix("fastlec.").partition(".")[0] for name in names} & OF_EXTRAS


def run(page):
    """Runs the page. A failure is an exception whose traceback has the lines of the page."""
    names = {"__name__": "page"}
    for line, block in blocks(page):
        if ">>>" in block:
            test = doctest.DocTestParser().get_doctest(block, names, page.name, str(page), line)
            failed = doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=sys.stderr.write, clear_globs=False).failed
            assert not failed, "the page shows something else than what it gets"
            names.update(test.globs)
        else:
            exec(compile("\n" * line + block, str(page), "exec"), names)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
