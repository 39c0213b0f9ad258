"""Shared by all tests: hypothesis draws the same examples on every run, and shapes are checked at run time."""

from hypothesis import settings
from jaxtyping import install_import_hook

settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")

install_import_hook("companion", "beartype.beartype")
