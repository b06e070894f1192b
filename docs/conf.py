"""The settings of `sphinx-build -W --keep-going docs build/docs`, which needs fastlec and its extra `docs`, and no network."""

import inspect
import re
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx import addnodes
from sphinx.ext import autosummary
from sphinx.util.inspect import signature, stringify_signature

import fastlec
import fastlec.sklearn  # here, before PyTorch is mocked: SciPy, as scikit-learn imports it, asks what kind of array a mock is

project = "fastlec"
author = "fastlec contributors"
copyright = "2026, fastlec contributors"
release = fastlec.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["examples", "course", "**/GALLERY_HEADER.rst"]
html_theme = "alabaster"
html_static_path = ["_static"]  # custom.css, which the theme looks for
html_theme_options = {
    "description": "Deep learning's building blocks, with exact derivatives. Licence: BSD 3-Clause. Authors: fastlec contributors.",
    "page_width": "1400px",
    "body_max_width": "none",  # lines of code of 132 letters
}
html_math_renderer = "mathml"  # which browsers draw themselves
nitpicky = False
default_role = "py:obj"  # `softmax` in a docstring leads to its entry, `x` to none
copybutton_exclude = ".linenos, .gp, .go"  # prompts and results of examples

myst_heading_anchors = 3
suppress_warnings = ["ref.python"]  # ref.python: attributes that several classes have

# PyTorch, which fastlec.torch needs, is larger than all else together; nothing of ONNX is computed for a page.
autodoc_mock_imports = ["torch", "onnx", "mpi4py", "dask", "distributed"]
autodoc_typehints = "none"  # the lists of parameters have them
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 100
autosummary_generate = False  # the tables lead to entries of the same page
autosummary.WELL_KNOWN_ABBREVIATIONS += ("eq.",)  # after which a sentence goes on
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": ["course", "tutorials", "performance", "examples"],
    "gallery_dirs": ["gallery/course", "gallery/tutorials", "gallery/performance", "gallery"],
    "remove_config_comments": True,
    "within_subsection_order": "FileNameSortKey",  # chapters in their order
    "show_memory": False,
    "write_computation_times": False,
    "show_signature": False,
    "download_all_examples": False,
    "ignore_repr_types": "matplotlib|list",  # what drawing returns
}


def setup(app):
    app.connect("source-read", add_tables)
    app.connect("source-read", add_names)
    app.connect("doctree-read", link_names)
    app.connect("missing-reference", find_in_fastlec)
    app.connect("autodoc-process-signature", plain_signature)
    app.connect("autodoc-process-docstring", escape, priority=900)  # after numpydoc
    app.add_html_math_renderer("mathml", (mathml, None), (mathml, None))


def link_names(app, doctree):
    """On two pages that are lists of names, those of fastlec in code lead to their entries in the reference."""
    docname = app.env.docname
    if docname not in ("features", "lecture"):
        return
    for node in list(doctree.findall(nodes.literal)):
        name = re.match(r"[A-Za-z_][\w.]*", node.astext())
        if name and not isinstance(node.parent, nodes.reference):
            target = "fastlec." + name[0].removeprefix("fastlec.")
            link = addnodes.pending_xref("", refdomain="py", reftype="obj", reftarget=target, refexplicit=True, refwarn=False)
            link["refdoc"] = docname
            node.replace_self(link)
            link += node


def find_in_fastlec(app, env, node, shown):
    """The entry of a name of fastlec itself, or of its layers, that a docstring of another module mentions."""
    if node.get("refdomain") != "py":
        return None
    domain, name = env.get_domain("py"), node["reftarget"]
    found = (f"{module}.{name}" for module in ("fastlec", "fastlec.layers") if f"{module}.{name}" in domain.objects)
    return next((domain.resolve_xref(env, node["refdoc"], app.builder, "obj", full, node, shown) for full in found), None)


def mathml(translator, node):
    """A formula, in line or by itself, in MathML."""
    block = isinstance(node, nodes.math_block)
    text = re.sub(r"\\(?:dots|iff)\b", lambda m: {r"\dots": r"\ldots", r"\iff": r"\Longleftrightarrow"}[m[0]], node.astext())
    formula = tex2mathml(text, as_block=block)
    translator.body.append(f"<div class='math'>{formula}</div>\n" if block else formula)
    raise nodes.SkipNode


def plain_signature(app, what, name, obj, options, text, returned):
    """The arguments of a class whose base is mocked, which would be any; defaults as they are written."""
    if what == "class" and text == "(*args, **kwargs)":
        own = inspect.getattr_static(obj, "__init__")
        owned = inspect.isfunction(own) and own.__module__ == obj.__module__
        text = stringify_signature(signature(own, bound_method=True), show_annotation=False) if owned else "()"
    return re.sub(r"<class '(?:numpy\.)?(\w+)'>", r"\1", text or "").replace("<factory>", "...") or None, returned


def add_names(app, docname, source):
    """On the first page of the reference, the names on each page, with their modules where a page has several."""
    if docname != "api/index":
        return
    lines = []
    for page in re.findall(r"^\w+$", source[0], re.M):
        text = (Path(app.srcdir) / "api" / f"{page}.md").read_text()
        module, names = None, []
        for kind, name in re.findall(r"^\.\. (currentmodule|auto(?:function|class|exception)):: (\S+)$", text, re.M):
            if kind == "currentmodule":
                module = name
            else:
                names.append(f"{module}.{name}")
        several = len({name.rpartition(".")[0] for name in names}) > 1
        links = [
            f":py:obj:`{name.removeprefix('fastlec.') if several else name.rpartition('.')[2]} <{name}>`" for name in names
        ]
        lines += [f":doc:`{page}`", f"   {', '.join(links)}", ""]
    source[0] += "\n".join(["", "```{eval-rst}", *lines, "```", ""])


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
