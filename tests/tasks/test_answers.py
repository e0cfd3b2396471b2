"""A teacher that is a file: its forms, votes, and what is refused."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from hornbook.errors import HornbookError
from hornbook.tasks.answers import read_answers, text_id

TEXTS = ["a good film", "a bad film", "so so"]
SHARES = [[0.1, 0.9], [0.75, 0.25], [0.5, 0.5]]
LABELS = ("bad", "good")


def write(path, rows):
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return path


def table_of(*texts):
    return pa.table({"text": texts, "text_pair": pa.nulls(len(texts), pa.string())})


def shares_of(found, *texts):
    return softmax(found.of(table_of(*texts)), axis=1)


def test_every_form_of_probabilities_says_the_same(tmp_path):
    in_lists = [{"text": t, "probabilities": s} for t, s in zip(TEXTS, SHARES, strict=True)]
    named = [{**row, "probabilities": dict(zip(LABELS, row["probabilities"], strict=True))} for row in in_lists]
    columns = [{"text": row["text"], **row["probabilities"]} for row in named]
    by_id = [{"id": text_id(row["text"]), "probabilities": row["probabilities"]} for row in in_lists]
    predicted = [
        {"text": row["text"], "label": "bad", **{f"probability_{name}": row[name] for name in LABELS}}
        for row in columns
    ]
    forms = [in_lists, named, columns, by_id, predicted]
    files = [write(tmp_path / f"{i}.jsonl", rows) for i, rows in enumerate(forms)]
    pq.write_table(pa.Table.from_pylist(in_lists), tmp_path / "lists.parquet")
    pq.write_table(pa.Table.from_pylist(columns), tmp_path / "columns.parquet")
    lines = [f"{row['text']},{row['bad']},{row['good']}" for row in columns]
    (tmp_path / "columns.csv").write_text("text,bad,good\n" + "\n".join(lines), "utf-8")
    for file in [*files, *tmp_path.glob("*.parquet"), tmp_path / "columns.csv"]:
        found = read_answers(file, "classification", LABELS)
        assert found.labels == LABELS
        np.testing.assert_allclose(shares_of(found, *TEXTS), SHARES, atol=1e-5, err_msg=str(file))


def test_labels_are_certain_and_named_by_the_file_where_the_task_names_none(tmp_path):
    file = write(tmp_path / "hard.jsonl", [{"text": "a", "label": "no"}, {"text": "b", "label": "yes"}])
    found = read_answers(file)
    assert (found.kind, found.labels) == ("classification", ("no", "yes"))
    np.testing.assert_allclose(shares_of(found, "a", " b "), [[1, 0], [0, 1]], atol=2e-6)
    assert np.isnan(found.of(table_of("c"))).all()
    assert np.isnan(found.of(pa.table({"text": ["a"], "text_pair": ["b"]}))).all()


def test_scores_and_sets_of_labels(tmp_path):
    scores = read_answers(write(tmp_path / "s.jsonl", [{"text": "a", "label": 1.5}, {"text": "b", "label": 3}]))
    assert scores.kind == "regression"
    assert scores.of(table_of("a", "b")).tolist() == [[1.5], [3.0]]
    sets = [{"text": "a", "label": ["x", "y"]}, {"text": "b", "label": []}, {"text": "c", "label": ["y"]}]
    found = read_answers(write(tmp_path / "m.jsonl", sets))
    assert (found.kind, found.labels) == ("multilabel", ("x", "y"))
    assert (found.of(table_of("a", "b", "c")) > 0).tolist() == [[True, True], [False, False], [False, True]]


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.floats(0.01, 0.99), st.none() | st.floats(0.1, 9)), min_size=2, max_size=30
    ).filter(lambda rows: len({share > 0.5 for _, share, _ in rows}) == 2)
)
def test_votes_are_averaged_by_their_weights(tmp_path_factory, rows):
    written = [
        {"text": f"text {number}", "probabilities": [1 - share, share]}
        | ({"weight": weight} if weight is not None or number % 2 else {})
        for number, share, weight in rows
    ]
    found = read_answers(write(tmp_path_factory.mktemp("votes") / "v.jsonl", written), labels=LABELS)
    votes = {}
    for number, share, weight in rows:
        votes.setdefault(number, []).append((share, 1 if weight is None else weight))
    for number, given_ in votes.items():
        mean = sum(share * weight for share, weight in given_) / sum(weight for _, weight in given_)
        assert shares_of(found, f"text {number}")[0, 1] == pytest.approx(mean, abs=1e-5)
    assert found.counts == {
        "rows": len(rows),
        "texts": len(votes),
        "votes": sum(len(own) > 1 for own in votes.values()),
        "contradictions": sum(len({share > 0.5 for share, _ in own}) > 1 for own in votes.values()),
        "without_label": 0,
    }


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [{"text": "a", "probabilities": [0.5, 0.5]}, {"text": "b", "probabilities": [0.9, 0.3]}],
            "1 of 2 rows have probabilities that do not add up to 1 but to 1.2 (the first in row 2)",
        ),
        ([{"text": "a", "probabilities": [-0.5, 1.5]}], "1 of 1 rows have numbers that are not probabilities"),
        ([{"text": "a", "probabilities": [1.0]}], "1 of 1 rows are not lists of 2 numbers"),
        ([{"text": "a", "probabilities": {"bad": 1.0}}], "do not name the labels bad, good"),
        (
            [{"text": "a", "label": "bad"}, {"text": "b", "label": "god"}, {"text": "c", "label": "god"}],
            "label 'god' (row 2, 2 such rows) is not among the 2 named labels",
        ),
        ([{"text": "a", "bad": 1.0}], "no column for the label 'good', but one for 'bad'"),
        ([{"text": "a"}], "no column 'label' or 'probabilities', and none for each label (bad, good)"),
        ([{"words": "a", "label": "bad"}], "no column 'text' or 'id'; the columns are words, label"),
        ([{"text": "a", "bad": 0.9, "good": 0.1, "weight": -1}], "1 of 1 weights are not positive numbers"),
        ([{"text": "a", "bad": 0.9, "good": 0.1}], "all rows have the label 'bad'"),
        ([{"text": "a", "label": None}], "no row has a label"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, rows, said):
    with pytest.raises(HornbookError) as error:
        read_answers(write(tmp_path / "bad.jsonl", rows), "classification", LABELS)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_lists_need_names(tmp_path):
    with pytest.raises(HornbookError, match=r"name them in order in task\.label_names"):
        read_answers(write(tmp_path / "x.jsonl", [{"text": "a", "probabilities": [0.5, 0.5]}]))


def test_rows_without_a_label_are_counted_and_left_out(tmp_path):
    rows = [{"text": "a", "label": "bad"}, {"text": "b", "label": None}, {"text": "c", "label": "good"}]
    found = read_answers(write(tmp_path / "x.jsonl", rows), labels=LABELS)
    assert found.counts["without_label"] == 1
    assert "1 rows have no label and are left out" in str(found)
