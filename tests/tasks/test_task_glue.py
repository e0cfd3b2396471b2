"""The GLUE table against what the tasks are known to be."""

import pyarrow.parquet as pq
import pytest

from hornbook.errors import HornbookError
from hornbook.tasks.glue import GLUE, glue_average


def test_the_eight_tasks_and_their_metrics():
    assert {name: task.metric for name, task in GLUE.items()} == {
        "mnli": "accuracy",
        "sst2": "accuracy",
        "rte": "accuracy",
        "mrpc": "accuracy",
        "cola": "matthews",
        "stsb": "spearman",
        "qqp": "accuracy",
        "qnli": "accuracy",
    }


def test_single_texts_pairs_and_scores():
    assert [name for name, task in GLUE.items() if task.text_pair is None] == ["sst2", "cola"]
    assert [name for name, task in GLUE.items() if task.kind == "regression"] == ["stsb"]
    assert [name for name, task in GLUE.items() if len(task.labels) == 3] == ["mnli"]


def test_only_mnli_has_a_second_dev():
    assert [name for name, task in GLUE.items() if "dev_mismatched" in task.splits] == ["mnli"]
    assert GLUE["mnli"].splits["dev"] == "validation_matched"
    assert GLUE["rte"].splits == {"train": "train", "dev": "validation"}


@pytest.mark.shared_data
@pytest.mark.parametrize("name", GLUE)
def test_columns_and_labels_are_those_of_the_stored_tasks(shared_data, name):
    folder, task = shared_data / "glue" / name, GLUE[name]
    if not folder.is_dir():
        pytest.skip(f"this GLUE task is not here: no {folder}")
    for stored in task.splits.values():
        table = pq.read_table(folder / f"{stored}.parquet")
        assert {task.text, task.text_pair or task.text, "label"} <= set(table.column_names)
        labels = set(table["label"].to_pylist())
        assert labels == set(range(len(task.labels))) if task.labels else 0 <= min(labels) <= max(labels) <= 5


def test_the_average_is_that_of_all_eight():
    assert glue_average({name: i / 10 for i, name in enumerate(GLUE)}) == pytest.approx(0.35)
    with pytest.raises(HornbookError, match="needs all eight tasks; mnli missing"):
        glue_average({name: 1.0 for name in GLUE if name != "mnli"})
    with pytest.raises(HornbookError, match="wnli: not a GLUE task"):
        glue_average({**dict.fromkeys(GLUE, 1.0), "wnli": 0.5})
