"""From the files that the wheels ship to lines of plain English: one function a format, all pure."""

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
_BOILERPLATE = re.compile(r"^(?:\W*\d*\W*|U\.S\. Department of Justice|.*Attorney StageContext Product.*|.*\.{5}.*)$")


def letters_and_digits(text: str) -> str:
    """Return the text lower-cased, letters and digits only: what decides whether two texts are the same."""
    return _LETTERS_AND_DIGITS.sub("", text.lower())


def plain(text: str) -> str:
    """Return the text on one line: HTML entities resolved, links dropped, white space made single spaces."""
    return _SPACES.sub(" ", _LINK.sub(" ", html.unescape(html.unescape(text)))).strip()


def is_intact(text: str) -> bool:
    """Return whether the text holds words and no sign of a broken character encoding."""
    return any(c.isalpha() for c in text) and not _BROKEN.search(text)


def untokenized(text: str) -> str:
    """Return text that was cut into tokens (WikiText, TREC) as it was written: `a @-@ b , c` -> `a-b, c`.

    A free-standing single quote stays as it is: it may open or close a quotation or mark a genitive.
    """
    text = re.sub(r" @([-,.])@ ", r"\1", text)
    text = _BACKQUOTED.sub(r'"\1"', _QUOTED.sub(r'"\1"', text))
    text = _CONTRACTION.sub(r"\1\2", text)
    return _AFTER.sub(r"\1", _BEFORE.sub(r"\1", text))


def text_lines(data: bytes) -> Iterator[str]:
    """Yield the lines of a text file; bytes that are no UTF-8 become a mark that `is_intact` refuses."""
    yield from data.decode("utf-8", "replace").splitlines()


def wikitext(data: bytes) -> Iterator[str]:
    """Yield the paragraphs of a WikiText file (gzip), put back together; no headings, no unknown words."""
    for line in text_lines(gzip.decompress(data)):
        line = line.strip()
        if line and not line.startswith("= ") and "<unk>" not in line:
            yield untokenized(line)


def questions(data: bytes) -> Iterator[str]:
    """Yield the questions of a TREC file: `CLASS:kind question ?` a line."""
    for line in text_lines(data):
        yield untokenized(line.partition(" ")[2])


def turns(data: bytes) -> Iterator[str]:
    """Yield the turns of a dialogue file: tab-separated turns a line."""
    for line in text_lines(data):
        yield from line.split("\t")


def first_column(data: bytes) -> Iterator[str]:
    """Yield the first tab-separated field of each line."""
    for line in text_lines(data):
        yield line.partition("\t")[0]


def last_column(data: bytes) -> Iterator[str]:
    """Yield the last tab-separated field of each line but the first, which names the columns."""
    lines = text_lines(data)
    next(lines, None)
    for line in lines:
        yield line.rpartition("\t")[2]


def table(data: bytes, column: str, delimiter: str = ",", **wanted: str) -> Iterator[str]:
    """Yield the lines of one column of a CSV file, plain, .gz or .bz2.

    Args:
        data: the file.
        column: the column's name.
        delimiter: what stands between fields.
        wanted: the values that other columns must have, by name.
    """
    for magic, decompress in ((b"\x1f\x8b", gzip.decompress), (b"BZh", bz2.decompress)):
        if data.startswith(magic):
            data = decompress(data)
    csv.field_size_limit(1 << 30)
    for row in csv.DictReader(io.StringIO(data.decode("utf-8", "replace"), newline=""), delimiter=delimiter):
        if all(row[name] == value for name, value in wanted.items()):
            yield from (row[column] or "").splitlines()


def orange_table(data: bytes, column: str, **wanted: str) -> Iterator[str]:
    """Yield the lines of one column of an Orange table, which has two rows of types below the names."""
    names, _, _, *rows = data.splitlines(keepends=True)
    yield from table(names + b"".join(rows), column, delimiter="\t", **wanted)


def paragraphs(data: bytes) -> Iterator[str]:
    """Yield the paragraphs of a hard-wrapped report, which end at empty lines; page furniture is dropped."""
    waiting: list[str] = []
    for line in [*text_lines(data), ""]:
        line = line.strip()
        if line and not _BOILERPLATE.match(line):
            waiting.append(line)
        elif not line and waiting:
            yield re.sub(r"(\w)- (?=[a-z])", r"\1", " ".join(waiting))
            waiting = []


def quotations(data: bytes) -> Iterator[str]:
    """Yield the `text:` entries of a YAML list, which is not valid YAML throughout."""
    yield from _QUOTE_TEXT.findall(data.decode("utf-8", "replace"))


def asciidoc(data: bytes) -> Iterator[str]:
    """Yield the prose of an AsciiDoc chapter line by line: no headings, code, tables, images, notes, markup."""
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
    """Drop `footnote:[…]`, whose text may hold brackets of its own."""
    while (start := line.find("footnote:")) >= 0:
        depth, end = 0, len(line)
        for i in range(line.find("[", start), len(line)):
            depth += (line[i] == "[") - (line[i] == "]")
            if depth == 0:
                end = i + 1
                break
        line = line[:start] + line[end:]
    return line
