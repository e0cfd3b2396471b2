"""Speed: what is measured, on which texts, and the table. The processes: test_classifier.py, which has an export."""

import json

import pytest
from rich.console import Console
from tests.export.models import WORDS

from hornbook.errors import HornbookError
from hornbook.inference import benchmark as module
from hornbook.inference.benchmark import benchmark, texts_of_file
from hornbook.recipe import PredictConfig
from hornbook.report.tables.speed import speed_table
from hornbook.results import Speed


@pytest.mark.slow  # a process that loads PyTorch
def test_a_model_that_cannot_be_loaded_is_named(tmp_path):
    with pytest.raises(HornbookError, match="no such"):
        benchmark([tmp_path / "none"], (WORDS, None))


def test_batches_go_round_the_texts():
    texts = (["a", "b", "c"], ["x", "y", "z"])
    assert module._batch(texts, 2, 0) == (["a", "b"], ["x", "y"])
    assert module._batch(texts, 2, 1) == (["c", "a"], ["z", "x"])
    assert module._batch((["a"], None), 3, 5) == (["a", "a", "a"], None)


def test_a_turn_takes_its_time_and_counts_no_first_call(monkeypatch):
    calls = []
    clock = iter(range(1000))
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(module, "_loaded", (lambda first, second: calls.append(first), (["a", "b", "c"], None)))
    assert module._turn(2, 2.5, turn=0) == [1, 1, 1]
    assert calls == [["a"], ["a", "b"], ["a", "b"], ["c", "a"], ["b", "c"]]
    calls.clear()
    assert module._turn(2, 0.5, turn=1) == [1]
    assert calls == [["c", "a"]]
    calls.clear()
    assert module._turn(3, 2.5, turn=0) == [1, 1, 1]  # a call that takes longer than the turn is not made before it
    assert calls == [["a"], ["a", "b", "c"], ["a", "b", "c"], ["a", "b", "c"]]


def test_texts_of_a_file_leave_out_rows_without_text(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [{"body": "w1", "b": "w2"}, {"body": ""}, {"b": "w3"}]))
    assert texts_of_file(str(path), PredictConfig(text="body")) == (["w1"], None)
    assert texts_of_file(str(path), PredictConfig(text="body", text_pair="b")) == (["w1"], ["w2"])
    with pytest.raises(HornbookError, match="no column 'text'; the columns are body, b"):
        texts_of_file(str(path))
    path.write_text('{"text": ""}')
    with pytest.raises(HornbookError, match=r"no row has a text: .* line 1"):
        texts_of_file(str(path))


def test_the_table_says_what_was_measured():
    console = Console(width=120, record=True)
    console.print(speed_table([Speed("model", "int8", 32, 1234.5, 25.9, 31.2, 7.7, 250.4)], threads=2))
    said = console.export_text()
    assert said.startswith("2 threads, tokenizer included")
    assert all(word in said for word in ("model", "int8", "32", "1,234", "25.90", "31.20", "7.7", "250"))
