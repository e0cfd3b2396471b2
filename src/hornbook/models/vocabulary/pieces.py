"""What each kind of tokenizer needs, so that a smaller one reads every text that the whole one reads.

Two things hold for each kind. Words whose pieces are all kept are read exactly as before; so every kept piece that
occurred in a text still occurs. And no text gets an unknown token that had none before, if each character in a piece
is a piece too, as trainers make them. A WordPiece or Unigram vocabulary where some are not keeps the pieces with such
characters; even so a word may be cut elsewhere than before, and then be unknown.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Protocol

_BYTES = frozenset(f"<0x{byte:02X}>" for byte in range(256))


class Pieces(Protocol):
    """The pieces of a tokenizer's model, by id."""

    def needed(self) -> set[int]:
        """Return the pieces to keep in any case: characters and bytes, and what they cannot spell."""

    def parts(self, piece: int) -> set[int]:
        """Return the pieces to keep with a piece, so that it is still found."""

    def renumbered(self, new: Mapping[int, int]) -> dict[str, Any]:
        """Return the model's JSON with the pieces that have a new id, under that id."""


class WordPiece:
    """Takes the longest piece that fits, from left to right; pieces inside a word have a prefix.

    Args:
        tokenizer: the whole tokenizer, which neither truncates nor pads.
        model: the JSON of its model.
    """

    def __init__(self, tokenizer: Any, model: Mapping[str, Any]) -> None:
        self._tokenizer = tokenizer
        self._model = model
        self._ids: Mapping[str, int] = model["vocab"]
        self._prefix: str = model["continuing_subword_prefix"]

    def needed(self) -> set[int]:
        """Return all single characters, at the start of a word and inside it, and what they cannot spell."""
        single = {piece for piece in self._ids if len(piece) == 1 or len(self._core(piece)) == 1}
        single -= self._never_inside(single)
        return {
            i
            for piece, i in self._ids.items()
            if piece in single or piece == self._model["unk_token"] or not self._is_spelled(piece)
        }

    def parts(self, piece: int) -> set[int]:
        """Return nothing: the longest piece of all that fit is the longest of those that are kept."""
        return set()

    def renumbered(self, new: Mapping[int, int]) -> dict[str, Any]:
        """Return the model's JSON with some of its pieces."""
        return {**self._model, "vocab": _of(self._ids, new)}

    def _core(self, piece: str) -> str:
        return piece.removeprefix(self._prefix)

    def _is_spelled(self, piece: str) -> bool:
        """Return whether the characters of a piece are pieces where they stand."""
        core = self._core(piece)
        first, further = (core[:1], core[1:]) if core == piece else ("", core)
        return all(c in self._ids for c in first) and all(self._prefix + c in self._ids for c in further)

    def _never_inside(self, single: set[str]) -> set[str]:
        """Return the characters inside words that are always words of their own, such as BERT's Chinese ones."""
        inside = [p for p in single if self._core(p) != p]
        tried = [before + c for c in map(self._core, inside) for before in (c, "a", "1")]
        found = self._tokenizer.encode_batch(tried, add_special_tokens=False)
        words = [len(set(encoding.word_ids)) for encoding in found]
        return {piece for i, piece in enumerate(inside) if min(words[3 * i : 3 * i + 3]) > 1}


