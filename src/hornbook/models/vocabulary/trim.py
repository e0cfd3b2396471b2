"""Leave pieces out of a tokenizer, and number the others again."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hornbook.errors import HornbookError
from hornbook.models.tokenizers import with_backend
from hornbook.models.vocabulary.pieces import KINDS, Pieces

# Families like RoBERTa number positions from the padding token's id, 1, which therefore must not change. Padding
# tokens added at the end of a vocabulary count for nothing.
_LOW = 16


@dataclass(frozen=True)
class Trimmed:
    """A tokenizer with some of the pieces of another.

    Attributes:
        tokenizer: the smaller one.
        kept: the old id of each new one, ascending, shape (pieces,).
    """

    tokenizer: Any
    kept: NDArray[np.int64]


def trim(tokenizer: Any, wanted: Iterable[int], size: int | None = None) -> Trimmed:
    """Trim a tokenizer to some of its pieces, and those that they and all other texts need.

    Texts get no unknown token that they did not have (see `pieces` for the one exception), decode to the same text,
    and are read as before where all their pieces are kept. Special and added tokens stay; truncation and padding are
    as before.

    Args:
        tokenizer: a fast tokenizer; not changed.
        wanted: ids of pieces, the most important first.
        size: the most pieces to keep, special tokens included: pieces that do not fit any more are left out.

    Returns:
        the smaller tokenizer, and which ids it kept.

    Raises:
        HornbookError: the tokenizer is of a kind that cannot be trimmed, or `size` is less than it needs.
    """
    backend = plain_backend(tokenizer)
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    pieces = _pieces(backend, state["model"])
    kept = _fixed(tokenizer, state) | pieces.needed()
    if size is not None and size < len(kept):
        raise HornbookError(
            f"student.vocabulary: {size:,} pieces are too few for this tokenizer: its characters and special tokens "
            f"alone are {len(kept):,}"
        )
    for piece in wanted:
        if size is not None and len(kept) == size:
            break
        more = {int(piece)} if piece in kept else {int(piece)} | pieces.parts(int(piece))
        if size is None or len(kept | more) <= size:
            kept |= more
    order = sorted(kept)
    new = {old: i for i, old in enumerate(order)}
    smaller = _built({**state, "model": pieces.renumbered(new)}, new)
    expected = {token: new[i] for token, i in backend.get_vocab().items() if i in new}
    if smaller.get_vocab() != expected:
        raise HornbookError(
            "student.vocabulary: this tokenizer cannot be trimmed: its tokens cannot be numbered without gaps"
        )
    return Trimmed(with_backend(tokenizer, smaller), np.array(order, np.int64))


def plain_backend(tokenizer: Any) -> Any:
    """Return a copy of a fast tokenizer's backend that neither truncates nor pads."""
    from tokenizers import Tokenizer

    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    return backend


def _pieces(backend: Any, model: Mapping[str, Any]) -> Pieces:
    kind = model["type"]
    if kind not in KINDS:
        raise HornbookError(
            f"student.vocabulary: {kind} tokenizers cannot be trimmed, only {', '.join(KINDS)}; set it to all"
        )
    return KINDS[kind](backend, model)


def _fixed(tokenizer: Any, state: dict[str, Any]) -> set[int]:
    """Return the ids of special and added tokens, of those in other settings, and all up to a low padding id."""
    found = {*tokenizer.added_tokens_decoder, *tokenizer.all_special_ids}
    pad = tokenizer.pad_token_id
    found |= set(range(pad + 1)) if pad < _LOW else {pad}

    def noted(i: int) -> int:
        found.add(i)
        return i

    _change_ids(state, noted)
    return found


def _built(state: dict[str, Any], new: Mapping[int, int]) -> Any:
    from tokenizers import Tokenizer

    _change_ids(state, new.__getitem__)
    return Tokenizer.from_str(json.dumps(state))


def _change_ids(state: dict[str, Any], change: Callable[[int], int]) -> None:
    """Change all ids outside the model in a tokenizer's JSON, in place."""
    for token in state["added_tokens"]:
        token["id"] = change(token["id"])
    if state["padding"]:
        state["padding"]["pad_id"] = change(state["padding"]["pad_id"])
    outer = state["post_processor"] or {}
    for processor in (outer, *outer.get("processors", ())):
        if processor.get("type") == "TemplateProcessing":
            for token in processor["special_tokens"].values():
                token["ids"] = [change(i) for i in token["ids"]]
        elif "cls" in processor:  # BertProcessing, RobertaProcessing
            for name in ("cls", "sep"):
                token, i = processor[name]
                processor[name] = [token, change(i)]
