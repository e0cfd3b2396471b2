"""The how-to's code for using a student, run as it stands on a finished run."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # it wants a finished run

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "own-task.md").read_text("utf-8")


def test_the_code_of_the_page_reads_any_text(finished_run):
    (code,) = (one for one in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "pipeline(" in one)
    assert "truncation=True" in code
    names = {}
    exec(code.replace("runs/reviews", str(finished_run)), names)
    for text in ("good film " * 1000, "", {"text": "good film " * 1000, "text_pair": "bad plot"}):
        answer = names["classify"](text)
        assert (answer if isinstance(answer, dict) else answer[0])["label"] in ("positive", "negative")