class Bpe:
    """Merges pairs of neighbours, the pair that is first in the list of merges first.

    A piece is made by a chain of merges, and is kept with all pieces of its chain. Then words whose pieces are kept
    are merged as before: fewer pairs compete, and those that won are there.

    Args:
        tokenizer: the whole tokenizer.
        model: the JSON of its model.
    """

    def __init__(self, tokenizer: Any, model: Mapping[str, Any]) -> None:
        self._model = model
        self._ids: Mapping[str, int] = model["vocab"]
        self._names = {i: piece for piece, i in self._ids.items()}
        self._prefix: str = model["continuing_subword_prefix"] or ""
        self._suffix: str = model["end_of_word_suffix"] or ""
        self._rank = {(first, second): rank for rank, (first, second) in enumerate(model["merges"])}

    def needed(self) -> set[int]:
        """Return the symbols that words consist of before merging, bytes, and what symbols cannot spell."""
        single = {piece for piece in self._ids if len(piece) == 1 or len(self._symbols(piece)) == 1}
        kept = single | _of_bytes(self._model) | {self._model["unk_token"]}
        if self._model["ignore_merges"]:  # a word that is a piece is found whole
            kept |= {piece for piece in self._ids if not single.issuperset(self._symbols(piece))}
        return {i for piece, i in self._ids.items() if piece in kept}

    def parts(self, piece: int) -> set[int]:
        """Return the symbols of a piece and all that they become, merge by merge."""
        symbols = self._symbols(self._names[piece])
        made = set(symbols)
        while ranks := [(self._rank[pair], i) for i, pair in enumerate(pairwise(symbols)) if pair in self._rank]:
            _, i = min(ranks)
            symbols[i : i + 2] = [self._merged(*symbols[i : i + 2])]
            made.add(symbols[i])
        return {self._ids[part] for part in made if part in self._ids}

    def renumbered(self, new: Mapping[int, int]) -> dict[str, Any]:
        """Return the model's JSON with some of its pieces and the merges among these."""
        vocab = _of(self._ids, new)
        merges = [pair for pair in self._model["merges"] if {*pair, self._merged(*pair)} <= vocab.keys()]
        return {**self._model, "vocab": vocab, "merges": merges}

    def _symbols(self, piece: str) -> list[str]:
        """Return the characters of a piece as merging finds them, with the prefix and suffix of their place."""
        core = piece.removeprefix(self._prefix).removesuffix(self._suffix)
        symbols = [self._prefix + character for character in core] or [piece]
        if not piece.startswith(self._prefix):
            symbols[0] = core[0]
        if core and piece.endswith(self._suffix):
            symbols[-1] += self._suffix
        return symbols

    def _merged(self, first: str, second: str) -> str:
        return first + second[len(self._prefix) :]


class Unigram:
    """Takes the most probable way to cut a text.

    A character without a piece counts as less probable than any piece, so the least probable piece is kept too.

    Args:
        tokenizer: the whole tokenizer.
        model: the JSON of its model.
    """

    def __init__(self, tokenizer: Any, model: Mapping[str, Any]) -> None:
        self._model = model
        self._pieces: list[tuple[str, float]] = model["vocab"]

    def needed(self) -> set[int]:
        """Return all single characters, bytes, what characters cannot spell, the unknown and the last piece."""
        single = {piece for piece, _ in self._pieces if len(piece) == 1}
        kept = single | _of_bytes(self._model)
        least = min(range(len(self._pieces)), key=lambda i: self._pieces[i][1])
        spelled = {i for i, (piece, _) in enumerate(self._pieces) if piece not in kept and single.issuperset(piece)}
        return set(range(len(self._pieces))) - spelled | ({least, self._model["unk_id"]} - {None})

    def parts(self, piece: int) -> set[int]:
        """Return nothing: the most probable way of all is the most probable of those that are left."""
        return set()

    def renumbered(self, new: Mapping[int, int]) -> dict[str, Any]:
        """Return the model's JSON with some of its pieces; their order is their id."""
        unknown = self._model["unk_id"]
        vocab = [piece for i, piece in enumerate(self._pieces) if i in new]
        return {**self._model, "vocab": vocab, "unk_id": None if unknown is None else new[unknown]}


KINDS: dict[str, Callable[[Any, Mapping[str, Any]], Pieces]] = {
    "BPE": Bpe,
    "Unigram": Unigram,
    "WordPiece": WordPiece,
}
"""The kinds of tokenizer models that can be trimmed, under their names in tokenizer.json."""


def _of(ids: Mapping[str, int], new: Mapping[int, int]) -> dict[str, int]:
    """Return the pieces that have a new id, with it, in its order."""
    return {piece: new[i] for piece, i in sorted(ids.items(), key=lambda one: one[1]) if i in new}


def _of_bytes(model: Mapping[str, Any]) -> frozenset[str]:
    """Return the pieces for single bytes of a model that falls back to them."""
    return _BYTES if model["byte_fallback"] else frozenset()
