"""Tokenization for a masked language model that replaces words: the words of a text and their tokens."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hornbook.errors import HornbookError
from hornbook.languages import ENGLISH
from hornbook.terms.stop_words import stop_words
from hornbook.terms.words import LETTER, MARKS

_ENGLISH_LETTERS = re.compile("[a-z]+")
_LETTERS = re.compile(f"(?:{LETTER}[{MARKS}]*)+")


@dataclass(frozen=True)
class TokenizedText:
    """A text as the model gets it.

    Attributes:
        words: the words: BERT's basic tokens.
        ids: the model's input without masks: the text twice, as a pair, int32, [length].
        second: the start of the second text in `ids`; the length if it is cut off.
        masked: indices of the words of one token, which the model predicts.
        positions: the position of each of these in the first text of `ids`.
        split: indices of the words of several tokens, which are looked up among word vectors.
        truncated: the number of words of one token past the model's limit.
    """

    words: list[str]
    ids: NDArray[np.int32]
    second: int
    masked: list[int]
    positions: list[int]
    split: list[int]
    truncated: int


class MaskedLMTokenizer:
    """Splits texts into words and tokens with the tokenizer of a masked language model.

    Words are split as by BERT's basic tokenizer, lower-cased and without accents if the model's own tokenizer does
    that. Each word is then tokenized by itself with a space before it. For BERT's tokenizers that equals tokenizing
    the text; others (byte-level BPE, SentencePiece) see every word and punctuation mark after a space.

    Args:
        tokenizer: a fast tokenizer with a mask token.
        max_length: maximum tokens per text.
        positions: maximum tokens per input, special tokens included.
        language: the language of the texts.
    """

    def __init__(self, tokenizer: Any, max_length: int, positions: int, language: str = ENGLISH) -> None:
        from tokenizers.normalizers import BertNormalizer
        from tokenizers.pre_tokenizers import BertPreTokenizer

        self._backend = tokenizer.backend_tokenizer
        self._backend.no_truncation()
        self._backend.no_padding()
        normal = self._backend.normalizer.normalize_str if self._backend.normalizer else str
        # Both given, or lower-casing would strip accents too.
        self._normalizer = BertNormalizer(lowercase=normal("A") == "a", strip_accents=normal("é").lower() == "e")
        self._split = BertPreTokenizer()
        self._tokens: dict[str, list[int]] = {}
        self._max_length, self._positions = max_length, positions
        self._letters = _ENGLISH_LETTERS if language == ENGLISH else _LETTERS
        # As written, and as the words of a text arrive from the normalizer, which may strip accents.
        stop = stop_words(language)
        self._stop_words = stop | {self._normalizer.normalize_str(word) for word in stop}
        self._before, self._between, self._after = _template(tokenizer)

    def words(self, text: str) -> list[str]:
        """Return the words and punctuation marks of a text."""
        return [word for word, _ in self._split.pre_tokenize_str(self._normalizer.normalize_str(text))]

    def is_replaceable(self, word: str) -> bool:
        """Return whether a word may be replaced: it has only letters and is not a stop word, ignoring case.

        In English texts only words of the letters a to z may be replaced, as in TinyBERT's script.
        """
        lower = word.lower()
        return self._letters.fullmatch(lower) is not None and lower not in self._stop_words

    def tokenize(self, text: str) -> TokenizedText:
        """Return a text as the model gets it."""
        words = self.words(text)
        limit = min(self._max_length, self._positions - len(self._before))
        ids: list[int] = []
        masked, positions, split = [], [], []
        truncated = 0
        for index, word in enumerate(words):
            tokens = self._tokens_of(word)
            if not self.is_replaceable(word):
                pass
            elif len(tokens) > 1:
                split.append(index)
            elif len(ids) < limit:
                masked.append(index)
                positions.append(len(self._before) + len(ids))
            else:
                truncated += 1
            ids += tokens
        ids = ids[: self._max_length]
        second = len(self._before) + len(ids) + len(self._between)
        whole = [*self._before, *ids, *self._between, *ids, *self._after][: self._positions]
        second = min(second, len(whole))
        return TokenizedText(words, np.array(whole, np.int32), second, masked, positions, split, truncated)

    def vocabulary(self) -> list[str | None]:
        """Return the word of each token of the vocabulary, by id; None for tokens that do not start a word.

        These are the tokens with the prefix of continued words (`##`). If the tokenizer marks starts of words instead
        (the space of byte-level BPE, the underscore of SentencePiece), they are the tokens without that mark.
        """
        [token, *_] = self._backend.encode(" a", add_special_tokens=False).tokens
        start = token[:-1] if token.endswith("a") else ""
        continued = getattr(self._backend.model, "continuing_subword_prefix", None)
        words: list[str | None] = []
        for i in range(self._backend.get_vocab_size()):
            token = self._backend.id_to_token(i)
            if (
                token is None
                or not token.startswith(start)
                or (not start and continued and token.startswith(continued))
            ):
                words.append(None)
            else:
                words.append(self._backend.decode([i], skip_special_tokens=False).strip() if start else token)
        return words

    def _tokens_of(self, word: str) -> list[int]:
        tokens = self._tokens.get(word)
        if tokens is None:
            tokens = self._tokens[word] = self._backend.encode(f" {word}", add_special_tokens=False).ids
        return tokens


def check_mask(tokenizer: Any, where: str) -> int:
    """Return the id of the tokenizer's mask token.

    Args:
        tokenizer: the tokenizer; the model has an embedding for each of its ids (see `load_tokenizer`).
        where: the model, for messages.

    Returns:
        The token id, which replaces a word to predict.

    Raises:
        HornbookError: there is no mask token.
    """
    mask: int | None = tokenizer.mask_token_id
    if mask is None or mask == tokenizer.unk_token_id:
        raise HornbookError(
            f"{where}: its vocabulary has no {tokenizer.mask_token or 'mask token'}, so it is not a masked "
            "language model; choose another model"
        )
    return mask


def _template(tokenizer: Any) -> tuple[list[int], list[int], list[int]]:
    """Return the special tokens before, between and after the two texts of a pair."""
    pair = tokenizer("a", "a", add_special_tokens=True)
    ids, texts = pair["input_ids"], pair.sequence_ids(0)
    first, second = texts.index(0), texts.index(1)
    between = second - texts[second::-1].index(0) + 1
    after = len(texts) - texts[::-1].index(1)
    return ids[:first], ids[between:second], ids[after:]
