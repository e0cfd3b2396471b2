"""The prompt: a text with places for the text to label, its pair and the labels."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hornbook.errors import HornbookError, nearest
from hornbook.machine.text_files import read_text

# {{name}} stands for {name} itself; braces around anything else, such as JSON, are plain text.
_PLACE = re.compile(r"\{\{([A-Za-z_]+)\}\}|\{([A-Za-z_]+)\}")
_PLACES = ("text", "text_pair", "labels")


@dataclass(frozen=True)
class Prompt:
    """A checked prompt.

    Attributes:
        template: the text of the file.
        labels: the labels, as {labels} shows them.
        pairs: whether it has a place for a second text.
    """

    template: str
    labels: str
    pairs: bool

    def fill(self, text: str, pair: str | None) -> str:
        """Return the question for a text; braces in the text stay as they are.

        Args:
            text: the text.
            pair: its second text, if the prompt has a place for one.

        Returns:
            the prompt with the texts in their places.
        """
        values = {"text": text, "text_pair": pair or "", "labels": self.labels}
        return _PLACE.sub(lambda found: f"{{{found[1]}}}" if found[1] else values[found[2]], self.template)


def read_prompt(path: Path, labels: Sequence[str]) -> Prompt:
    """Read and check a prompt.

    Args:
        path: the file.
        labels: the labels.

    Returns:
        the prompt.

    Raises:
        HornbookError: it has no {text}, an unknown name in braces, or does not name the labels.
    """
    if not path.is_file():
        raise HornbookError(f"--prompt: {path}: no such file; write a prompt with {{text}} where the text belongs")
    template = read_text(path).strip()
    places = [found[2] for found in _PLACE.finditer(template) if found[2]]
    if odd := next((one for one in places if one not in _PLACES), None):
        near = nearest(odd, _PLACES)
        raise HornbookError(
            f"{path}: {{{odd}}} is unknown; did you mean {{{near}}}? For the word in braces write {{{{{odd}}}}}"
        )
    if "text" not in places:
        raise HornbookError(f"{path}: has no {{text}}; write it where the text to label belongs")
    if "labels" not in places and (unnamed := [one for one in labels if one not in template]):
        raise HornbookError(
            f"{path}: does not name the label {unnamed[0]!r}; name each label, or write {{labels}} for their list"
        )
    return Prompt(template, ", ".join(labels), "text_pair" in places)
