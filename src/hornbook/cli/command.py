"""Shared by all commands: --json and --debug, logs on stderr, one-line errors, settings as options."""

import functools
import inspect
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic import BaseModel
from typer.core import TyperGroup

from hornbook.cli.stopping import Stopped, stops
from hornbook.errors import HornbookError, one_line
from hornbook.machine.disk import full_disk, is_full
from hornbook.machine.extras import explain_missing_extra
from hornbook.recipe import parse_value

Answer = Mapping[str, Any]

# Flags have an empty metavar: Typer would show <bool>, as if they took a value.
_JSON = Annotated[bool, typer.Option("--json", metavar="", help="Print one JSON object as the last line of stdout.")]
_DEBUG = Annotated[bool, typer.Option("--debug", metavar="", help="Show the traceback of an error.")]
# Typer raises this for a wrong command line; the module of the class depends on Typer's version.
_UsageError: Any = typer.BadParameter.__base__
_INTERRUPTED = 130
_LONGEST_LINE = 1000  # characters of an error
_LIST = "[A,B,…]"
_NO_BARS = ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS", "TQDM_DISABLE")


class Commands(TyperGroup):
    """A group of commands: a wrong command line gives one line on stderr; no command shows the help."""

    def main(self, *args: Any, **settings: Any) -> Any:
        """Run the command and end the process with its exit code."""
        try:
            code = super().main(*args, **{**settings, "standalone_mode": False})
        except _UsageError as error:
            message = error.format_message().strip().rstrip(".")
            where = error.ctx.command_path if error.ctx else "hornbook"
            _complain(f"{message[:1].lower()}{message[1:]}; see `{where} --help`")
            code = 2
        sys.exit(code if isinstance(code, int) else 0)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Show the help if there are no arguments."""
        return super().parse_args(ctx, args or ["--help"])


def command(function: Callable[..., Answer]) -> Callable[..., None]:
    """Turn a function that returns its answer as a mapping into a command.

    The command takes `--json` (print the answer as the last line of stdout; the function gets `quiet=True` if it
    has that parameter) and `--debug`. A HornbookError or OSError becomes one line on stderr and exit code 2. An
    answer with a non-empty `failed` gives exit code 1.

    Args:
        function: the command's function.

    Returns:
        the function to register with Typer.
    """

    @functools.wraps(function)
    def run(*args: Any, json_: bool, debug: bool, **kwargs: Any) -> None:
        logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.WARNING, force=True)
        logging.getLogger("hornbook").setLevel(logging.INFO)
        if not sys.stderr.isatty():
            os.environ.update(dict.fromkeys(_NO_BARS, "1"))
        if "quiet" in inspect.signature(function).parameters:
            kwargs["quiet"] = json_ or not _is_first_process()
        try:
            with stops(_say_stopped), explain_missing_extra(_name(function)):
                answer = function(*args, **kwargs)
            if json_ and _is_first_process():
                typer.echo(json.dumps(answer, ensure_ascii=False, default=str))
        except BrokenPipeError:
            raise
        except (HornbookError, OSError) as error:
            if debug:
                raise
            _complain(_system_error(error) if isinstance(error, OSError) else str(error))
            raise typer.Exit(2) from None
        except Stopped as stopped:
            raise typer.Exit(stopped.code) from None
        except KeyboardInterrupt:
            _say_stopped()
            raise typer.Exit(_INTERRUPTED) from None
        if answer.get("failed"):
            raise typer.Exit(1)

    signature = inspect.signature(function)
    parameters = [p for name, p in signature.parameters.items() if name != "quiet"]
    parameters += [
        inspect.Parameter("json_", inspect.Parameter.KEYWORD_ONLY, annotation=_JSON, default=False),
        inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, annotation=_DEBUG, default=False),
    ]
    return _with_signature(run, parameters)


def with_settings(
    *models: type[BaseModel],
    leave_out: tuple[str, ...] = (),
    names: Mapping[str, str] | None = None,
    into: str = "settings",
) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Add an option for every field of settings models; name and help text are the field's.

    The function gets one argument: the fields set on the command line, a mapping of names to parsed values.

    Args:
        models: settings classes; if several have a field, the first one's help text is shown.
        leave_out: fields that the command takes in another way.
        names: names of options that differ from their field's.
        into: name of the argument.

    Returns:
        a decorator for the command's function.
    """
    fields: dict[str, Any] = {}
    options: dict[str, inspect.Parameter] = {}
    for model in models:
        for name, about in model.model_fields.items():
            if name not in leave_out:
                fields.setdefault(name, about)
    for name, about in fields.items():
        owners = [model for model in models if name in model.model_fields]
        defaults = [(owner, owner.model_fields[name].default) for owner in owners[1:]]
        others = "".join(f"; {_kind(owner)}: {default}" for owner, default in defaults if default != about.default)
        options[name] = _option((names or {}).get(name, name), about, _panel(owners, models), others)

    def decorate(function: Callable[..., Answer]) -> Callable[..., Answer]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Answer:
            given = {name: kwargs.pop(option.name) for name, option in options.items()}
            settings = {
                name: _value(text, fields[name].annotation, _flag(options[name].name))
                for name, text in given.items()
                if text is not None
            }
            return function(*args, **{into: settings}, **kwargs)

        own = [p for name, p in inspect.signature(function).parameters.items() if name != into]
        return _with_signature(call, [*own, *options.values()])

    return decorate


