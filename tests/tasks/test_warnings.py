"""What is likely a mistake in a task's rows is counted and told, and kept."""

import pytest

from hornbook import tasks
from hornbook.recipe import TaskConfig


def prepared(tmp_path, files, **settings):
    for name, rows in files.items():
        (tmp_path / f"{name}.tsv").write_text("\n".join(["\t".join(map(str, row)) for row in rows]) + "\n", "utf-8")
    return tasks.prepare(TaskConfig(source=str(tmp_path / "train.tsv"), **settings), tmp_path / "task")


def test_repeated_ids_contradictions_and_shared_texts(tmp_path, caplog):
    train = [("id", "text", "label"), *((i, f"text {i}", "yn"[i % 2]) for i in range(20)), (19, "Text  3", "y")]
    dev = [("id", "text", "label"), (0, "TEXT 5", "n"), (1, "another", "y")]
    task = prepared(tmp_path, {"train": train, "dev": dev}, dev=str(tmp_path / "dev.tsv"))
    assert task.counts == {
        "train_rows": 21,
        "dev_rows": 2,
        "train_repeated_ids": 1,
        "train_contradictions": 2,
        "train_in_dev": 1,
    }
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(told) == 3
    assert all(message.endswith("they are kept") for message in told)
    assert any("dev: 1 of 2 texts are in train too" in message for message in told)


def test_markup_and_texts_that_look_the_same_are_told(tmp_path, caplog):
    train = [("text", "label"), *((f"caf\u00e9 {i} <3 <user>", "yn"[i % 2]) for i in range(20))]
    train += [("Cafe\u0301\u00a03 <3 <us\u00ader>", "y"), ("a film.<br />Long", "y"), ("R&amp;D", "n")]
    task = prepared(
        tmp_path, {"train": train, "dev": [("text", "label"), ("x &#39; y", "n")]}, dev=str(tmp_path / "dev.tsv")
    )
    assert task.counts == {"train_rows": 23, "dev_rows": 1, "train_contradictions": 2, "rows_with_markup": 3}
    assert any(
        "3 of 24 rows hold HTML tags or entities (such as <br /> or &amp;)" in line for line in caplog.messages
    )


def test_rows_without_an_id_repeat_none(tmp_path):
    rows = [("idx", "text", "label"), *((i % 18 or "", f"text {i}", "yn"[i % 2]) for i in range(40))]
    # 0, 18 and 36 have none; 1 to 17 come a second time, 1 to 3 a third
    assert prepared(tmp_path, {"train": rows}).counts["train_repeated_ids"] == 20


def test_a_pair_is_shared_only_as_a_whole(tmp_path):
    train = [("text", "other", "label"), *((f"a {i}", f"b {i}", "yn"[i % 2]) for i in range(20))]
    dev = [("text", "other", "label"), ("a 1", "b 2", "y"), ("a 3", "b 3", "n")]
    task = prepared(tmp_path, {"train": train, "dev": dev}, dev=str(tmp_path / "dev.tsv"), text_pair="other")
    assert task.counts["train_in_dev"] == 1


def test_scores_outside_their_range_are_counted(tmp_path, caplog):
    folder = tmp_path / "stsb"
    folder.mkdir()
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"sentence1": [f"a {i}" for i in range(20)], "sentence2": [f"b {i}" for i in range(20)]}
    for split, scores in (("train", [0.5, 5.5, -1.0, *[2.5] * 17]), ("validation", [1.5] * 19 + [5.0])):
        pq.write_table(pa.table({**columns, "label": scores}), folder / f"{split}.parquet")
    task = tasks.prepare(TaskConfig(source="glue/stsb", folder=str(tmp_path)), tmp_path / "task")
    assert task.counts["train_scores_out_of_range"] == 2
    assert "dev_scores_out_of_range" not in task.counts
    assert "glue/stsb: train: 2 scores lie outside 0 to 5; they are kept" in caplog.messages


@pytest.mark.parametrize("side", ["text", "other"])
def test_an_empty_side_of_a_pair_is_an_error(tmp_path, side):
    from hornbook.errors import HornbookError

    row = ("", "b") if side == "text" else ("a", "")
    train = [("text", "other", "label"), *((f"a {i}", f"b {i}", "yn"[i % 2]) for i in range(20)), (*row, "y")]
    with pytest.raises(HornbookError, match=rf"column '{side}': 1 empty text \(the first in row 21\)"):
        prepared(tmp_path, {"train": train}, text_pair="other")


def test_a_score_far_from_all_others_and_a_split_in_another_unit_are_told(tmp_path, caplog):
    train = [("text", "label"), *((f"text {i}", 1e6 if i == 3 else i % 4 + 0.5) for i in range(40))]
    dev = [("text", "label"), *((f"dev {i}", 2e6 + i) for i in range(8))]
    task = prepared(tmp_path, {"train": train, "dev": dev}, dev=str(tmp_path / "dev.tsv"))
    assert task.counts["train_far_scores"] == 1
    assert task.counts["dev_scores_outside_train"] == 8
    assert (
        "1 of 40 scores lie far from the others (such as 1e+06; half of all lie between 1.25 and 2.75)" in caplog.text
    )
    assert "dev: 8 of 8 scores lie outside those of train (0.5 to 1e+06): are both in the same unit?" in caplog.text


def test_usual_scores_raise_no_doubt(tmp_path, caplog):
    train = [("text", "label"), *((f"text {i}", 500 + 7.5 * (i % 40)) for i in range(80))]
    prepared(tmp_path, {"train": train})
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
