"""Base class and field types of all settings. The docstring under a field is its help text."""

from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from hornbook.errors import HornbookError
from hornbook.machine.places import expanded

__all__ = [
    "names_as_text",
]


def _whole_number(value: Any) -> Any:
    """Accept 1.5e6 and "2e5" for whole numbers: YAML reads them as a float and a string."""
    try:
        number = float(value) if isinstance(value, str | float) else value
    except ValueError:
        return value
    return int(number) if isinstance(number, float) and number.is_integer() else value


def name_text(value: Any) -> Any:
    """Accept 1 as a name, which YAML reads as an integer. Refuse what YAML reads as any other type."""
    if isinstance(value, bool):
        raise ValueError("yes, no, on and off are true and false in YAML; put names in quotes")
    if isinstance(value, float | date):
        raise ValueError(f"read by YAML as a {type(value).__name__}, which changes its spelling; put names in quotes")
    return str(value) if isinstance(value, int) else value


def names_as_text(value: Any) -> Any:
    """Accept [1, 2] and {1: good} for names, see `name_text`."""
    if isinstance(value, dict):
        return {name_text(its): name_text(ours) for its, ours in value.items()}
    return [name_text(one) for one in value] if isinstance(value, list) else value


def _expand_user(value: str) -> str:
    """Expand `~` in a path, also after `NAME=`."""
    name, named, path = value.rpartition("=")
    try:
        return f"{name}{named}{expanded(path)}" if path.startswith("~") else value
    except HornbookError as error:
        raise ValueError(str(error)) from None


def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise ValueError("contains a seed twice")
    return seeds


Seed = Annotated[int, Field(ge=0, lt=1 << 32)]
Seeds = Annotated[tuple[Seed, ...], Field(min_length=1), AfterValidator(_distinct)]
PathText = Annotated[str, AfterValidator(_expand_user)]
Count = Annotated[int, BeforeValidator(_whole_number)]
Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
NOT_IN_KEY: dict[str, Any] = {"changes_result": False}


class Settings(BaseModel):
    """Base class of all settings: frozen; an unknown key is an error."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
        validate_default=True,
    )
