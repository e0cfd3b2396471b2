"""The GLUE table against what the tasks are known to be."""

from hornbook.tasks.glue import GLUE


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
