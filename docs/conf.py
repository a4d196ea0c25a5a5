"""Sphinx's settings: `sphinx-build -W --keep-going docs docs/_build`."""

import pathlib
import shutil

import hybrid_jax

project = 'hybrid_jax'
author = 'The hybrid_jax authors'
copyright = author
version = release = hybrid_jax.__version__

extensions = [
  'myst_nb',
  'sphinx.ext.autodoc',
  'sphinx.ext.napoleon',
]
exclude_patterns = ['_build', 'results']
html_theme = 'furo'
html_title = 'hybrid_jax'
html_static_path = ['_static']
html_css_files = ['wide_tables.css']

# GitHub makes anchors of headings, and MyST the same ones.
myst_heading_anchors = 3
nb_execution_mode = 'off'
# Of a notebook's `!command`, which is no Python.
suppress_warnings = ['misc.highlighting_failure']
default_role = 'code'  # `[n, d]` in a docstring.
autodoc_typehints = 'description'
autodoc_typehints_format = 'short'
autodoc_typehints_description_target = 'documented'
autodoc_member_order = 'bysource'
napoleon_use_ivar = True

# Sphinx reads pages below its own folder only.
_HERE = pathlib.Path(__file__).parent
_NOTEBOOKS = _HERE / 'notebooks'
_NOTEBOOKS.mkdir(exist_ok=True)
for _path in sorted(_HERE.parent.glob('colabs/*.ipynb')):
  shutil.copy(_path, _NOTEBOOKS)
