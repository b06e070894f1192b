"""A Sphinx extension that makes reStructuredText of fastlec's docstrings, which are plain text.

A docstring is a summary, then paragraphs. A paragraph that begins with ``name : text`` or ``name, name : text`` describes
arguments, one after the other; all else is prose, in which backticks are the only markup. Indented paragraphs are formulas or
code and stay as they are. Docstrings with numpydoc's underlined sections are left to numpydoc.
"""

import re
from itertools import groupby

NAMES = re.compile(r"(?:(?<=^)|(?<=[.;)] ))(\w+(?:, \w+)*) : ")
SECTION = re.compile(r"^(Parameters|Returns|Yields|Attributes|Raises|Notes|Examples|See Also)\n-{3,}$", re.M)
EXAMPLE = re.compile(r"^>>> ", re.M)


def setup(app):
    app.connect("autodoc-process-docstring", convert, priority=900)  # after numpydoc
    return {"parallel_read_safe": True}


def convert(app, what, name, obj, options, lines):
    """Replaces the lines of a docstring by those of its reStructuredText."""
    text = "\n".join(lines)
    if not SECTION.search(text):
        lines[:] = "\n\n".join(map(restructured, paragraphs(text))).split("\n")


def paragraphs(text):
    """Runs of lines between blank lines."""
    groups = groupby(text.split("\n"), key=lambda line: bool(line.strip()))
    return ["\n".join(group) for filled, group in groups if filled]


def restructured(paragraph):
    """One paragraph as reStructuredText."""
    lines = paragraph.split("\n")
    if EXAMPLE.match(paragraph):
        return paragraph
    if all(line.startswith(" ") for line in lines):
        return "::\n\n" + paragraph
    if lines[0].startswith("- "):
        items = re.split(r"\n(?=- )", paragraph)
        return "\n".join("- " + inline(" ".join(item[2:].split())) for item in items)
    plain = " ".join(paragraph.split())
    starts = list(NAMES.finditer(plain))
    if not starts or starts[0].start():
        return inline(plain)
    arguments, returns, rest = plain.partition(" Returns ")
    starts = [match for match in starts if match.end() <= len(arguments)]
    ends = [match.start() for match in starts[1:]] + [len(arguments)]
    entries = (
        f"- **{match[1]}**: {inline(arguments[match.end() : end].strip())}" for match, end in zip(starts, ends, strict=True)
    )
    return "\n".join(entries) + (f"\n\n{inline(returns.lstrip() + rest)}" if rest else "")


def inline(text):
    """Prose in which code stands in backticks, single or double, or behind a role."""
    parts = re.split(r"(:\w+:`[^`]+`|`{1,2}[^`]+`{1,2})", text)
    return "".join(re.sub(r"([\\*|_`<>])", r"\\\1", part) if i % 2 == 0 else code(part) for i, part in enumerate(parts))


def code(part):
    return part if part.startswith(":") else f"``{part.strip('`')}``"
