"""Read settings from YAML files and command lines; errors are one line."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from hornbook.errors import HornbookError, nearest
from hornbook.machine.parsing import parse_yaml
from hornbook.recipe.experiment import Experiment
from hornbook.recipe.recipe import Recipe
from hornbook.recipe.textbooks import CHAIN, CONFIGS, TEXTBOOKS, TextbookConfig, config_class
from hornbook.recipe.training import DistilConfig

__all__ = [
    "changed",
    "load_experiment",
    "load_recipe",
    "parse_value",
    "read_values",
    "set_value",
    "textbook_class",
    "validate",
]

M = TypeVar("M", bound=BaseModel)
_UNION_BRANCHES = {"constrained-int", "literal['auto']", "function-before"}
# Characters that have a meaning in YAML on their own: a block (`|`, `>`), a tag, an alias.
_LONE_MARK = re.compile(r"[\s|>,;:/!&*%@#+-]+")
# How pydantic says that it expected settings.
_DICTIONARY = re.compile(r"a valid dictionary( or instance of \w+| or object to extract fields from)?")


def load_recipe(path: Path | str, overrides: Mapping[str, str] | None = None) -> Recipe:
    """Read a recipe from a YAML file.

    Args:
        path: the file.
        overrides: values by dotted field name ("distil.tokens"), as YAML text; they override the file.

    Returns:
        the recipe.

    Raises:
        HornbookError: the file is missing or not YAML, a key is unknown, or a value is illegal.
    """
    values = read_values(path)
    for name, text in (overrides or {}).items():
        set_value(values, name, parse_value(text, f"--{name}"), "")
    return validate(Recipe, values, str(path))


def load_experiment(path: Path | str) -> Experiment:
    """Read an experiment from a YAML file.

    Args:
        path: the file.

    Returns:
        the experiment; `recipe` is still the name of a file.

    Raises:
        HornbookError: as `load_recipe`.
    """
    return validate(Experiment, read_values(path), str(path))


def read_values(path: Path | str) -> dict[str, Any]:
    """Read the mapping in a YAML file.

    Args:
        path: the file.

    Returns:
        the mapping.

    Raises:
        HornbookError: the file is missing, not YAML, or not a mapping.
    """
    try:
        text = Path(path).read_text("utf-8")
    except FileNotFoundError:
        raise HornbookError(f"{path}: no such recipe file") from None
    except OSError as error:
        raise HornbookError(f"{path}: cannot be read as a recipe file: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise HornbookError(f"{path}: not a YAML file: byte {error.start} is not UTF-8") from None
    values = parse_yaml(text, str(path))
    if not isinstance(values, dict):
        raise HornbookError(f"{path}: a recipe is a mapping of stages to settings, see `hornbook new`")
    return values


def parse_value(text: str, where: str) -> Any:
    """Parse the text of a setting on the command line as YAML; punctuation alone (`|`) is text.

    Args:
        text: the text.
        where: the option, for the error message.

    Returns:
        the value.

    Raises:
        HornbookError: the text is not YAML.
    """
    if _LONE_MARK.fullmatch(text):
        return text
    try:
        return parse_yaml(text, where)
    except HornbookError:
        raise HornbookError(f"{where}: {text!r:.200} is not valid YAML; values are read as YAML") from None


def validate(model: type[M], values: Mapping[str, Any], where: str) -> M:
    """Validate `values` as settings of type `model`.

    Args:
        model: the settings class.
        values: field values by name.
        where: the file or option they come from, for the error message.

    Returns:
        the settings.

    Raises:
        HornbookError: a value is illegal; one line names `where`, the field and the legal values.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise HornbookError(f"{where}: {_explain(model, error)}") from None


def changed(config: DistilConfig, settings: Mapping[str, Any], where: str) -> DistilConfig:
    """Return settings of distillation with some changed, see `DistilConfig.changed`.

    Args:
        config: the settings.
        settings: the new values by name.
        where: where these come from, for the error message.

    Returns:
        the changed settings.

    Raises:
        HornbookError: a setting is unknown or a value is illegal.
    """
    try:
        return config.changed(settings)
    except ValidationError as error:
        raise HornbookError(f"{where}: {_explain(DistilConfig, error)}") from None


def textbook_class(kind: str, where: str) -> type[TextbookConfig]:
    """Return the settings class of one kind of textbook.

    Args:
        kind: the kind's name.
        where: the command it comes from, for the error message.

    Returns:
        a subclass of `TextbookConfig`.

    Raises:
        HornbookError: the kind is unknown or `chain`.
    """
    if kind == CHAIN:
        raise HornbookError(
            f"{where}: a chain is not one textbook; pass --textbook several times to `hornbook distil`, or name "
            "its textbooks in a recipe"
        )
    if kind not in TEXTBOOKS:
        raise HornbookError(f"{where}: {TEXTBOOKS.unknown(kind)}")
    return config_class(kind)


def set_value(values: dict[str, Any], name: str, value: Any, where: str) -> None:
    """Set a value in nested mappings by its dotted name.

    Args:
        values: the mappings; changed in place.
        name: the dotted name, such as distil.tokens.
        value: the new value.
        where: the file or option, for the error message; default: the name as an option.

    Raises:
        HornbookError: a part of the name is not a mapping.
    """
    *parents, last = name.split(".")
    for parent in parents:
        inner = values.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise HornbookError(f"{where or f'--{name}'}: {parent} has no settings of its own")
        values = inner
    values[last] = value


def _explain(model: type[BaseModel], error: ValidationError) -> str:
    """Describe the first error in one line, and count the others."""
    first, *others = error.errors()
    place = [str(part) for part in first["loc"]]
    more = f" (and {len(others)} more)" if others else ""
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, place[:-1])
        near = nearest(place[-1], known)
        hint = f"; the nearest known key is {near!r}" if near else ""
        return f"unknown key {'.'.join(_spoken(place))!r}{hint}{more}"
    if first["type"] == "missing":
        return f"{'.'.join(place)} is missing{more}"
    got = "" if isinstance(first.get("input"), dict) else f", not {first.get('input')!r:.200}"
    message = first["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list")
    message = _DICTIONARY.sub("a mapping of settings", message)
    field = f"{'.'.join(_spoken(place))}: " if place else ""
    return f"{field}{message[0].lower()}{message[1:]}{got}{more}"


def _spoken(place: list[str]) -> list[str]:
    """Drop the names of union branches that pydantic adds to a path."""
    spoken = [part for part in place if part not in _UNION_BRANCHES]
    return [part for i, part in enumerate(spoken) if (spoken[0], i) != ("textbooks", 2)]


def _known_keys(model: Any, place: Sequence[str]) -> list[str]:
    """Return the legal keys at the path of an error, through unions and mappings."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        if model is TextbookConfig and place:
            return _known_keys(config_class(place[0]), place[1:]) if place[0] in (*CONFIGS, *TEXTBOOKS) else []
        if not place:
            return list(model.model_fields)
        about = model.model_fields.get(place[0])
        return _known_keys(about.annotation, place[1:]) if about else []
    found: list[str] = []
    for argument in get_args(model):
        found += _known_keys(argument, place)
    if not found and place:
        for argument in get_args(model):
            found += _known_keys(argument, place[1:])
    return found
