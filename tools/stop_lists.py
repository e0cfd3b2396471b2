"""Freeze the stop lists of Lucene 8.7.0 in src/hornbook/terms/stop_lists.

    python tools/stop_lists.py lucene-analyzers-common-8.7.0.jar lucene-analyzers-stempel-8.7.0.jar

The jars are those of Debian's package liblucene8-java 8.8.1. Lists that Lucene lacks, or that hornbook does not take
from it (Greek and Estonian), are written for hornbook; this program leaves them alone.
"""

import re
import sys
import textwrap
import zipfile
from pathlib import Path

from hornbook.terms import terms

LISTS = Path(__file__).parents[1] / "src" / "hornbook" / "terms" / "stop_lists"
SNOWBALL = "Snowball, BSD-3-Clause"
SAVOY = "Jacques Savoy, BSD-3-Clause"
LUCENE = "Apache Lucene, Apache-2.0"

# The file inside the jars, and who wrote it.
SOURCES = {
    "arabic": ("ar/stopwords.txt", SAVOY),
    "armenian": ("hy/stopwords.txt", LUCENE),
    "basque": ("eu/stopwords.txt", LUCENE),
    "catalan": ("ca/stopwords.txt", "cue.language, Apache-2.0"),
    "czech": ("cz/stopwords.txt", LUCENE),
    "hindi": ("hi/stopwords.txt", SAVOY),
    "indonesian": ("id/stopwords.txt", "Fadillah Tala, by Apache Lucene, Apache-2.0"),
    "irish": ("ga/stopwords.txt", LUCENE),
    "lithuanian": ("lt/stopwords.txt", LUCENE),
    "persian": ("fa/stopwords.txt", SAVOY),
    "polish": ("pl/stopwords.txt", "Carrot2, BSD-3-Clause"),
    "romanian": ("ro/stopwords.txt", SAVOY),
    "turkish": ("tr/stopwords.txt", LUCENE),
} | {
    name: (f"snowball/{name}_stop.txt", SNOWBALL)
    for name in (
        *("danish", "dutch", "finnish", "french", "german", "hungarian", "italian", "norwegian", "portuguese"),
        *("russian", "spanish", "swedish"),
    )
}

# Negations, words of judgement, and words that carry a subject.
LEFT_OUT = {
    "arabic": "لا ولا لم ولم لن ولن غير",
    "basque": "ez",
    "catalan": "no ni pas mal tampoc",
    "czech": "ani nic není nejsou nové nový tipy zprávy článku články strana napište neg téma pravé",
    "danish": "ikke",
    "dutch": "niet geen niets",
    "finnish": "en et ei emme ette eivät",
    "french": "ne n pas",
    "german": "nicht nichts kein keine keinem keinen keiner keines",
    "hindi": "न नहीं ना नहिं घर साबुत वर्ग वरग निहायत",
    "hungarian": "ne nem nincs semmi sem jó jól jobban nagy nagyobb nagyon cikk cikkek cikkeket keressünk új újabb",
    "indonesian": """bukan bukankah bukanlah bukannya tidak tidakkah tidaklah tak jangan jangankan janganlah belum
        belumlah enggak enggaknya percuma pantas sepantasnya sepantasnyalah wah waduh setidaknya""",
    "irish": "ní níor nach ná",
    "italian": "non",
    "lithuanian": "nei",
    "norwegian": "ikke ikkje ingen ingi inkje",
    "persian": """هرگز نداشته نبود نكرده نبايد ندارند نشده نمي نيست نخواهد ندارد نه هيچ بهترين مرسي خدمات ميليارد
        ميليون هزار مردم جديد خارج حق اثر جلوگيري بندي كشور فكر""",
    "polish": "nie nic ani ii iii iv vi vii viii ix xi xii xiii xiv xv www vol godz zł ul tel hab inż",
    "portuguese": "não nem",
    "romanian": "nu nici nimeni nicăieri bine bună bucur",
    "russian": "не нет ни ничего никогда нельзя лучше хорошо человек жизнь сказал сказала сказать говорил",
    "spanish": "no ni nada",
    "swedish": "icke inte ej ingen",
    "turkish": "değil hiç hiçbir olmadı olmadığı olmayan olmaz katrilyon trilyon milyar milyon",
}

# Other spellings of the same letters: Persian as Arabic keyboards write it, Romanian with comma below.
SPELLINGS = {"persian": str.maketrans("يك", "یک"), "romanian": str.maketrans("şţ", "șț")}


def main() -> None:
    """Write the lists."""
    jars = [zipfile.ZipFile(path) for path in sys.argv[1:]]
    texts = {name: jar.read(name).decode() for jar in jars for name in jar.namelist() if name.endswith("top.txt")}
    texts |= {name: jar.read(name).decode() for jar in jars for name in jar.namelist() if "stopwords" in name}
    for language, (file, who) in SOURCES.items():
        lines = texts[f"org/apache/lucene/analysis/{file}"].splitlines()
        words = [word.lower().strip(".") for line in lines for word in re.split("[|#]", line)[0].split()]
        same = SPELLINGS.get(language, {})
        words += [word.translate(same) for word in words]
        left_out = {one for word in LEFT_OUT.get(language, "").split() for one in (word, word.translate(same))}
        kept = sorted({word for word in words if terms(word) == [word]} - left_out)
        header = [f"# Source: {who}; in Lucene 8.7.0 as {file}"]
        if left_out:
            header += [f"# Left out: {' '.join(sorted(left_out))}"]
        body = textwrap.wrap(" ".join(kept), 110, break_long_words=False, break_on_hyphens=False)
        (LISTS / f"{language}.txt").write_text("\n".join([*header, *body]) + "\n", "utf-8")


if __name__ == "__main__":
    main()
