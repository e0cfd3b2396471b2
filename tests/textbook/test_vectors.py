import gzip
import importlib.util
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.errors import HornbookError
from hornbook.textbook.augmentation import vectors as module
from hornbook.textbook.augmentation.vectors import Vectors, read_vectors

LINES = ["the 1 0 0", "Film 0 2 0", ". . . 0 0 5e-1", "film 3 4 0"]


def write(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


@pytest.mark.parametrize("kind", ["txt", "gz", "zst", "word2vec", "no end"])
def test_formats(tmp_path, kind):
    text = "\n".join(["4 3"] * (kind == "word2vec") + LINES) + "\n" * (kind != "no end")
    path = tmp_path / f"vectors.{kind if kind in ('gz', 'zst') else 'txt'}"
    if kind == "gz":
        path.write_bytes(gzip.compress(text.encode()))
    elif kind == "zst":
        with pa.output_stream(str(path), compression="zstd") as file:
            file.write(text.encode())
    else:
        path.write_text(text, "utf-8")
    found = read_vectors(path, 100)
    assert found.words == ["the", "Film", ". . .", "film"]
    assert found.unit.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], pytest.approx([0.6, 0.8, 0])]
    assert "film" in found
    assert "FILM" not in found
    assert read_vectors(path, 2).words == ["the", "Film"]


def test_what_stands_for_no_word_is_left_out(tmp_path):
    lines = ["a 1 0", "<unk> 1 1", "nil 0 0", "b 0 1", "a 0 2", "</s> 1 2"]
    found = read_vectors(write(tmp_path / "v.txt", lines), 100)
    assert found.words == ["b", "a"]
    assert found.nearest(["a", "b"], 5) == [["b"], ["a"]]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            [*LINES, "good 1 2", "bad 1", "dull 1 2 3"],
            r"2 of the 7 lines read are broken; the first is line 5: has 2",
        ),
        ([*LINES, "good 1 2 3 4"], "1 of the 5 lines read are broken; the first is line 5: has more than 3"),
        ([*LINES, "good 1 x 3"], r"1 of the 5 .* line 5: 'x' is not a number"),
        ([*LINES, "good 1 nan 3"], r"line 5: 'nan' is not a number"),
        (["2 3", "good 1 2", "bad 1 2 3"], r"1 of the 2 .* line 2: has 2 numbers, not 3"),
        ([*LINES[:2], "", LINES[3]], "line 3: has 0 numbers, not 3"),
        (["word"], "line 1: has no numbers"),
        (["5 3"], "has no word vectors"),
        ([], "has no word vectors"),
    ],
)
def test_broken_files_are_refused(tmp_path, lines, message):
    path = write(tmp_path / "v.txt", lines)
    with pytest.raises(HornbookError, match=message) as raised:
        read_vectors(path, 100)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


def test_lines_beyond_those_wanted_are_not_looked_at(tmp_path):
    assert len(read_vectors(write(tmp_path / "v.txt", [*LINES, "broken"]), 4).words) == 4
    with pytest.raises(HornbookError, match="no-such"):
        read_vectors(tmp_path / "no-such.txt", 4)


@pytest.fixture(scope="module")
def obvious():
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "obvious_augmented.py"
    spec = importlib.util.spec_from_file_location("obvious_augmented", path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@given(count=st.integers(1, 60), wanted=st.integers(1, 20), at_once=st.integers(1, 300), seed=st.integers(0, 99))
def test_nearest_equals_one_word_at_a_time(obvious, count, wanted, at_once, seed):
    draw = np.random.default_rng(seed)
    words = [f"w{i}" if i % 2 else f"W{i}" for i in range(count)]
    numbers = draw.standard_normal((count, 5))
    unit = (numbers / np.linalg.norm(numbers, axis=1, keepdims=True)).astype(np.float32)
    ours = Vectors(words, unit, {word: row for row, word in enumerate(words)})
    theirs = obvious.ObviousAugmenter(None, None, words, numbers, (), candidates=min(wanted, count - 1))
    asked = random.Random(seed).sample(words, min(count, 7))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MAX_COSINES", at_once)
        assert ours.nearest(asked, wanted) == [theirs.nearest(word) for word in asked]
