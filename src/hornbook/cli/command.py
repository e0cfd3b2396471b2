"""What every command shares: --json and --debug, logs on stderr, one-line errors, settings as options."""

import functools
import inspect
import json
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from hornbook.errors import HornbookError

Answer = Mapping[str, Any]

_JSON = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")]
_DEBUG = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def command(function: Callable[..., Answer]) -> Callable[..., None]:
    """Make a function that returns its answer as a mapping into a command.

    Adds `--json` (the answer as the last line of stdout; the function then gets `quiet=True` if it takes it)
    and `--debug`; a HornbookError becomes one line on stderr and exit code 2.
    """

    @functools.wraps(function)
    def run(*args: Any, json_: bool, debug: bool, **kwargs: Any) -> None:
        logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.WARNING, force=True)
        logging.getLogger("hornbook").setLevel(logging.INFO)
        if "quiet" in inspect.signature(function).parameters:
            kwargs["quiet"] = json_
        try:
            answer = function(*args, **kwargs)
        except HornbookError as error:
            if debug:
                raise
            typer.echo(f"hornbook: {error}", err=True)
            raise typer.Exit(2) from None
        if json_:
            typer.echo(json.dumps(answer, ensure_ascii=False, default=str))

    signature = inspect.signature(function)
    parameters = [p for name, p in signature.parameters.items() if name != "quiet"]
    parameters += [
        inspect.Parameter("json_", inspect.Parameter.KEYWORD_ONLY, annotation=_JSON, default=False),
        inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, annotation=_DEBUG, default=False),
    ]
    return _with_signature(run, parameters)


def with_settings(
    *models: type[BaseModel], leave_out: tuple[str, ...] = ()
) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Give a function an option for every field of settings models, named and explained as the field.

    The function gets those that were set as `settings`, a mapping of field names to parsed values.

    Args:
        models: the settings; the first to name a field explains it.
        leave_out: fields that the command takes in another way.
    """
    fields: dict[str, Any] = {}
    for model in models:
        for name, about in model.model_fields.items():
            if name not in leave_out:
                fields.setdefault(name, about)

    def decorate(function: Callable[..., Answer]) -> Callable[..., Answer]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Answer:
            given = {name: kwargs.pop(name) for name in fields}
            import yaml

            settings = {name: yaml.safe_load(text) for name, text in given.items() if text is not None}
            return function(*args, settings=settings, **kwargs)

        own = [p for name, p in inspect.signature(function).parameters.items() if name != "settings"]
        options = [_option(name, about) for name, about in fields.items()]
        return _with_signature(call, own + options)

    return decorate


def overrides(extra: list[str]) -> dict[str, str]:
    """Return recipe fields set on the command line: `--distil.tokens 2e6` or `--distil.tokens=2e6`.

    Raises:
        HornbookError: something else stands there.
    """
    found: dict[str, str] = {}
    rest = list(extra)
    while rest:
        name, has_value, value = rest.pop(0).partition("=")
        if not name.startswith("--") or (not has_value and not rest):
            raise HornbookError(f"{name}: not understood; a recipe's field is set as --field.name VALUE")
        found[name.removeprefix("--").replace("-", "_")] = value if has_value else rest.pop(0)
    return found


def _option(name: str, about: Any) -> inspect.Parameter:
    default = "" if about.default is None or about.is_required() else f" [default: {about.default}]"
    option = typer.Option(
        f"--{name.replace('_', '-')}", help=f"{' '.join((about.description or '').split())}{default}", metavar="VALUE"
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[str | None, option], default=None
    )


def _with_signature(function: Callable[..., Any], parameters: list[inspect.Parameter]) -> Callable[..., Any]:
    order = sorted(parameters, key=lambda p: p.kind)
    function.__signature__ = inspect.Signature(order)  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in order}
    return function
