"""One way to write a text: composed, without invisible characters, markup and superfluous white space.

Units of a corpus are normalised when it is built. What is compared with them is normalised in the same way: anchors,
a task's texts, dev and test texts.
"""

import html
import re
import unicodedata
from html.entities import html5

# Control characters that are no white space, marks that show nothing (soft hyphen, zero-width space, word joiner,
# byte order mark), and halves of surrogate pairs, which UTF-8 cannot hold. Units of finished corpora lack just these.
UNSEEN = "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b\u2060\ufeff\ud800-\udfff]"
_UNSEEN = re.compile(UNSEEN)
# Unicode's Default_Ignorable_Code_Point (DerivedCoreProperties.txt, Unicode 16), and interlinear annotation marks.
_INVISIBLE = (
    f"{UNSEEN[:-1]}\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200c-\u200f\u202a-\u202e\u2061-\u206f\u3164"
    "\ufe00-\ufe0f\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
_IGNORABLE = re.compile(_INVISIBLE)
# Joiners and selectors are part of how words are written in Persian, Mongolian and others, but not in scripts up to
# Cyrillic.
_STRAY = re.compile(f"(?<=[\0-\u052f]){_INVISIBLE}")

# HTML's elements, with those of older versions, of SVG and of office programs. Inline ones do not part words.
_INLINE = """a abbr acronym b bdi bdo big cite code del dfn em font i ins kbd label mark q s samp small span strike
    strong sub sup tt u var wbr o:p"""
_BLOCK = """address applet area article aside audio base basefont blockquote body br button canvas caption center col
    colgroup data datalist dd details dialog dir div dl dt embed fieldset figcaption figure footer form frame frameset
    h1 h2 h3 h4 h5 h6 head header hgroup hr html iframe img input legend li link main map menu meta meter nav noframes
    noscript object ol optgroup option output p param picture pre progress ruby rp rt script section select slot
    source style summary svg table tbody td template textarea tfoot th thead time title tr track ul video
    circle defs ellipse g lineargradient path polygon polyline rect stop symbol tspan use"""
# Attributes with a value, and those that stand without one: "a <b and c> d" is no tag.
_ATTRIBUTES = r"""(?:\s+(?:[A-Za-z_:@][\w:.-]*\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>=`]+)|allowfullscreen|async|autoplay
    |checked|compact|controls|defer|disabled|hidden|ismap|loop|multiple|muted|noshade|nowrap|open|readonly|required
    |reversed|selected))*\s*/?"""
_FLAGS = re.IGNORECASE | re.VERBOSE


def _tag(names: str) -> str:
    return rf"</?(?:{'|'.join(names.split())}){_ATTRIBUTES}>"


_INLINE_TAG = re.compile(_tag(_INLINE), _FLAGS)
_BLOCK_TAG = re.compile(rf"{_tag(_BLOCK)}|<!doctype[^<>]*>|<\?xml[^<>]*\?>|<!--|<!\[cdata\[", _FLAGS)
_TAG = re.compile(rf"{_INLINE_TAG.pattern}|{_BLOCK_TAG.pattern}", _FLAGS)
# What no reader sees: comments, scripts and style sheets.
_HIDDEN = re.compile(rf"<!--.*?-->|<(script|style){_ATTRIBUTES}>.*?</\1\s*>", _FLAGS | re.DOTALL)
# Also as tokenisers write them (& quot ;), and without their first sign, as news corpora have them (#39;s, quot;).
_ENTITY = re.compile(
    r"&(?:\#(?:\d{1,7}|[xX][0-9a-fA-F]{1,6})|[A-Za-z][A-Za-z0-9]{1,31});|&\s?(?:amp|quot|apos|lt|gt|nbsp|\#\d{2,5})\s;"
    r"|(?<![&\w])(?:\#39|\#34|\#36|quot|nbsp);",
    re.VERBOSE,
)
# An accent that stands alone is an apostrophe; İ and ı are i in all languages but a few; Greek capitals have no
# accents; tatweel only makes an Arabic word longer.
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
# Breaks a phrase, and is no word.
_BREAK = " | "


def normalise(text: str) -> str:
    """Return `text` in Unicode's composed form (NFC), without control characters, with single spaces between words.

    There is no white space at its ends.
    """
    if not text.isprintable():
        text = _UNSEEN.sub("", text)
    elif "  " not in text and text.isascii():
        return text.strip()
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return " ".join(text.split())


def plain(text: str) -> str:
    """Return what a reader sees of `text`, normalised: without HTML's tags, comments and scripts, entities decoded.

    Only names that HTML has are tags: `<user>`, `<3` and `a < b` stay.
    """
    if "<" in text or ";" in text:
        text = without_tags(without_entities(text))
    return normalise(text if text.isascii() else _STRAY.sub("", text))


def folded(text: str) -> str:
    """Return `text` so that texts in which a reader sees the same words are the same.

    Without all that Unicode calls ignorable, without tags, in compatible form (NFKC), without case; an apostrophe is
    `'`, however it is written.
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
    return _ALIKE.sub(lambda found: _SAME[found.group()], text)


def without_tags(text: str) -> str:
    """Return `text` without HTML's tags, comments and scripts; those of blocks part words and phrases."""
    return _BLOCK_TAG.sub(_BREAK, _INLINE_TAG.sub("", _HIDDEN.sub(_BREAK, text))) if "<" in text else text


def without_entities(text: str) -> str:
    """Return `text` with HTML's character references (`&amp;`, `&#39;`) decoded, also those written twice."""
    if ";" not in text:
        return text
    return _ENTITY.sub(_character, _ENTITY.sub(_character, text))


def has_tags(text: str) -> bool:
    """Tell whether `text` holds a tag of HTML."""
    return "<" in text and _TAG.search(text) is not None


def has_entities(text: str) -> bool:
    """Tell whether `text` holds a character reference of HTML."""
    return ";" in text and any(_character(found) != found.group() for found in _ENTITY.finditer(text))


def _character(found: re.Match[str]) -> str:
    name = "".join(found.group().split()).removeprefix("&")
    return html.unescape(f"&{name}") if name[0] == "#" else html5.get(name, found.group())
