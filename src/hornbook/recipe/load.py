"""From a YAML file or a command line to settings, with errors of one line."""

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from hornbook.errors import HornbookError
from hornbook.recipe.experiment import Experiment
from hornbook.recipe.recipe import Recipe
from hornbook.recipe.textbooks import CHAIN, CONFIGS, TEXTBOOKS, TextbookConfig, config_class

M = TypeVar("M", bound=BaseModel)
_UNION_BRANCHES = {"constrained-int", "literal['auto']", "function-before"}
# Marks that YAML would take for its own: a block (`|`, `>`), a tag, an alias.
_LONE_MARK = re.compile(r"[\s|>,;:/!&*%@#+-]+")
_INTEGER = re.compile(r"-?(0|[1-9][0-9_]*)")
# How pydantic says that settings were wanted.
_DICTIONARY = re.compile(r"a valid dictionary( or instance of \w+| or object to extract fields from)?")


class _Loader(yaml.SafeLoader):
    """A safe loader to which 0110 and 1:30 are text: YAML 1.1 reads 72 and 90, but they are names of classes."""


def _integer(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    return loader.construct_yaml_int(node) if _INTEGER.fullmatch(node.value) else node.value


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


def load_recipe(path: Path | str, overrides: Mapping[str, str] | None = None) -> Recipe:
    """Read a recipe from a YAML file.

    Args:
        path: the file.
        overrides: values by dotted field name ("distil.tokens"), as YAML text; they win over the file.

    Raises:
        HornbookError: no such file, not YAML, an unknown key (the nearest is named), or an illegal value.
    """
    values = read_values(path)
    for name, text in (overrides or {}).items():
        set_value(values, name, parse_value(text, f"--{name}"), "")
    return validate(Recipe, values, str(path))


def load_experiment(path: Path | str) -> Experiment:
    """Read an experiment from a YAML file.

    Raises:
        HornbookError: as `load_recipe`.
    """
    return validate(Experiment, read_values(path), str(path))


def read_values(path: Path | str) -> dict[str, Any]:
    """Return the mapping that a YAML file holds.

    Raises:
        HornbookError: there is no such file, or it is not YAML, or no mapping.
    """
    try:
        values = yaml.load(Path(path).read_text("utf-8"), _Loader)
    except FileNotFoundError:
        raise HornbookError(f"{path}: no such recipe file") from None
    except OSError as error:
        raise HornbookError(f"{path}: cannot be read as a recipe file: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise HornbookError(f"{path}: not a YAML file: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise HornbookError(f"{path}: a recipe is a mapping of stages to settings, see `hornbook new`")
    return values


def parse_value(text: str, where: str) -> Any:
    """Return what a setting's text on the command line means, read as YAML; a lone mark (`|`) is itself.

    Raises:
        HornbookError: it is not YAML; names `where`.
    """
    if _LONE_MARK.fullmatch(text):
        return text
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError:
        raise HornbookError(f"{where}: {text!r} is not understood (values are read as YAML)") from None


def validate(model: type[M], values: Mapping[str, Any], where: str) -> M:
    """Return `values` as a `model`.

    Raises:
        HornbookError: a value is wrong: one line that names `where`, the field and what is legal.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise HornbookError(f"{where}: {_explain(model, error)}") from None


def textbook_class(kind: str, where: str) -> type[TextbookConfig]:
    """Return the settings class of a kind of textbook that can be built.

    Args:
        kind: the name of the kind.
        where: the command, for messages.

    Raises:
        HornbookError: the kind is unknown or `chain`, or the package that provides it is broken.
    """
    if kind == CHAIN:
        raise HornbookError(
            f"{where}: a chain is not one textbook; pass --textbook several times to `hornbook distil`, or name its "
            "textbooks in a recipe"
        )
    if kind not in TEXTBOOKS:
        raise HornbookError(f"{where}: {TEXTBOOKS.unknown(kind)}")
    return config_class(kind)


def set_value(values: dict[str, Any], name: str, value: Any, where: str) -> None:
    """Set a value in nested mappings by its dotted name.

    Raises:
        HornbookError: the name leads through something that is no mapping.
    """
    *parents, last = name.split(".")
    for parent in parents:
        inner = values.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise HornbookError(f"{where or f'--{name}'}: {parent} holds no settings")
        values = inner
    values[last] = value


def _explain(model: type[BaseModel], error: ValidationError) -> str:
    """Say in one line what is wrong first, and how much else is."""
    first, *others = error.errors()
    place = [str(part) for part in first["loc"]]
    more = f" (and {len(others)} more)" if others else ""
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, place[:-1])
        near = difflib.get_close_matches(place[-1], known, n=1, cutoff=0.0)
        nearest = f"; the nearest known key is {near[0]!r}" if near else ""
        return f"unknown key {'.'.join(_spoken(place))!r}{nearest}{more}"
    if first["type"] == "missing":
        return f"{'.'.join(place)} is missing{more}"
    got = "" if isinstance(first.get("input"), dict) else f", not {first.get('input')!r}"
    message = first["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list")
    message = _DICTIONARY.sub("a mapping of settings", message)
    field = f"{'.'.join(_spoken(place))}: " if place else ""
    return f"{field}{message[0].lower()}{message[1:]}{got}{more}"


def _spoken(place: list[str]) -> list[str]:
    """Drop what pydantic adds to a place for the branch of a union, which the user never wrote."""
    spoken = [part for part in place if part not in _UNION_BRANCHES]
    return [part for i, part in enumerate(spoken) if (spoken[0], i) != ("textbooks", 2)]


def _known_keys(model: Any, place: Sequence[str]) -> list[str]:
    """Return the legal keys at a place of an error, walking through unions and mappings."""
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
