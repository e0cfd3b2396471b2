"""Probabilities of labels from the log-probabilities of the tokens of one answer.

A label may be several tokens, and a token may hold the end of what precedes the label, or half a character. So
everything is compared as bytes: at each token, what is there so far with each alternative in the token's place either
begins some labels or none. The model's other spellings of a label (case, white space, quotes before it) count for it.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_BEFORE = b" \t\r\n\"'*`"  # what models write before a label


@dataclass(frozen=True)
class Shares:
    """The probabilities of the labels.

    Attributes:
        shares: one probability per label; they add up to 1.
        mass: the probability of an answer that is a label; the shares are relative to it.
    """

    shares: tuple[float, ...]
    mass: float


class Spellings:
    """How labels may be spelt in an answer.

    Args:
        labels: the labels. Unless two differ by case alone, case is ignored.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self._folds = len({label.casefold() for label in labels}) == len(labels)
        escaped = [{label, json.dumps(label)[1:-1], json.dumps(label, ensure_ascii=False)[1:-1]} for label in labels]
        self._forms = [tuple({self._fold(form.encode()) for form in forms}) for forms in escaped]

    def find(self, text: str) -> int | None:
        """Return which label a whole text is, None if it is none."""
        strip = _BEFORE.decode() + "."
        exact = next((i for i, label in enumerate(self.labels) if text.strip() == label), None)
        value = self._fold(text.strip(strip).encode("utf-8", "surrogatepass"))
        return next((i for i, forms in enumerate(self._forms) if value in forms), None) if exact is None else exact

    def begun(self, value: bytes, *, whole: bool = False) -> frozenset[int]:
        """Return the labels that a beginning of an answer may become, or has become.

        Args:
            value: the bytes from where the label begins.
            whole: if the value is a label, return this one alone, although others begin so.

        Returns:
            their indices: all of them for nothing but white space, none for what is no label.
        """
        value = self._fold(value.lstrip(_BEFORE))
        pairs = [(i, form) for i, forms in enumerate(self._forms) for form in forms]
        if whole and (exact := {i for i, form in pairs if form == value}):
            return frozenset(exact)
        if open_ := {i for i, form in pairs if form.startswith(value)}:
            return frozenset(open_)
        ended = [(len(form), i) for i, form in pairs if value.startswith(form) and _ends(value[len(form) :])]
        return frozenset({max(ended)[1]} if ended else ())

    def _fold(self, value: bytes) -> bytes:
        """Ignore case; half a character at the end stays."""
        if not self._folds:
            return value
        return value.decode("utf-8", "surrogateescape").casefold().encode("utf-8", "surrogateescape")


def shares_of(tokens: Sequence[Mapping[str, Any]], content: str, spellings: Spellings, label: int) -> Shares | None:
    """Return the probabilities of all labels, from the alternatives to each token of an answer.

    The probability of an alternative with which exactly one label can begin belongs to this label. Where several
    can, how they share it is unknown: each gets the same part. At each token, shares are relative to what can become
    a label, as they are for a server that restricts answers to the labels.

    Args:
        tokens: the `logprobs.content` of an OpenAI-compatible answer.
        content: the text of the answer.
        spellings: the labels.
        label: the label that the answer is.

    Returns:
        the probabilities; None if the tokens do not fit the text or lack alternatives.
    """
    try:
        places = [_place(token) for token in tokens]
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    data = b"".join(chosen for chosen, _ in places)
    start = _value_start(data, content)
    if start is None:
        return None
    shares, left, mass = [0.0] * len(spellings.labels), 1.0, 1.0
    for before, chosen, options in _reaching(data, places, start):
        sets = {option: _labels_with(data, before, option, start, spellings, option != chosen) for option in options}
        neutral = sum(p for o, p in options.items() if o != chosen and len(sets[o]) == len(shares))
        usable = {o: p for o, p in options.items() if o == chosen or 0 < len(sets[o]) < len(shares)}
        on = sum(usable.values())
        if len(sets[chosen]) == len(shares) and len(usable) == 1:
            continue  # what precedes the label
        if label not in sets[chosen] or on <= 0:
            return None
        mass *= min(on / max(1 - neutral, on), 1.0)
        for option, p in usable.items():
            for i in sets[option] if option != chosen else ():
                shares[i] += left * p / on / len(sets[option])
        left *= options[chosen] / on
        if len(sets[chosen]) == 1:
            break
    shares[label] += left
    return Shares(tuple(shares), mass)


def _place(token: Mapping[str, Any]) -> tuple[bytes, dict[bytes, float]]:
    """Return the bytes of a token, and the probability of each alternative, itself included."""
    chosen = _bytes(token)
    options = {_bytes(one): _probability(one) for one in token["top_logprobs"]}
    options.setdefault(chosen, _probability(token))
    return chosen, options


def _bytes(token: Mapping[str, Any]) -> bytes:
    own = token.get("bytes")
    return bytes(own) if own is not None else str(token["token"]).encode("utf-8", "surrogatepass")


def _probability(token: Mapping[str, Any]) -> float:
    p = math.exp(min(float(token["logprob"]), 0.0))
    if math.isnan(p):
        raise ValueError("not a log-probability")
    return p


def _value_start(data: bytes, content: str) -> int | None:
    """Return where the label begins: the text, or in JSON the value; tokens may precede and follow the text."""
    text = content.encode("utf-8", "surrogatepass")
    begins = data.rfind(text)
    if begins < 0 or not text:
        return None
    if not text.rstrip(b"` \n").endswith(b"}"):
        return begins
    key = text.rfind(b'"label"')
    quote = text.find(b'"', text.find(b":", key)) if key >= 0 else -1
    return begins + quote + 1 if quote >= 0 else None


def _reaching(
    data: bytes, places: Sequence[tuple[bytes, dict[bytes, float]]], start: int
) -> Iterator[tuple[int, bytes, dict[bytes, float]]]:
    """Yield the offset, the token and its alternatives, from the token with which the label's place is reached."""
    offset = 0
    for chosen, options in places:
        if offset + len(chosen) >= start and chosen:
            yield offset, chosen, options
        offset += len(chosen)


def _labels_with(
    data: bytes, before: int, option: bytes, start: int, spellings: Spellings, whole: bool
) -> frozenset[int]:
    """Return the labels that are possible with an alternative in a token's place."""
    gap = data[before:start]  # of the token that reaches the label: what precedes the label
    if not option.startswith(gap):
        return spellings.begun(b"")  # another way to lead up to the label, which says nothing about it
    return spellings.begun(data[start:before] + option[len(gap) :], whole=whole)


def _ends(rest: bytes) -> bool:
    """Return whether a word has ended before the rest of an answer."""
    return not rest[:1].isalnum() and rest[:1] < b"\x80"