def overrides(extra: list[str]) -> dict[str, str]:
    """Parse recipe fields set on the command line: `--distil.tokens 2e6` or `--distil.tokens=2e6`.

    Args:
        extra: the arguments that are not options of the command.

    Returns:
        the text of each value, by the dotted name of its field.

    Raises:
        HornbookError: an argument is not of this form.
    """
    found: dict[str, str] = {}
    rest = list(extra)
    while rest:
        name, has_value, value = rest.pop(0).partition("=")
        if not name.startswith("--") or (not has_value and not rest):
            raise HornbookError(f"{name}: not understood; set a field of the recipe with --field.name VALUE")
        found[_field(name.removeprefix("--"))] = value if has_value else rest.pop(0)
    return found


def settings_from(extra: list[str], model: type[BaseModel]) -> dict[str, Any]:
    """Return settings of a model from options that the command does not declare.

    Args:
        extra: the words of the command line that were not parsed, such as `["--k", "5"]`.
        model: the class of the settings.

    Returns:
        values by setting, parsed by the type of its field. Unknown settings keep their text;
        `validate` refuses them.

    Raises:
        HornbookError: a word is not an option.
    """
    found = {}
    for name, text in overrides(extra).items():
        about = model.model_fields.get(name)
        found[name] = _value(text, about.annotation, _flag(name)) if about else text
    return found


def _field(name: str) -> str:
    """Return a field's dotted name; hyphens count as underscores except in the name of a textbook."""
    parts = name.split(".")
    own = 1 if parts[0] == "textbooks" else None
    return ".".join(part if i == own else part.replace("-", "_") for i, part in enumerate(parts))


def _name(function: Callable[..., Answer]) -> str:
    """Return the command of a function: `hornbook corpus build` for `corpus_build_command`."""
    return f"hornbook {function.__name__.removesuffix('_command').replace('_', ' ')}"


def _is_first_process() -> bool:
    """Whether this process prints; under torchrun only the first one does."""
    return os.environ.get("RANK", "0") == "0"


def _complain(message: str) -> None:
    if _is_first_process():
        typer.echo(f"hornbook: {one_line(message, _LONGEST_LINE)}", err=True)


def _say_stopped() -> None:
    _complain("stopped; run the same command again to continue")


def _system_error(error: OSError) -> str:
    """Describe an error of the operating system, with the file."""
    if is_full(error):
        return (
            str(full_disk(error, Path.cwd())) if error.filename else f"the output cannot be written: {error.strerror}"
        )
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"{error.filename}: is a file, but a folder is needed here"
    return f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _panel(owners: Sequence[type[BaseModel]], models: Sequence[type[BaseModel]]) -> str:
    """Return the heading of a field in --help; with several models, the kinds that have the field."""
    if len(models) == 1:
        return f"{models[0].__name__.removesuffix('Config')} settings"
    return "Settings of every kind" if len(owners) == len(models) else f"Settings of {', '.join(map(_kind, owners))}"


def _kind(model: type[BaseModel]) -> str:
    return str(model.model_fields["kind"].default)


def _option(name: str, about: Any, panel: str, others: str = "") -> inspect.Parameter:
    # The bracket is escaped: rich would read it as a style.
    default = (
        "" if about.default in (None, (), {}) or about.is_required() else f" \\[default: {about.default}{others}]"
    )
    option = typer.Option(
        _flag(name),
        help=f"{one_line(about.description or '')}{default}",
        metavar=_legal(about.annotation),
        rich_help_panel=panel,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[str | None, option], default=None
    )


def _value(text: str, annotation: Any, flag: str) -> Any:
    """Parse the value of an option: as it is if the field takes text, else as YAML."""
    kinds = _legal(annotation).split("|")
    is_text = "TEXT" in kinds and not (_LIST in kinds and text.startswith("["))
    return text if is_text else parse_value(text, flag)


def _legal(annotation: Any) -> str:
    """Return the kind of value a field takes: NUMBER, TEXT, a list, a mapping, or the legal words."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "|".join(map(str, inner))
    if origin is tuple:
        return _LIST
    if origin is dict:
        return "{A: B,…}"
    if origin is Annotated:
        return _legal(inner[0])
    if inner:
        return "|".join(_legal(part) for part in inner if part is not NoneType)
    return "NUMBER" if annotation in (int, float) else "TEXT"


def _with_signature(function: Callable[..., Any], parameters: list[inspect.Parameter]) -> Callable[..., Any]:
    order = sorted(parameters, key=lambda p: p.kind)
    function.__signature__ = inspect.Signature(order)  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in order}
    return function
