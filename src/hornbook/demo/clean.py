"""Extract lines of plain English from the files in the wheels: one pure function per format."""

import bz2
import csv
import gzip
import html
import io
import re
from collections.abc import Iterator

_SPACES = re.compile(r"\s+")
_LINK = re.compile(r"(?:https?://|www\.)\S+|\bpic\.twitter\.com/\S+")
_BROKEN = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f�]|Û")
_CONTRACTION = re.compile(r"(\w) ?('(?:s|t|re|ve|ll|d|m)\b)")
_BEFORE = re.compile(r" ([,.;:!?%)\]]+)(?=\s|\"|$)")
_AFTER = re.compile(r"([(\[$£€]) ")
_QUOTED = re.compile(r'" ([^"]*?) "')
_BACKQUOTED = re.compile(r"`` (.*?) ''")
_FENCES = ("----", "....", "////", "|===", "++++", "```")
_NOT_PROSE = re.compile(r"^(?:[=\[:.|+<]|image:|include::|//|ifdef|ifndef|endif)")
_LIST_MARK = re.compile(r"^(?:[*\-.]+|\d+\.|<\d+>|[A-Z]+:)\s+")
_LETTERS_AND_DIGITS = re.compile(r"[\W_]+")
_QUOTE_TEXT = re.compile(r'^\s*-?\s*text:\s*"?(.+?)"?\s*$', re.MULTILINE)
_BOILERPLATE = re.compile(r"^(?:\W*\d*\W*|U\.S\. Department of Justice|.*Attorney Work Product.*|.*\.{5}.*)$")


def letters_and_digits(text: str) -> str:
    """Return the lower-cased letters and digits of a text, to compare texts."""
    return _LETTERS_AND_DIGITS.sub("", text.lower())


def plain(text: str) -> str:
    """Return the text on one line: HTML entities decoded, links removed, white space collapsed."""
    return _SPACES.sub(" ", _LINK.sub(" ", html.unescape(html.unescape(text)))).strip()


def is_intact(text: str) -> bool:
    """Return whether the text has letters and no sign of a broken character encoding."""
    return any(c.isalpha() for c in text) and not _BROKEN.search(text)


def untokenized(text: str) -> str:
    """Undo tokenization (WikiText, TREC): `a @-@ b , c` -> `a-b, c`.

    A free-standing single quote is kept: it may open or close a quotation or mark a genitive.
    """
    text = re.sub(r" @([-,.])@ ", r"\1", text)
    text = _BACKQUOTED.sub(r'"\1"', _QUOTED.sub(r'"\1"', text))
    text = _CONTRACTION.sub(r"\1\2", text)
    return _AFTER.sub(r"\1", _BEFORE.sub(r"\1", text))


def text_lines(data: bytes) -> Iterator[str]:
    """Yield the lines of a text file; invalid UTF-8 becomes a character that `is_intact` rejects."""
    yield from data.decode("utf-8", "replace").splitlines()


def wikitext(data: bytes) -> Iterator[str]:
    """Yield the untokenized paragraphs of a WikiText file (gzip), without headings and unknown words."""
    for line in text_lines(gzip.decompress(data)):
        line = line.strip()
        if line and not line.startswith("= ") and "<unk>" not in line:
            yield untokenized(line)


def questions(data: bytes) -> Iterator[str]:
    """Yield the questions of a TREC file, whose lines are `CLASS:kind question ?`."""
    for line in text_lines(data):
        yield untokenized(line.partition(" ")[2])


def turns(data: bytes) -> Iterator[str]:
    """Yield the turns of a dialogue file, whose lines are tab-separated turns."""
    for line in text_lines(data):
        yield from line.split("\t")


def first_column(data: bytes) -> Iterator[str]:
    """Yield the first tab-separated field of each line."""
    for line in text_lines(data):
        yield line.partition("\t")[0]


def last_column(data: bytes) -> Iterator[str]:
    """Yield the last tab-separated field of each line except the header."""
    lines = text_lines(data)
    next(lines, None)
    for line in lines:
        yield line.rpartition("\t")[2]


def table(data: bytes, column: str, delimiter: str = ",", **wanted: str) -> Iterator[str]:
    """Yield the lines of one column of a CSV file, plain, .gz or .bz2.

    Args:
        data: the file.
        column: the column's name.
        delimiter: the separator of fields.
        wanted: values that other columns must have, by column name.

    Yields:
        Lines of the column's cells.
    """
    for magic, decompress in ((b"\x1f\x8b", gzip.decompress), (b"BZh", bz2.decompress)):
        if data.startswith(magic):
            data = decompress(data)
    csv.field_size_limit(1 << 30)
    for row in csv.DictReader(io.StringIO(data.decode("utf-8", "replace"), newline=""), delimiter=delimiter):
        if all(row[name] == value for name, value in wanted.items()):
            yield from (row[column] or "").splitlines()


def orange_table(data: bytes, column: str, **wanted: str) -> Iterator[str]:
    """Yield the lines of one column of an Orange table, which has two rows of types below the header."""
    names, _, _, *rows = data.splitlines(keepends=True)
    yield from table(names + b"".join(rows), column, delimiter="\t", **wanted)


def paragraphs(data: bytes) -> Iterator[str]:
    """Yield the paragraphs of a hard-wrapped report, separated by empty lines, without page headers and footers."""
    waiting: list[str] = []
    for line in [*text_lines(data), ""]:
        line = line.strip()
        if line and not _BOILERPLATE.match(line):
            waiting.append(line)
        elif not line and waiting:
            yield re.sub(r"(\w)- (?=[a-z])", r"\1", " ".join(waiting))
            waiting = []


def quotations(data: bytes) -> Iterator[str]:
    """Yield the `text:` entries of a YAML list with regular expressions: parts of it are not valid YAML."""
    yield from _QUOTE_TEXT.findall(data.decode("utf-8", "replace"))


def asciidoc(data: bytes) -> Iterator[str]:
    """Yield the prose of an AsciiDoc chapter by line, without headings, code, tables, images, notes and markup."""
    fence = ""
    for line in text_lines(data):
        line = line.strip()
        if fence:
            fence = "" if line.startswith(fence) else fence
        elif line.startswith(_FENCES):
            fence = line[:4].rstrip() if line.startswith(_FENCES[:-1]) else "```"
        elif line and not _NOT_PROSE.match(line):
            yield _without_markup(line)


def _without_markup(line: str) -> str:
    line = _LIST_MARK.sub("", _without_footnotes(line))
    line = re.sub(r"(?:https?|link):\S*?\[([^\]]*)\]", r"\1", line)
    line = re.sub(r"<<[^>]*?(?:,\s*([^>]*))?>>", r"\1", line)
    line = re.sub(r"\[[a-z]+\]#([^#]*)#|[a-z]+:\[([^\]]*)\]", r"\1\2", line)
    return re.sub(r"(?<!\w)([_*`+]{1,2})(\S(?:.*?\S)?)\1(?!\w)", r"\2", line)


def _without_footnotes(line: str) -> str:
    """Remove `footnote:[…]`, whose text may contain brackets."""
    while (start := line.find("footnote:")) >= 0:
        depth, end = 0, len(line)
        for i in range(line.find("[", start), len(line)):
            depth += (line[i] == "[") - (line[i] == "]")
            if depth == 0:
                end = i + 1
                break
        line = line[:start] + line[end:]
    return line
