"""Where sentences end in text of another language than English, beside two splitters.

    pip install pysbd sentencex
    apt-get download debian-handbook && dpkg -x debian-handbook_*.deb handbook
    python benchmarks/languages.py german handbook/usr/share/doc/debian-handbook/html/de-DE

The texts are the paragraphs of HTML pages, those in the language. Each mark before a space is a place where a
sentence could end; the table counts where two splitters decide alike.
"""

import argparse
import re
import time
from collections.abc import Callable
from pathlib import Path

from hornbook.corpus.rules import rules_of
from hornbook.corpus.units import split_sentences
from hornbook.languages import LANGUAGES
from hornbook.terms.detection import count_languages
from hornbook.terms.plain import plain

Splitter = Callable[[str], list[str]]


def texts_of(folder: Path, language: str) -> list[str]:
    """Return the distinct paragraphs in a language of the pages in a folder, as plain text."""
    paragraph = re.compile(r'<(p|div class="para")>(.*?)</(?:p|div)>', re.DOTALL)
    found: dict[str, None] = {}
    for page in sorted(folder.glob("*.html")):
        for match in paragraph.finditer(page.read_text("utf-8")):
            text = plain(match[2])
            if " " in text and count_languages([text], "english")[language]:
                found[text] = None
    return list(found)


def ends(text: str, split: Splitter) -> set[int]:
    """Return how many characters other than spaces stand before the end of each sentence but the last."""
    found, before = set(), 0
    for sentence in split(text):
        before += len("".join(sentence.split()))
        found.add(before)
    return found - {before}


def candidates(text: str, marks: str) -> set[int]:
    """Return where a sentence could end, as `ends`."""
    return {
        len("".join(text[: match.start() + 1].split())) for match in re.finditer(rf"[{marks}]\S{{0,2}}(?= )", text)
    }


def splitters(language: str) -> dict[str, Splitter]:
    """Return the splitters by name; those that are not installed are left out."""
    code, rules = LANGUAGES[language], rules_of(language)
    found: dict[str, Splitter] = {"hornbook": lambda text: split_sentences(text, rules)}
    try:
        import sentencex

        found["sentencex"] = lambda text: list(sentencex.segment(code, text))
    except ImportError:
        pass
    try:
        import pysbd

        found["pysbd"] = pysbd.Segmenter(language=code, clean=False).segment
    except (ImportError, ValueError):
        pass
    return found


def main() -> None:
    """Print for each two splitters the share of places where they decide alike, and F1."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("language", choices=LANGUAGES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--texts", type=int, default=2_000)
    parser.add_argument(
        "--show", type=int, default=0, help="show this many differences of hornbook and the next splitter"
    )
    options = parser.parse_args()
    texts = texts_of(options.folder, options.language)
    texts = texts[:: max(1, len(texts) // options.texts)][: options.texts]
    marks = re.escape(rules_of(options.language).ends)
    decided: dict[str, list[set[int]]] = {}
    for name, split in splitters(options.language).items():
        started = time.perf_counter()
        decided[name] = [ends(text, split) for text in texts]
        print(f"{name}: {sum(map(len, decided[name])):,} ends, {time.perf_counter() - started:.1f} s")
    places = [candidates(text, marks) for text in texts]
    total = sum(map(len, places))
    print(f"{len(texts):,} texts, {total:,} places where a sentence could end")
    names = list(decided)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            pairs = list(zip(decided[one], decided[other], strict=True))
            both = sum(len(a & b) for a, b in pairs)
            unlike = sum(len(a ^ b) for a, b in pairs)
            f1 = 2 * both / sum(len(a) + len(b) for a, b in pairs)
            print(f"{one} and {other}: alike at {100 * (1 - unlike / total):.2f}% of the places, F1 {100 * f1:.2f}")
    for text, ours, theirs in zip(texts, *list(decided.values())[:2], strict=True) if len(names) > 1 else ():
        for place in sorted(ours ^ theirs) if options.show > 0 else ():
            options.show -= 1
            seen = [i for i, c in enumerate(text) if not c.isspace()][place - 1] + 1
            print("+" if place in ours else "-", text[max(0, seen - 50) : seen], "¦", text[seen : seen + 30])


if __name__ == "__main__":
    main()
