"""One answer of a server: a label with its probabilities, a refusal, or nonsense."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from hornbook.labelling.shares import Spellings, shares_of

_LONGEST_KEPT = 300  # characters of an answer that is no label
_OBJECT = re.compile(r"\{[^{}]*\}")

Outcome = Literal["label", "refused", "nonsense", "cut"]


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        outcome: `label`; `refused` by the model or its filter; `nonsense`, no label; `cut` at the longest answer.
        label: the label that was named.
        shares: the probabilities of all labels, None without log-probabilities.
        mass: the probability of an answer that is a label, None without log-probabilities.
        prompt_tokens: tokens of the prompt, None if the server does not count them.
        tokens: tokens of prompt and answer.
        said: the beginning of an answer that is no label.
    """

    outcome: Outcome
    label: str | None = None
    shares: tuple[float, ...] | None = None
    mass: float | None = None
    prompt_tokens: int | None = None
    tokens: int | None = None
    said: str | None = None


def read_answer(payload: Any, spellings: Spellings) -> Answer:
    """Read the body of a chat completion. Nothing is guessed: what is not exactly a label is nonsense.

    Args:
        payload: the parsed body, of any shape.
        spellings: the labels.

    Returns:
        the answer.
    """
    try:
        choice = payload["choices"][0]
        message = choice["message"]
        content = message.get("content") or ""
        refused = message.get("refusal")
    except (KeyError, TypeError, IndexError, AttributeError):
        return Answer("nonsense", said=str(payload)[:_LONGEST_KEPT])
    prompt_tokens, tokens = _used(payload.get("usage"))
    answer = partial(Answer, prompt_tokens=prompt_tokens, tokens=tokens)
    if refused or choice.get("finish_reason") == "content_filter":
        return answer("refused", said=str(refused or content)[:_LONGEST_KEPT])
    content = content if isinstance(content, str) else ""
    label = label_in(content, spellings)
    if label is None:
        cut = choice.get("finish_reason") == "length"
        return answer("cut" if cut else "nonsense", said=content[:_LONGEST_KEPT])
    logprobs = choice.get("logprobs")
    graded = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    found = shares_of(graded, content, spellings, label) if graded else None
    shares, mass = (found.shares, found.mass) if found else (None, None)
    return answer("label", spellings.labels[label], shares, mass)


def label_in(content: str, spellings: Spellings) -> int | None:
    """Return which label an answer is: the whole text, or `label` of its only JSON object; None if it is none."""
    objects = _OBJECT.findall(content)
    if len(objects) == 1:
        try:
            content = json.loads(objects[0])["label"]
        except (ValueError, KeyError):
            return None
    return spellings.find(content) if isinstance(content, str) else None


def _used(usage: Any) -> tuple[int | None, int | None]:
    """Return the tokens of the prompt, and of prompt and answer, if the server counts them."""
    if not isinstance(usage, Mapping):
        return None, None
    prompt, answer = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return (prompt, prompt + answer) if isinstance(prompt, int) and isinstance(answer, int) else (None, None)
