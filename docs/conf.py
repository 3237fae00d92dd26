"""The site that `make docs` builds with Sphinx: the same Markdown, the docstrings, and search.

The sources are the repository, as its README files are pages too and link to each other.
"""

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

import chonkle

ROOT = Path(__file__).parents[1]

project = "chonkle"
author = "The chonkle authors"
copyright = author  # noqa: A001 - Sphinx wants this name
release = version = chonkle.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
root_doc = "README"
# Drawings have no language.
highlight_language = "text"
include_patterns = ["*.md", "docs/**", "codec-src/README.md", "toolchain/README.md"]
exclude_patterns = ["docs/examples/**/node_modules", "docs/examples/**/target"]
# Pygments knows no WIT, nor pages their place beside the side bar.
suppress_warnings = ["misc.highlighting_failure", "toc.not_included"]

myst_heading_anchors = 4

# Docstrings write names in single backticks.
default_role = "literal"
autodoc_member_order = "bysource"
# Types are in signatures, which have a line for each parameter where they are long.
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
autodoc_default_options = {"members": True}
# Attributes as a list.
napoleon_use_ivar = True

html_theme = "furo"
html_title = "chonkle"
# Where a visitor of the folder comes in.
html_extra_path = ["site"]
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
# There is a search.
html_use_index = html_domain_indices = False

LINK = re.compile(r"\]\(([\w./-]+\.(?:md|rst))\)")


def add_contents(app: Sphinx, name: str, source: list[str]) -> None:
    """Add to the front page the side bar: the pages in the order of docs/README.md, by sections."""
    if name != app.config.root_doc:
        return
    for section in (ROOT / "docs/README.md").read_text("utf-8").split("\n## ")[1:]:
        caption, _, text = section.partition("\n")
        pages = "\n".join(f"/docs/{link.rpartition('.')[0]}" for link in LINK.findall(text))
        source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{pages}\n```\n"


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect what this file adds to Sphinx."""
    app.connect("source-read", add_contents)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
