"""Normalisation of text: composed, without invisible characters, markup and superfluous white space.

The units of a corpus are normalised when it is built. Texts that are compared with them (anchors, a task's texts, dev
and test texts) are normalised in the same way.
"""

import html
import re
import unicodedata
from html.entities import html5

# Control characters other than white space, invisible marks (soft hyphen, zero-width space, word joiner, byte order
# mark), and surrogates, which UTF-8 cannot encode. The units of finished corpora lack exactly these.
UNSEEN = "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b\u2060\ufeff\ud800-\udfff]"
_UNSEEN = re.compile(UNSEEN)
# Unicode's Default_Ignorable_Code_Point (DerivedCoreProperties.txt, Unicode 16), and interlinear annotation marks.
_INVISIBLE = (
    f"{UNSEEN[:-1]}\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200c-\u200f\u202a-\u202e\u2061-\u206f\u3164"
    "\ufe00-\ufe0f\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
_IGNORABLE = re.compile(_INVISIBLE)
# Persian, Mongolian and other languages spell words with joiners and selectors; scripts up to Cyrillic do not.
_STRAY = re.compile(f"(?<=[\0-\u052f]){_INVISIBLE}")

# Elements of HTML, its older versions, SVG and office programs. Inline elements do not separate words.
_INLINE = """a abbr acronym b bdi bdo big cite code del dfn em font i ins kbd label mark q s samp small span strike
    strong sub sup tt u var wbr o:p"""
_BLOCK = """address applet area article aside audio base basefont blockquote body br button canvas caption center col
    colgroup data datalist dd details dialog dir div dl dt embed fieldset figcaption figure footer form frame frameset
    h1 h2 h3 h4 h5 h6 head header hgroup hr html iframe img input legend li link main map menu meta meter nav noframes
    noscript object ol optgroup option output p param picture pre progress ruby rp rt script section select slot
    source style summary svg table tbody td template textarea tfoot th thead time title tr track ul video
    circle defs ellipse g lineargradient path polygon polyline rect stop symbol tspan use"""
# Attributes with a value, and known ones without: "a <b and c> d" is not a tag.
_ATTRIBUTES = r"""(?:\s+(?:[A-Za-z_:@][\w:.-]*\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>=`]+)|allowfullscreen|async|autoplay
    |checked|compact|controls|defer|disabled|hidden|ismap|loop|multiple|muted|noshade|nowrap|open|readonly|required
    |reversed|selected))*\s*/?"""
_FLAGS = re.IGNORECASE | re.VERBOSE


def _tag(names: str) -> str:
    return rf"</?(?:{'|'.join(names.split())}){_ATTRIBUTES}>"


_INLINE_TAG = re.compile(_tag(_INLINE), _FLAGS)
_BLOCK_TAG = re.compile(rf"{_tag(_BLOCK)}|<!doctype[^<>]*>|<\?xml[^<>]*\?>|<!--|<!\[cdata\[", _FLAGS)
_TAG = re.compile(rf"{_INLINE_TAG.pattern}|{_BLOCK_TAG.pattern}", _FLAGS)
# Content that is not displayed: comments, scripts and style sheets.
_HIDDEN = re.compile(rf"<!--.*?-->|<(script|style){_ATTRIBUTES}>.*?</\1\s*>", _FLAGS | re.DOTALL)
# Also as tokenizers write them (& quot ;), and without the ampersand, as in news corpora (#39;s, quot;).
_ENTITY = re.compile(
    r"&(?:\#(?:\d{1,7}|[xX][0-9a-fA-F]{1,6})|[A-Za-z][A-Za-z0-9]{1,31});|&\s?(?:amp|quot|apos|lt|gt|nbsp|\#\d{2,5})\s;"
    r"|(?<![&\w])(?:\#39|\#34|\#36|quot|nbsp);",
    re.VERBOSE,
)
# A lone accent is an apostrophe; İ and ı are i in all but a few languages; Greek capitals have no accents; tatweel
# only stretches an Arabic word.
_SAME = {
    " \u0301": "'",
    "i\u0307": "i",
    "ı": "i",
    "œ": "oe",
    "æ": "ae",
    "\u0640": "",
    **dict.fromkeys("`’‘‛ʼʻʹ′", "'"),
}
_SAME |= dict(zip("άέήίόύώΐΰ", "αεηιουωϊϋ", strict=True))
_ALIKE = re.compile("|".join(_SAME))
# It breaks a phrase and is not a word.
_BREAK = " | "


def normalise(text: str) -> str:
    """Normalise a text: composed form (NFC), no control characters, single spaces between words, none at the ends."""
    if not text.isprintable():
        text = _UNSEEN.sub("", text)
    elif "  " not in text and text.isascii():
        return text.strip()
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return " ".join(text.split())


def plain(text: str) -> str:
    """Return the visible text, normalised: HTML tags, comments and scripts removed, character references decoded.

    Only element names of HTML make a tag: `<user>`, `<3` and `a < b` stay.
    """
    if "<" in text or ";" in text:
        text = without_tags(without_entities(text))
    return normalise(text if text.isascii() else _STRAY.sub("", text))


def folded(text: str) -> str:
    """Return a form of `text` that is equal for texts with the same visible words.

    Unicode's ignorable characters and HTML tags are removed, the text is in compatible form (NFKC) and case-folded,
    and every apostrophe is `'`.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _IGNORABLE.sub("", text))
    elif not text.isprintable():
        text = _UNSEEN.sub("", text)
    if "<" in text or ";" in text:
        text = without_tags(without_entities(text))
    if text.isascii():
        return text.lower().replace("`", "'")
    text = unicodedata.normalize("NFKC", _IGNORABLE.sub("", text).casefold())
    return _ALIKE.sub(lambda match: _SAME[match.group()], text)


def without_tags(text: str) -> str:
    """Remove HTML tags, comments and scripts; block elements break words and phrases."""
    return _BLOCK_TAG.sub(_BREAK, _INLINE_TAG.sub("", _HIDDEN.sub(_BREAK, text))) if "<" in text else text


def without_entities(text: str) -> str:
    """Decode HTML character references (`&amp;`, `&#39;`), also doubly encoded ones."""
    if ";" not in text:
        return text
    return _ENTITY.sub(_character, _ENTITY.sub(_character, text))


def has_tags(text: str) -> bool:
    """Return whether `text` contains an HTML tag."""
    return "<" in text and _TAG.search(text) is not None


def has_entities(text: str) -> bool:
    """Return whether `text` contains an HTML character reference."""
    return ";" in text and any(_character(match) != match.group() for match in _ENTITY.finditer(text))


def _character(match: re.Match[str]) -> str:
    name = "".join(match.group().split()).removeprefix("&")
    return html.unescape(f"&{name}") if name[0] == "#" else html5.get(name, match.group())
