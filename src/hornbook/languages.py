"""The table of languages: those with a stop list here and a stemmer in PyStemmer."""

from hornbook.errors import nearest

ENGLISH = "english"
AUTO = "auto"
LANGUAGES = {
    "arabic": "ar",
    "armenian": "hy",
    "basque": "eu",
    "catalan": "ca",
    "czech": "cs",
    "danish": "da",
    "dutch": "nl",
    "english": "en",
    "esperanto": "eo",
    "estonian": "et",
    "finnish": "fi",
    "french": "fr",
    "german": "de",
    "greek": "el",
    "hindi": "hi",
    "hungarian": "hu",
    "indonesian": "id",
    "irish": "ga",
    "italian": "it",
    "lithuanian": "lt",
    "nepali": "ne",
    "norwegian": "no",
    "persian": "fa",
    "polish": "pl",
    "portuguese": "pt",
    "romanian": "ro",
    "russian": "ru",
    "serbian": "sr",
    "sesotho": "st",
    "spanish": "es",
    "swedish": "sv",
    "tamil": "ta",
    "turkish": "tr",
    "yiddish": "yi",
}
"""The name of each language, as PyStemmer spells it, and its code in ISO 639-1."""
WITHOUT_SPACES = {
    "burmese": "my",
    "chinese": "zh",
    "japanese": "ja",
    "khmer": "km",
    "lao": "lo",
    "thai": "th",
    "tibetan": "bo",
}
"""Languages written without spaces between words, which hornbook cannot cut into words."""

_NAMES = {code: name for name, code in LANGUAGES.items()} | {"nb": "norwegian", "nn": "norwegian", "farsi": "persian"}
_UNUSABLE = {code: name for name, code in WITHOUT_SPACES.items()}


def language_name(text: str) -> str:
    """Return the name of a language in `LANGUAGES`.

    Args:
        text: its name or its ISO 639-1 code, in any case.

    Returns:
        the name.

    Raises:
        ValueError: the language is unknown, or written without spaces.
    """
    lower = text.lower()
    name = _NAMES.get(lower, lower)
    if name in LANGUAGES:
        return name
    without = _UNUSABLE.get(lower, lower)
    if without in WITHOUT_SPACES:
        raise ValueError(f"hornbook needs a language written with spaces between words, which {without} is not")
    raise ValueError(f"the languages are {', '.join(LANGUAGES)}; the nearest is {nearest(lower, LANGUAGES)!r}")
