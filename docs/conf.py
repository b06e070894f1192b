"""The settings of `sphinx-build -W --keep-going docs build/docs`, which needs fastlec and its extra `docs`, and no network."""

import re

from sphinx.ext import autosummary

import fastlec
import fastlec.sklearn  # here, before PyTorch is mocked: SciPy, as scikit-learn imports it, asks what kind of array a mock is

project = "fastlec"
author = "the fastlec developers"
release = fastlec.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["examples"]
html_theme = "alabaster"
html_static_path = ["_static"]  # custom.css, which the theme looks for
html_theme_options = {"description": "deep learning's building blocks, with exact derivatives", "page_width": "1100px"}
nitpicky = False

myst_heading_anchors = 3
suppress_warnings = ["ref.python"]  # ref.python: attributes that several classes have

# PyTorch, which fastlec.torch needs, is larger than all else together; nothing of ONNX is computed for a page.
autodoc_mock_imports = ["torch", "onnx"]
autodoc_typehints = "signature"
autodoc_type_aliases = {
    name: name for name in ("ArrayLike", "ClassWeight", "DTypeLike", "Float64Array", "FloatArray", "IntArray", "Seed")
}
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
autosummary_generate = False  # the tables lead to entries of the same page
autosummary.WELL_KNOWN_ABBREVIATIONS += ("eq.",)  # after which a sentence goes on
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "show_memory": False,
    "write_computation_times": False,
    "show_signature": False,
    "download_all_examples": False,
}


def setup(app):
    app.connect("source-read", add_tables)
    app.connect("autodoc-process-docstring", escape, priority=900)  # after numpydoc


def add_tables(app, docname, source):
    """Before several entries of the reference, one after the other, a table of them."""

    def with_table(entries):
        names = re.findall(r"^\.\. auto\w+:: (\S+)$", entries[0], re.M)
        return "".join([".. autosummary::\n\n", *(f"   {name}\n" for name in names), "\n", entries[0]])

    if docname.startswith("api/"):
        source[0] = re.sub(r"(?:^\.\. auto(?:function|class):: .*\n(?:   .*\n)*\n?){2,}", with_table, source[0], flags=re.M)


def escape(app, what, name, obj, options, lines):
    """Bars, and underscores at the end of names, are text in docstrings: |x| is no substitution, coef_ no link."""
    example, quoted = False, None  # quoted: the indentation of what a literal block follows
    for i, line in enumerate(lines):
        text = line.lstrip()
        indent = len(line) - len(text)
        example = bool(text) and (example or text.startswith(">>>"))
        quoted = None if quoted is not None and text and indent <= quoted else quoted
        if not example and quoted is None:
            parts = re.split(r"(`+[^`]+`+)", line)
            parts[::2] = [re.sub(r"(?<!\\)\||(?<=[^\W_])_(?!\w)", r"\\\g<0>", part) for part in parts[::2]]
            lines[i] = "".join(parts)
            quoted = indent if text.endswith("::") and not text.startswith("..") else None
