"""What a server understands of a request, and the request in its words.

Servers differ: some refuse `response_format` or `logprobs`, reasoning models refuse `temperature` and `max_tokens`. A
refusal (400, 422 or 501) is answered by leaving out what it names, else by leaving out one thing after the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from hornbook.recipe import LabelConfig

REFUSED = (400, 422, 501)


@dataclass(frozen=True)
class Dialect:
    """What is asked for in a request.

    Attributes:
        enum: JSON that the server restricts to the labels, not a bare label.
        logprobs: log-probabilities.
        length: the name of the limit of an answer's length.
        temperature: a temperature.
    """

    enum: bool
    logprobs: bool
    length: str = "max_tokens"
    temperature: bool = True


def first_dialect(config: LabelConfig) -> Dialect:
    """Return what is tried first: all that the settings allow."""
    return Dialect(enum=config.answer != "text", logprobs=config.probabilities != "samples")


def without(dialect: Dialect, refusal: str, config: LabelConfig) -> Iterator[tuple[Dialect, str]]:
    """Yield what to try after a refusal, what the refusal names first, and never what the settings demand.

    Args:
        dialect: what was refused.
        refusal: the server's message.
        config: the settings.

    Yields:
        another dialect, and in words what it does.
    """
    ways: list[tuple[tuple[str, ...], Dialect, str]] = []
    if dialect.length == "max_tokens":
        other = replace(dialect, length="max_completion_tokens")
        ways.append((("max_tokens", "max_completion_tokens"), other, "the limit is called max_completion_tokens"))
    if dialect.temperature:
        ways.append((("temperature",), replace(dialect, temperature=False), "the temperature is the model's own"))
    if dialect.logprobs and config.probabilities == "auto":
        said = f"probabilities from {config.samples} samples per text"
        ways.append((("logprob",), replace(dialect, logprobs=False), said))
    if dialect.enum and config.answer == "auto":
        named = ("response_format", "json_schema", "schema", "grammar", "guided", "structured")
        ways.append((named, replace(dialect, enum=False), "the answer is text, not restricted to the labels"))
    by_name = sorted(ways, key=lambda way: not any(word in refusal.lower() for word in way[0]))
    yield from ((other, said) for _, other, said in by_name)


def request(dialect: Dialect, prompt: str, model: str, config: LabelConfig) -> dict[str, Any]:
    """Return the body of a request.

    Args:
        dialect: what the server understands.
        prompt: the question.
        model: the name of the model.
        config: the settings.

    Returns:
        the arguments of a chat completion.
    """
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        dialect.length: config.answer_tokens,
    }
    if dialect.temperature:
        body["temperature"] = 0.0 if config.probabilities == "logprobs" else config.temperature
    if dialect.logprobs:
        body |= {"logprobs": True, "top_logprobs": config.top_logprobs}
    if dialect.enum:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "label", "strict": True, "schema": _schema(config.labels)},
        }
    return body


def _schema(labels: tuple[str, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"label": {"type": "string", "enum": list(labels)}},
        "required": ["label"],
        "additionalProperties": False,
    }
