"""The textbooks of a distillation: finished, tokenised for this teacher, about one task."""

from pathlib import Path

from hornbook.errors import HornbookError
from hornbook.models.source import Model
from hornbook.models.tokenizers import tokenizer_key
from hornbook.recipe import DistilConfig
from hornbook.store import MANIFEST, Artifact, load
from hornbook.training.tokens import VERSION, max_tokens_read


def open_book(textbook: Artifact | Path | str) -> Artifact:
    """Return a finished textbook, or its token ids.

    Args:
        textbook: an artefact or its folder; stage "textbook" or "tokens".

    Returns:
        the artefact, finished.

    Raises:
        HornbookError: the artefact is something else, or not finished.
    """
    book = textbook if isinstance(textbook, Artifact) else load(textbook)
    if book.stage not in {"textbook", "tokens"}:
        raise HornbookError(f"{book.path}: holds a {book.stage}, but a textbook is needed here")
    return book


def common_task(book: Artifact, init: str) -> str | None:
    """Return the key of the task that a student's textbooks are about; None if they are about none.

    Args:
        book: the textbook.
        init: `StudentConfig.init`: the student may start from one that was distilled earlier.

    Returns:
        a content key, or None.

    Raises:
        HornbookError: the textbook of that earlier student is about another task.
    """
    before = load(init) if (Path(init) / MANIFEST).is_file() else None
    about: str | None = book.info.get("task")
    earlier: str | None = before.info.get("task") if before else None
    if before and about and earlier and about != earlier:
        raise HornbookError(
            f"{book.path}: is about another task than the textbook of {before.path}, from which the student starts; "
            "a chain's textbooks must be about one task"
        )
    return about or earlier


def check_tokens(tokens: Artifact, teacher: Model, config: DistilConfig) -> None:
    """Check that token ids were made for this teacher and these settings.

    Args:
        tokens: token ids of a textbook (see `encode_textbook`).
        teacher: the teacher, whose tokenizer they must be from.
        config: `max_length` and `pack`.

    Raises:
        HornbookError: they were not.
    """
    if tokens.manifest["inputs"]["tokenizer"] != tokenizer_key(teacher):
        raise HornbookError(f"{tokens.path}: these token ids were made with another tokenizer than the teacher's")
    if tokens.manifest["stage_version"] != VERSION:
        raise HornbookError(
            f"{tokens.path}: these token ids were made by another version of hornbook; make them again"
        )
    made = tokens.manifest["config"]
    for name, wanted in (("max_length", config.max_length), ("pack", config.pack)):
        if made[name] != wanted:
            raise HornbookError(
                f"{tokens.path}: these token ids were made with {name} {made[name]}, but distil.{name} is {wanted}"
            )
    if made["limit"] > (limit := max_tokens_read(teacher, config.max_length)):
        raise HornbookError(
            f"{tokens.path}: these token ids are for a model that takes {made['limit']} tokens; the teacher takes "
            f"{limit}"
        )
