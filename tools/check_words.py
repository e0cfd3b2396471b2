"""Report words of tools/words.txt that stand in the files they must not stand in; exit with 1 if there are any."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SUFFIXES = {".cpp", ".h", ".jinja", ".md", ".py", ".yaml"}
ALLOWED = "words: allow"


def read_sections(text: str) -> list[tuple[list[str], list[tuple[re.Pattern[str], str]]]]:
    """Return, for each section, its files and folders and its patterns with what to write instead."""
    sections: list[tuple[list[str], list[tuple[re.Pattern[str], str]]]] = []
    for line in text.splitlines():
        if line.startswith("["):
            sections.append((line.strip("[]").split(), []))
        elif line and not line.startswith("#"):
            pattern, _, instead = line.partition("\t")
            sections[-1][1].append((re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE), instead))
    return sections


def files_of(places: list[str]) -> list[Path]:
    """Return the text files at some places below the root; a place that is missing has none."""
    found: list[Path] = []
    for place in places:
        path = ROOT / place
        found += [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES)
    return found


def faults_in(path: Path, patterns: list[tuple[re.Pattern[str], str]]) -> list[str]:
    """Return one message for each match in a file."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {match.group()!r}: write {instead}"
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if ALLOWED not in line
        for pattern, instead in patterns
        for match in pattern.finditer(line)
    ]


def main() -> int:
    """Check all files and print the faults."""
    sections = read_sections((ROOT / "tools" / "words.txt").read_text("utf-8"))
    faults = [
        fault for places, patterns in sections for path in files_of(places) for fault in faults_in(path, patterns)
    ]
    print("\n".join(faults) or "words: fine")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
