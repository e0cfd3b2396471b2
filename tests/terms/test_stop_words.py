import re
from pathlib import Path

import pytest
import Stemmer

from hornbook import languages
from hornbook.errors import HornbookError
from hornbook.languages import LANGUAGES, language_name
from hornbook.terms import Analysis, terms
from hornbook.terms.analysis import stemmer
from hornbook.terms.detection import count_languages, detect, shares
from hornbook.terms.stop_words import STOP_WORDS, stop_words

LISTS = Path(languages.__file__).parent / "terms" / "stop_lists"
OTHERS = sorted(LANGUAGES.keys() - {"english"})
# Negations, and words that judge.
MEANINGFUL = {
    "arabic": "لا لم لن ليس غير جيد سيء",
    "basque": "ez inoiz on txar",
    "catalan": "no mai res bo dolent mal",
    "czech": "ne není nikdy nic dobrý špatný",
    "danish": "ikke aldrig intet god dårlig",
    "dutch": "niet geen nooit niets goed slecht",
    "esperanto": "ne neniu nenio neniam bona malbona",
    "estonian": "ei mitte ära hea halb",
    "finnish": "ei en et emme ette eivät hyvä huono",
    "french": "ne pas jamais rien bon mauvais n'est n'a",
    "german": "nicht kein keine nie nichts niemals gut schlecht",
    "greek": "δεν δε μη μην όχι ποτέ καλός κακός",
    "hindi": "नहीं न मत अच्छा बुरा",
    "hungarian": "nem ne nincs soha semmi jó rossz",
    "indonesian": "tidak bukan jangan tak belum baik buruk",
    "irish": "ní níor nach ná maith olc",
    "italian": "non mai niente nulla buono cattivo",
    "lithuanian": "ne niekada nieko geras blogas",
    "nepali": "छैन होइन राम्रो नराम्रो",
    "norwegian": "ikke aldri ingen ingenting god dårlig",
    "persian": "نه نیست هرگز هیچ خوب بد بهترین",
    "polish": "nie nigdy nic dobry zły",
    "portuguese": "não nunca nada bom mau",
    "romanian": "nu niciodată nimic bun bine rău",
    "russian": "не нет ни никогда ничего хорошо лучше плохо нельзя",
    "serbian": "ne nije nikad ništa dobar loš не није никад ништа добар лош",
    "sesotho": "ha se",
    "spanish": "no nunca nada ni bueno malo",
    "swedish": "inte ej icke aldrig ingen bra dålig",
    "tamil": "இல்லை அல்ல நல்ல கெட்ட",
    "turkish": "değil hiç hiçbir yok iyi kötü",
    "yiddish": "נישט ניט קיין גוט שלעכט",
}
SAMPLES = {
    "german": "Ich weiß nicht, warum er so spät zu der Sitzung kam, aber es war schön, ihn wieder zu sehen.",
    "french": "Je ne sais pas pourquoi il est arrivé si tard à la réunion, mais c'était agréable de le revoir.",
    "hindi": "मुझे नहीं पता कि वह बैठक में इतनी देर से क्यों आया, लेकिन उसे फिर से देखना अच्छा था।",
    "turkish": "Toplantıya neden bu kadar geç geldiğini bilmiyorum ama onu tekrar görmek güzeldi.",
    "russian": "Я не знаю, почему он так поздно пришёл на встречу, но было приятно снова его увидеть.",
    "greek": "Δεν ξέρω γιατί ήρθε τόσο αργά στη συνάντηση, αλλά ήταν ωραίο να τον ξαναδώ.",
    "english": "I do not know why he came to the meeting so late, but it was good to see him again.",
}


def test_the_table_is_of_pystemmers_languages():
    algorithms = set(Stemmer.algorithms()) - {"porter", "dutch_porter"}
    assert algorithms <= LANGUAGES.keys()
    assert len(set(LANGUAGES.values())) == len(LANGUAGES)


@pytest.mark.parametrize("language", OTHERS)
def test_stop_words_are_terms_and_none_denies_or_judges(language):
    words = stop_words(language)
    assert all(terms(word) == [word] for word in words)
    assert not words & set(MEANINGFUL.get(language, "").split())
    header, *rest = (LISTS / f"{language}.txt").read_text("utf-8").splitlines()
    assert re.match("# Source: (written for hornbook$|.*in Lucene 8.7.0 as )", header)
    left_out = {word for line in rest if line.startswith("# Left out: ") for word in line.split()[3:]}
    assert not words & left_out


def test_elided_words_are_stop_words_with_either_apostrophe():
    assert {"qu'il", "qu’il", "d'un", "d’une"} <= stop_words("french")
    assert {"l'ha", "l’ha"} <= stop_words("italian")
    assert not {word for word in stop_words("french") if word.startswith(("n'", "n’"))}


def test_english_is_as_it_was():
    assert stop_words() is stop_words("english") is STOP_WORDS
    assert len(STOP_WORDS) == 342


def test_stems_and_stop_words_of_a_language():
    german = Analysis("german", "drop", "german")
    assert german.terms(["die", "häuser", "und", "hauses", "nicht"]) == [None, "haus", None, "haus", "nicht"]
    assert Analysis("french").query(["l’homme", "hommes"]) == ["homm", "homm"]


def test_a_stemmer_that_is_missing_is_one_line(monkeypatch):
    def missing(name):
        raise KeyError(f"Stemming algorithm '{name}' not found")

    monkeypatch.setattr(Stemmer, "Stemmer", missing)
    with pytest.raises(HornbookError, match=r"PyStemmer \S+ has no stemmer for sesotho; install pystemmer 3.1"):
        stemmer.__wrapped__("sesotho")


def test_names_codes_and_what_is_unknown():
    assert [language_name(name) for name in ("German", "de", "nb", "farsi")] == [
        "german",
        "german",
        "norwegian",
        "persian",
    ]
    with pytest.raises(ValueError, match="the nearest is 'german'"):
        language_name("germna")
    for name in ("japanese", "zh"):
        with pytest.raises(ValueError, match="with spaces"):
            language_name(name)


@pytest.mark.parametrize("language", SAMPLES)
def test_the_language_of_a_sentence(language):
    found, why = detect([SAMPLES[language]], "here")
    assert found == language
    assert "of the words are its stop words" in why
    assert shares([SAMPLES[language]]).most_common(1)[0][0] == language


def test_languages_of_units_are_counted_and_ties_are_the_expected_ones():
    texts = [*SAMPLES.values(), "Xyzzy plugh", ""]
    counts = count_languages(texts, "german")
    assert counts["german"] == 3
    assert counts.total() == len(texts)


@pytest.mark.parametrize(
    ("text", "why"),
    [("会議にどうして遅く来たのか", "without spaces"), ("xyzzy plugh", "no stop word"), ("", "no stop word")],
)
def test_unclear_texts_are_refused_in_one_line(text, why):
    with pytest.raises(HornbookError, match=why) as caught:
        detect([text], "terms.language: auto")
    assert "\n" not in str(caught.value)
