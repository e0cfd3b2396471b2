"""What every settings model shares: frozen, unknown keys are errors, the docstring under a field is its help."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


def _whole_number(value: Any) -> Any:
    """Accept 1.5e6 and "2e5" where a whole number is meant: YAML reads them as a float and a string."""
    try:
        number = float(value) if isinstance(value, str | float) else value
    except ValueError:
        return value
    return int(number) if isinstance(number, float) and number.is_integer() else value


def all_text(value: Any) -> Any:
    """Accept {1: good} where names are meant: YAML reads 1 as a number."""
    return {str(its): str(ours) for its, ours in value.items()} if isinstance(value, dict) else value


def _at_home(value: str) -> str:
    """Expand `~` in a path, also behind `NAME=`."""
    name, named, path = value.rpartition("=")
    return f"{name}{named}{Path(path).expanduser()}" if path.startswith("~") else value


Seed = Annotated[int, Field(ge=0, lt=1 << 32)]
PathText = Annotated[str, AfterValidator(_at_home)]
Count = Annotated[int, BeforeValidator(_whole_number)]
Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
NOT_IN_KEY: dict[str, Any] = {"changes_result": False}


class Settings(BaseModel):
    """The base of all settings."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
        validate_default=True,
    )
