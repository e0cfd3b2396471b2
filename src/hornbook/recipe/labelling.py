"""Settings of labels from a language model."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from hornbook.recipe.settings import NOT_IN_KEY, Count, Settings, names_as_text

__all__ = [
    "LabelConfig",
]


def _usable(labels: tuple[str, ...]) -> tuple[str, ...]:
    if len(labels) < 2:
        raise ValueError("name at least two labels")
    if len(set(labels)) < len(labels):
        raise ValueError("names a label twice")
    if odd := next((one for one in labels if one != one.strip() or not one), None):
        raise ValueError(f"{odd!r} is empty or has white space around it")
    if taken := next((one for one in labels if one in ("text", "text_pair", "label")), None):
        raise ValueError(f"{taken!r} is the name of a column of the result; rename this label")
    return labels


class LabelConfig(Settings):
    """Labels from a language model behind an OpenAI-compatible address."""

    labels: Annotated[tuple[str, ...], BeforeValidator(names_as_text), AfterValidator(_usable)]
    """The labels, in the order of the classes: `[bad, good]`."""
    text: str | None = None
    """The column with the text. Default: `text` or `sentence`."""
    text_pair: str | None = None
    """The column with the second text of a pair. Default: `text_pair`, if the prompt has {text_pair}."""
    bad_rows: Literal["fail", "skip"] = "fail"
    """What to do with a row that cannot be read or has no text: `fail`, or `skip` it and say how many there were."""
    answer: Literal["auto", "enum", "text"] = "auto"
    """How the model answers: `enum`, JSON that the server restricts to the labels; `text`, the bare label; `auto`:
    enum, or text where the server refuses it."""
    probabilities: Literal["auto", "logprobs", "samples"] = "auto"
    """Where probabilities come from: `logprobs`, the server's log-probabilities; `samples`, how often each label is
    the answer; `auto`: logprobs, or samples where the server gives none."""
    samples: Count = Field(default=5, ge=1)
    """Answers to each text, where probabilities come from samples; each is a call."""
    temperature: float = Field(default=1.0, ge=0, le=2)
    """Temperature of samples. With `probabilities: logprobs` it is 0."""
    top_logprobs: Count = Field(default=20, ge=1, le=20)
    """Log-probabilities of this many tokens at each place. Some servers allow fewer."""
    answer_tokens: Count = Field(default=64, ge=1)
    """The most tokens of an answer. A model that reasons first needs thousands."""
    at_once: Count = Field(default=8, ge=1, le=1000, json_schema_extra=NOT_IN_KEY)
    """Number of calls at the same time."""
    most_calls: Count | None = Field(default=None, ge=1, json_schema_extra=NOT_IN_KEY)
    """Stop after this many answered calls; those of earlier runs for the same rows count."""
    most_tokens: Count | None = Field(default=None, ge=1, json_schema_extra=NOT_IN_KEY)
    """Stop after this many tokens, of prompts and answers; those of earlier runs for the same rows count."""
    timeout: float = Field(default=120, gt=0, json_schema_extra=NOT_IN_KEY)
    """Seconds that a call may take in all."""
    longest_wait: float = Field(default=120, gt=0, json_schema_extra=NOT_IN_KEY)
    """The longest wait in seconds that a server may demand (Retry-After); the run stops where it demands more."""
    patience: float = Field(default=600, ge=0, json_schema_extra=NOT_IN_KEY)
    """The run stops where a call has failed for this many seconds."""
