"""The settings of `sphinx-build -W --keep-going docs build/docs`, which needs fastlec and its extra `docs`, and no network."""

import sys
from pathlib import Path

import fastlec
import fastlec.sklearn  # here, before PyTorch is mocked: SciPy, as scikit-learn imports it, asks what kind of array a mock is

sys.path.insert(0, str(Path(__file__).parent))  # for plain_docstrings

project = "fastlec"
author = "the fastlec developers"
release = fastlec.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "plain_docstrings",
]
exclude_patterns = ["examples"]
html_theme = "alabaster"
html_static_path = ["_static"]  # custom.css, which the theme looks for
html_theme_options = {"description": "deep learning's building blocks, with exact derivatives", "page_width": "1100px"}
nitpicky = False

myst_heading_anchors = 3
suppress_warnings = ["ref.python"]  # ref.python: attributes that several classes have

# PyTorch, which fastlec.torch needs, is larger than all else together; nothing of ONNX is computed for a page.
autodoc_mock_imports = ["torch", "onnx", "mpi4py", "dask", "distributed"]
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_validation_checks = {"GL08", "SS01", "PR02", "PR03"}  # no docstring, no summary, unknown parameters, their order

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "show_memory": False,
    "write_computation_times": False,
    "show_signature": False,
    "download_all_examples": False,
}
