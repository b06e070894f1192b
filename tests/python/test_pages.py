"""Pages of the documentation: their Python runs, their links lead somewhere, and the tests that they name are there."""

import ast
import importlib.util
import os
import pkgutil
import re
import shlex
import sys
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import page
import pytest
from interpreter import finished

ROOT = Path(__file__).parents[2]
READMES = (
    "README.md",
    "CONTRIBUTING.md",
    "csrc/README.md",
    *(str(p.relative_to(ROOT)) for p in ROOT.glob("fastlec/*/README.md")),
)
SCRIPTS = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.py"))
MADE = ("gallery", "course")  # folders of docs whose pages Sphinx makes of scripts
PAGES = sorted(str(p.relative_to(ROOT)) for p in [*(ROOT / "docs").rglob("*.md"), *(ROOT / p for p in READMES)] if p.exists())
pytestmark = pytest.mark.skipif(not (ROOT / "docs").exists(), reason="the sources are not here")
LINK = re.compile(r"(?<!!)\[[^\]\[]*\]\(<?([^)>\s]*)>?\)|!\[[^\]\[]*\]\(([^)\s]*)\)")


def prose(path):
    """A page without its code."""
    return re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.M | re.S)


@cache
def anchors(path):
    """What the headings of a page are linked by, as GitHub and MyST make them."""
    titles = re.findall(r"^#+ (.+)$", prose(path), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", [name for name in PAGES if page.blocks(ROOT / name)])
def test_a_page_runs(name, tmp_path):
    needed = page.needed(ROOT / name)
    for module in sorted({"matplotlib"} | needed):
        if not importlib.util.find_spec(module):
            pytest.skip(f"{module} is not here")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("FASTLEC_", "OMP_"))}
    kept |= {"MPLBACKEND": "Agg", "OPENBLAS_NUM_THREADS": "1"}
    if "torch" in needed:  # its threads spin between calls, and would hold up other tests
        kept["OMP_NUM_THREADS"] = "1"
    command = [
        sys.executable,
        "-P",
        "-W",
        "error",
        "-W",
        "ignore:`torch.jit:DeprecationWarning",
        page.__file__,
        str(ROOT / name),
    ]
    done = finished(command, timeout=240, cwd=tmp_path, env=kept)
    assert done.returncode == 0, done.stderr


def test_what_needs_a_cluster_is_python_with_names_that_there_are():
    blocks = re.findall(r"^```python cluster\n(.*?)^```", (ROOT / "docs" / "clusters.md").read_text(), re.M | re.S)
    assert len(blocks) == 2
    for block in blocks:
        names = {ast.unparse(node) for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Attribute)}
        for name in sorted(name for name in names if name.startswith("fastlec.") and not name.startswith("fastlec.dask")):
            assert pkgutil.resolve_name(name), name


def test_a_page_that_does_not_do_what_it_says_fails(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("Text.\n\n```python\nx = 1\n```\n\n```python\n>>> x + 1\n3\n```\n")
    assert finished([sys.executable, page.__file__, path]).returncode
    path.write_text(path.read_text().replace("3", "2"))
    assert finished([sys.executable, page.__file__, path]).returncode == 0
    path.write_text("```python\nx = 1\n\nassert x == 2\n```\n")
    assert f'"{path}", line 4' in finished([sys.executable, page.__file__, path]).stderr


EXTRAS = {"matplotlib": "plot", "pandas": "table", "PIL": "image", "mpi4py": "mpi"}  # others have the name of their module


@pytest.mark.parametrize("name", [name for name in PAGES if page.needed(ROOT / name)])
def test_a_page_says_how_to_install_what_it_needs(name):
    text = (ROOT / name).read_text()
    there = set(re.findall(r"pip install (\w+)", text)) | {
        e for es in re.findall(r"fastlec\[([\w,]+)\]", text) for e in es.split(",")
    }
    assert {EXTRAS.get(module, module) for module in page.needed(ROOT / name)} <= there


@pytest.mark.parametrize("name", PAGES)
def test_links_of_a_page_lead_somewhere(name):
    """Those to other sites cannot be asked here: they must be addresses."""
    here = ROOT / name
    for target in filter(None, sum(LINK.findall(prose(here)), ())):
        url = urlsplit(target)
        if url.scheme:
            assert url.scheme in ("https", "mailto"), target
            assert re.fullmatch(r"([\w-]+\.)+[a-z]{2,}", url.netloc), target
            continue
        path = (here.parent / url.path).resolve() if url.path else here
        if path.is_relative_to(ROOT / "docs") and path.relative_to(ROOT / "docs").parts[0] in MADE:
            continue  # Sphinx looks after these
        assert path.exists(), target
        assert not url.fragment or url.fragment in anchors(path), target


@pytest.mark.parametrize("name", PAGES)
def test_the_tests_that_a_page_names_are_there(name):
    for folder, function in re.findall(r"`(?:tests/)?((?:\w+/)+test_\w+\.py)(?:::(\w+))?`", (ROOT / name).read_text()):
        path = ROOT / "tests" / folder
        assert path.exists(), folder
        assert not function or f"def {function}(" in path.read_text(), (folder, function)


def commands(path):
    """The arguments of each call of `fastlec` that a page or script shows, in blocks of the shell and in code within a line."""
    text = path.read_text()
    shell = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
    inline = re.findall(r"`([^`\n]+)`", prose(path))
    lines = [line for block in shell for line in block.splitlines()] + inline
    return [shlex.split(line, comments=True) for line in re.findall(r"(?:^|[ /])fastlec (\w.*)", "\n".join(lines), re.M)]


@pytest.fixture(scope="module")
def parse():
    """Parses the arguments of a call of `fastlec`, and runs nothing."""
    typer = pytest.importorskip("typer")
    from fastlec.cli import app

    program = typer.Typer()
    for command in app._commands():
        program.command()(command)
    subcommands = typer.main.get_command(program).commands

    def parse(name, *args):
        assert name in subcommands, name
        if args:  # without them it is a name in a text
            subcommands[name].make_context(name, list(args))

    return parse


@pytest.mark.parametrize("name", [name for name in [*PAGES, *SCRIPTS] if commands(ROOT / name)])
def test_the_commands_of_a_page_can_be_parsed(name, parse):
    for args in commands(ROOT / name):
        parse(*args)


@pytest.mark.parametrize("args", ["train table.csv", "train --dta table.csv", "train --model big", "fit"])
def test_a_command_that_there_is_not_is_found(args, tmp_path, parse):
    line = f"fastlec {args}"
    for path, text in (
        (tmp_path / "a.md", f"Text `{line}`."),
        (tmp_path / "b.md", f"```sh\nmpiexec -n 2 {line}  # text\n```\n"),
    ):
        path.write_text(text)
        (found,) = commands(path)
        with pytest.raises(Exception, match=r"[Uu]nexpected|[Nn]o such|is not one of|fit"):
            parse(*found)


def controls(text):
    """The lines of a script's strings, its text among them, in which a backslash made a control character, as in "\\top"."""
    strings = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return sorted(node.lineno for node in strings if re.search(r"[^\n\x20-\x7e\u00a0-\U0010ffff]", node.value))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_has_no_control_characters(name):
    assert controls((ROOT / name).read_text()) == []


def test_control_characters_are_found():
    text = '"""One.\n\nTwo: x^\\top, \\frac."""\nx = "\\n"\n'
    assert controls(text) == [1]
    assert controls("r" + text) == []
