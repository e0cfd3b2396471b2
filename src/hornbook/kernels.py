"""One switch between the two implementations of every hot loop: the compiled core and its reference in Python.

A reference defines the result. The compiled function of the same name takes the same arguments and returns the same
bits, faster. References are beside their callers, such as `corpus/reference.py`; this module imports none of them.

The environment variable HORNBOOK_KERNELS selects the implementation: `reference`, or `compiled`, an error where the
core is missing. Unset, the core runs where it could be built.
"""

import logging
import os
from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, TypeVar, cast

from hornbook.errors import HornbookError

logger = logging.getLogger("hornbook")

VARIABLE = "HORNBOOK_KERNELS"
_BUILD = "install a C++ compiler and run pip install again"

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def kernel(reference: Kernel) -> Kernel:
    """Return the implementation to call: the compiled counterpart of a reference, or the reference itself.

    Args:
        reference: a function or class of Python whose name the compiled core has too.

    Returns:
        a function or class with the same arguments and results.

    Raises:
        HornbookError: see `compiled`.
    """
    core = compiled()
    return reference if core is None else cast(Kernel, getattr(core, reference.__name__))


def compiled() -> ModuleType | None:
    """Select the implementation.

    Returns:
        the compiled core, or None to run the references.

    Raises:
        HornbookError: HORNBOOK_KERNELS has an unknown value, or asks for a core that could not be built.
    """
    selected = os.environ.get(VARIABLE, "")
    if selected not in ("", "compiled", "reference"):
        raise HornbookError(f"{VARIABLE} is {selected!r}; set it to compiled or reference, or unset it")
    if selected == "reference":
        return None
    core = _load()
    if core is None and selected == "compiled":
        raise HornbookError(f"{VARIABLE} is compiled, but hornbook's compiled core is missing; {_BUILD}")
    return core


@cache
def _load() -> ModuleType | None:
    """Import the compiled core once; warn once where it is missing."""
    try:
        return import_module("hornbook._core")
    except ImportError:
        logger.warning(
            "hornbook's compiled core is missing: splitting and retrieval are many times slower; %s", _BUILD
        )
        return None
