"""What questions cost in tokens: an estimate before the first answer, then by what answers have cost."""

from dataclasses import dataclass

from hornbook.labelling.answer import Answer

CHARACTERS_PER_TOKEN = 4.0
"""Of English text; other languages and scripts need more tokens."""
_AROUND_LABEL = 10  # tokens of {"label": "…"} and the end of the answer


@dataclass
class Cost:
    """Counts tokens and estimates those to come.

    Attributes:
        longest_label: characters of the longest label.
        calls: answered calls.
        spent: their tokens; where a server does not count them, the estimate.
    """

    longest_label: int
    calls: int = 0
    spent: float = 0.0
    _characters: int = 0
    _prompt_tokens: int = 0
    _answer_tokens: int = 0
    _counted: int = 0

    def estimate(self, prompt: str) -> float:
        """Return about how many tokens a question and its answer take."""
        if not self._counted:
            return len(prompt) / CHARACTERS_PER_TOKEN + self.longest_label / CHARACTERS_PER_TOKEN + _AROUND_LABEL
        return len(prompt) * self._prompt_tokens / self._characters + self._answer_tokens / self._counted

    def add(self, prompt: str, answer: Answer) -> None:
        """Count an answer."""
        self.calls += 1
        if answer.tokens is None or not answer.prompt_tokens:
            self.spent += self.estimate(prompt)
            return
        self.spent += answer.tokens
        self._characters += len(prompt)
        self._prompt_tokens += answer.prompt_tokens
        self._answer_tokens += answer.tokens - answer.prompt_tokens
        self._counted += 1

    @property
    def basis(self) -> str:
        """How the estimate is made."""
        if self._counted:
            return f"by the tokens of {self._counted:,} answers"
        return f"at {CHARACTERS_PER_TOKEN:.0f} characters per token; other languages than English need more"
