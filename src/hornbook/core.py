"""The compiled core, where it could be built."""

import logging
from functools import cache
from importlib import import_module
from types import ModuleType

logger = logging.getLogger("hornbook")


@cache
def core() -> ModuleType | None:
    """Return the compiled core, or None, with a warning, where it is missing."""
    try:
        return import_module("hornbook._core")
    except ImportError:
        logger.warning(
            "hornbook's compiled core is missing: splitting and retrieval are many times slower; "
            "install a C++ compiler and run pip install again"
        )
        return None
