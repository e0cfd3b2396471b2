"""How a masked language model reads a text in which words are to be replaced: its words and their pieces."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hornbook.errors import HornbookError
from hornbook.terms.stop_words import STOP_WORDS

_LETTERS = re.compile("[a-z]+")


@dataclass(frozen=True)
class Reading:
    """A text as the model reads it.

    Attributes:
        words: its words: BERT's basic tokens.
        ids: the model's input with nothing masked: the text twice, as a pair, int32, [length].
        second: where the second text begins in it; its length where that is cut off.
        asked: indices of the words that are one piece and so are asked of the model.
        positions: where each of these stands in the first text of `ids`.
        several: indices of the words that are several pieces and so are looked up among word vectors.
        beyond: how many more words would be asked of the model, but lie beyond what it reads.
    """

    words: list[str]
    ids: NDArray[np.int32]
    second: int
    asked: list[int]
    positions: list[int]
    several: list[int]
    beyond: int


def is_replaceable(word: str) -> bool:
    """Return whether a word may be replaced: only letters a to z, and no stop word, both after lower-casing."""
    lower = word.lower()
    return _LETTERS.fullmatch(lower) is not None and lower not in STOP_WORDS


class Reader:
    """Breaks texts into words and pieces, with the tokenizer of a masked language model.

    Words are broken as BERT's basic tokenizer does, lower-cased and without accents where the model's own tokenizer
    makes them so. Each is then tokenized by itself with a space before it, which for BERT's tokenizers is the same as
    tokenizing the text; others (byte-level BPE, SentencePiece) read every word and sign as if it stood alone.
    """

    def __init__(self, tokenizer: Any, max_length: int, positions: int) -> None:
        """Read with a tokenizer.

        Args:
            tokenizer: a fast one with a mask token.
            max_length: pieces of a text at most.
            positions: tokens of an input at most.
        """
        from tokenizers.normalizers import BertNormalizer
        from tokenizers.pre_tokenizers import BertPreTokenizer

        self._backend = tokenizer.backend_tokenizer
        self._backend.no_truncation()
        self._backend.no_padding()
        normal = self._backend.normalizer.normalize_str if self._backend.normalizer else str
        # Both spelled out, or accents would go with the case.
        self._normalizer = BertNormalizer(lowercase=normal("A") == "a", strip_accents=normal("é").lower() == "e")
        self._split = BertPreTokenizer()
        self._pieces: dict[str, list[int]] = {}
        self._max_length, self._positions = max_length, positions
        self._before, self._between, self._after = _template(tokenizer)

    def words(self, text: str) -> list[str]:
        """Return the words of a text and the signs between them."""
        return [word for word, _ in self._split.pre_tokenize_str(self._normalizer.normalize_str(text))]

    def read(self, text: str) -> Reading:
        """Return a text as the model reads it."""
        words = self.words(text)
        limit = min(self._max_length, self._positions - len(self._before))
        ids: list[int] = []
        asked, positions, several = [], [], []
        beyond = 0
        for index, word in enumerate(words):
            pieces = self._pieces_of(word)
            if not is_replaceable(word):
                pass
            elif len(pieces) > 1:
                several.append(index)
            elif len(ids) < limit:
                asked.append(index)
                positions.append(len(self._before) + len(ids))
            else:
                beyond += 1
            ids += pieces
        ids = ids[: self._max_length]
        second = len(self._before) + len(ids) + len(self._between)
        whole = [*self._before, *ids, *self._between, *ids, *self._after][: self._positions]
        return Reading(words, np.array(whole, np.int32), min(second, len(whole)), asked, positions, several, beyond)

    def vocabulary(self) -> list[str | None]:
        """Return the word that each piece of the vocabulary is, by id; None for pieces that begin no word.

        These are the pieces that carry the tokenizer's mark of a continued word (`##`); where it marks beginnings
        instead (the space of byte-level BPE, the underline of SentencePiece), those without that mark.
        """
        [piece, *_] = self._backend.encode(" a", add_special_tokens=False).tokens
        begins = piece[:-1] if piece.endswith("a") else ""
        continues = getattr(self._backend.model, "continuing_subword_prefix", None)
        words: list[str | None] = []
        for i in range(self._backend.get_vocab_size()):
            piece = self._backend.id_to_token(i)
            if (
                piece is None
                or not piece.startswith(begins)
                or (not begins and continues and piece.startswith(continues))
            ):
                words.append(None)
            else:
                words.append(self._backend.decode([i], skip_special_tokens=False).strip() if begins else piece)
        return words

    def _pieces_of(self, word: str) -> list[int]:
        pieces = self._pieces.get(word)
        if pieces is None:
            pieces = self._pieces[word] = self._backend.encode(f" {word}", add_special_tokens=False).ids
        return pieces


def check_mask(tokenizer: Any, where: str) -> int:
    """Return the id of the tokenizer's mask.

    Args:
        tokenizer: the tokenizer, whose ids the model knows (see `load_tokenizer`).
        where: the model, for messages.

    Raises:
        HornbookError: there is none.
    """
    mask: int | None = tokenizer.mask_token_id
    if mask is None or mask == tokenizer.unk_token_id:
        raise HornbookError(
            f"{where}: its vocabulary has no {tokenizer.mask_token or 'mask token'}, so it is no masked language "
            "model; name another one"
        )
    return mask


def _template(tokenizer: Any) -> tuple[list[int], list[int], list[int]]:
    """Return the special tokens before, between and after the texts of a pair."""
    pair = tokenizer("a", "a", add_special_tokens=True)
    ids, texts = pair["input_ids"], pair.sequence_ids(0)
    first, second = texts.index(0), texts.index(1)
    between = second - texts[second::-1].index(0) + 1
    after = len(texts) - texts[::-1].index(1)
    return ids[:first], ids[between:second], ids[after:]
