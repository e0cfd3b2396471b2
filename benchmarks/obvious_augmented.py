"""Contextual word replacement one word at a time: what augment.py measures against, and an oracle for the tests.

Written from the description (Jiao et al. 2020, algorithm 1; docs/how-to/textbooks.md) as TinyBERT's script goes about
it: for each word that may be replaced the text is tokenized again, the masked language model runs on this one input
with a head over all positions, and the whole vocabulary is sorted; the cosines of a word of several pieces to all
words of the vectors are computed and sorted by themselves. For BERT's tokenizers.
"""

import random
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


class ObviousAugmenter:
    """Augments one text at a time, one word at a time."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        words: Sequence[str],
        vectors: NDArray[Any],
        stop_words: Collection[str],
        candidates: int = 15,
        variants: int = 20,
        probability: float = 0.4,
        positions: int = 512,
    ) -> None:
        """Take the model, its tokenizer, word vectors ([words, width]) and the settings."""
        self.model, self.tokenizer, self.stop_words = model, tokenizer, stop_words
        self.words = list(words)
        self.rows: Mapping[str, int] = {word: row for row, word in enumerate(self.words)}
        self.unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        self.candidates, self.variants, self.probability = candidates, variants, probability
        self.positions = positions

    def nearest(self, word: str) -> list[str]:
        """Return the words of the greatest cosine, without the word itself."""
        if word not in self.rows:
            return []
        cosines = np.dot(self.unit, self.unit[self.rows[word]])
        cosines[self.rows[word]] = -np.inf
        near = [self.words[row] for row in np.argsort(-cosines)[: self.candidates]]
        return [other.title() for other in near] if word.istitle() else near

    def likeliest(self, text: str, index: int) -> tuple[list[str], list[float]]:
        """Return what the model puts at one piece of a text, with the logits; nothing beyond its positions."""
        first = ["[CLS]", *self.tokenizer.tokenize(text)]
        if index >= self.positions:
            return [], []
        second = [*first[1:], "[SEP]"]
        first[index] = "[MASK]"
        pieces = [*first, "[SEP]", *second][: self.positions]
        types = [int(i > len(first)) for i in range(len(pieces))]
        ids = torch.tensor([self.tokenizer.convert_tokens_to_ids(pieces)])
        logits = self.model(input_ids=ids, token_type_ids=torch.tensor([types])).logits[0, index]
        best = torch.argsort(logits, descending=True)[: self.candidates].tolist()
        found = self.tokenizer.convert_ids_to_tokens(best)
        return [piece for piece in found if not piece.startswith("##")], logits[best].tolist()

    def candidates_of(self, text: str, index: int, word: str) -> list[str]:
        """Return what may stand for the word at this index of a text."""
        places: list[list[int]] = []
        for place, piece in enumerate(self.tokenizer.tokenize(text), start=1):
            if piece.startswith("##"):
                places[-1].append(place)
            else:
                places.append([place])
        pieces = places[index]
        found = self.likeliest(text, pieces[0])[0] if len(pieces) == 1 else self.nearest(word)
        return found or [word]

    def basic_words(self, text: str) -> list[str]:
        """Return BERT's basic tokens of a text."""
        backend = self.tokenizer.backend_tokenizer
        return [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(text))]

    def slots(self, text: str) -> dict[int, list[str]]:
        """Return what may stand for each word that may be replaced, by its index."""
        return {
            index: self.candidates_of(text, index, word)
            for index, word in enumerate(self.basic_words(text))
            if not re.search("[^a-z]", word.lower()) and word.lower() not in self.stop_words
        }

    def augment(self, text: str, draw: random.Random) -> list[str]:
        """Return a text and its variants."""
        words, slots = self.basic_words(text), self.slots(text)
        found = [text]
        for _ in range(self.variants):
            variant = list(words)
            for index, choices in slots.items():
                choice = draw.choice(choices)
                if draw.random() < self.probability:
                    variant[index] = choice
            joined = " ".join(variant)
            if joined not in found:
                found.append(joined)
        return found

    def augment_row(self, texts: Sequence[str], draw: random.Random) -> list[tuple[str, ...]]:
        """Return a row's texts and their variants: each text is varied in turn and left as its last variant."""
        row, rows = list(texts), []
        for column, text in enumerate(texts):
            for variant in self.augment(text, draw):
                row[column] = variant
                rows.append(tuple(row))
        return rows
