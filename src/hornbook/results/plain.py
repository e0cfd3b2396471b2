"""Results as plain data for JSON, and back."""

from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

T = TypeVar("T")


@cache
def _adapter(of: Any) -> TypeAdapter[Any]:
    return TypeAdapter(of)


def as_json(result: object) -> Any:
    """Return a result as plain data, ready for JSON.

    Args:
        result: any dataclass of this package, or a list or dict of them.

    Returns:
        dicts, lists, texts and numbers.
    """
    of: Any = type(result)
    return _adapter(of).dump_python(result, mode="json")


def from_json(of: type[T], values: Any) -> T:
    """Return a result from plain data.

    Args:
        of: the class of the result.
        values: what `as_json` returned for it.

    Returns:
        the result.

    Raises:
        ValidationError: the data have another form (pydantic's error).
    """
    adapter: TypeAdapter[T] = _adapter(cast(Any, of))
    return adapter.validate_python(values)
