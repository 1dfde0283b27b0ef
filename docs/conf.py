"""Sphinx's settings: ``make docs`` builds the site into ``out/docs``, with links and references strict."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import ufm

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "ufm"
author = "The ufm developers"
copyright = "the ufm developers"
release = version = ufm.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx-mathjax-offline",  # nothing is fetched when a page is read
    "sphinx_copybutton",
    "library",
    "reference",
]
exclude_patterns = ["_build", "_ext", "**/_*", "examples"]  # examples stand in the pages of their claims
root_doc = "index"

# Markdown: dollar signs are formulas, headings are targets of links.
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # notebooks carry their outputs; the tests run them
nb_merge_streams = True

pages = (Path(__file__).parent / "api").glob("*.md")
reference_rooms = frozenset(
    room for page in pages for room in re.findall(r"automodule:: (\S+)", page.read_text(encoding="utf-8"))
)
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # they stand in the signature
autodoc_class_signature = "mixed"
napoleon_google_docstring = True
napoleon_use_rtype = False
napoleon_use_ivar = True
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = f"ufm {version}"
html_static_path = ["_static"]
html_css_files = ["ufm.css"]
html_js_files = ["search_from_files.js"]
html_show_sphinx = False
html_copy_source = False
suppress_warnings = ["ref.python"]  # attributes of the same name in two classes
