"""What holds the documents together."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_index_of_the_log_names_every_section():
    text = (ROOT / "docs" / "log.md").read_text("utf-8")
    headings = [
        re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in re.findall(r"^## (.*)", text, re.M)
    ]
    assert re.findall(r"^\* \[.*?\]\(#(.*?)\)", text, re.M) == headings
