import pytest

from hornbook.results import AskedOnceResult, ModelResult, Spread, VocabularyResult
from hornbook.results.summary import best_student, remarks, summarise


def row(name: str, seed: int, dev: float, textbook: str | None = None, **more) -> ModelResult:
    measured = {"parameters": 1000, "sentences_per_second": 10.0, "seconds": 1.0, "calibration_error": 0.1}
    measured |= {"share_cut": 0.0, "metric": "accuracy", **more}
    return ModelResult(name=name, seed=seed, dev=dev, test=None, textbook=textbook, **measured)


def test_mean_median_spread_and_share_of_the_teacher_that_taught():
    teachers = [row("teacher", 0, 0.8), row("teacher", 1, 0.9)]
    students = [row("book", seed, dev, "10 units") for seed, dev in ((0, 0.6), (1, 0.7), (2, 0.86))]
    teacher, student = summarise([*teachers, *students])
    assert (student.dev.mean, student.dev.median) == (pytest.approx(0.72), 0.7)
    assert student.dev.spread == pytest.approx(0.131149, rel=1e-4)
    assert student.share_of_teacher == pytest.approx(0.8)
    assert teacher.share_of_teacher == pytest.approx(0.85 / 0.9)
    assert (student.test, student.seeds) == (None, (0, 1, 2))


def test_without_a_teachers_score_there_is_no_share_of_it():
    (student,) = summarise([row("book", 0, 0.6, "10 units")])
    assert student.share_of_teacher is None
    assert student.dev == Spread(0.6, 0.6, None)


@pytest.mark.parametrize(
    ("dev", "said"),
    [
        (0.9, []),
        (0.85, ["gained nothing over the teacher's outputs on the task's own texts: these alone score 85.0 on dev"]),
        (
            0.8,
            [
                "logistic regression on word counts scores 80.0",
                "these alone score 85.0",
            ],
        ),
        (
            0.6,
            [
                "the TF-IDF baseline",
                "gained nothing: the same student scores 70.0 on dev without it",
                "these alone",
            ],
        ),
    ],
)
def test_a_student_that_is_not_worth_its_cost_is_named(dev, said):
    rows = [
        row("book", 0, dev, "10 units"),
        row("undistilled", 0, 0.7),
        row("tf-idf", 0, 0.8),
        row("logits", 0, 0.85),
    ]
    found = remarks(rows)
    assert len(found) == len(said)
    for line, part in zip(found, said, strict=True):
        assert line.startswith("book: ")
        assert part in line


def test_the_credit_of_a_start_is_told_from_that_of_a_textbook():
    distilled, randomly = row("book", 0, 0.6, "10 units"), row("random", 0, 0.7, "10 units")
    missing, gained = remarks([distilled, randomly], "projected")
    assert "from random weights, the student scores 70.0 on dev, this one 60.0" in missing + gained
    assert "student.init: projected): add undistilled to baselines" in missing + gained
    assert not remarks([distilled, row("undistilled", 0, 0.5)], "projected")
    # What began randomly is not what the run is for, however well it scores.
    assert best_student([distilled, randomly]).name == "book"


def test_grids_and_inputs_that_are_cut_are_told():
    grid = ({"batch": 16, "dev": 0.75}, {"batch": 32, "dev": None, "failed": "the loss is nan"})
    rows = [row("teacher", 3, 0.9, share_cut=0.25, grid=grid)]
    assert list(remarks(rows)) == [
        "teacher: 25.0% of the dev inputs are longer than max_length and are truncated",
        "teacher, seed 3: dev scores of the grid: batch 16: 75.0; batch 32: failed",
    ]


def test_a_trimmed_vocabulary_is_stated_in_words():
    rows = [row("book", 0, 0.9, "10 units", parameters=3_190_000, parameters_without_embeddings=1_440_000)]
    assert list(remarks(rows, vocabulary=VocabularyResult(8968, 30522, 25.0, 23.4))) == [
        "vocabulary: 8,968 of 30,522 word pieces; a training text has 25.0 tokens instead of 23.4 (× 1.068); "
        "students have 3.19 M parameters, 1.44 M without embeddings"
    ]


def test_what_the_disk_saved_is_stated_in_words():
    saved = AskedOnceResult(students=3, tokens_read=1200, tokens_asked=400, seconds=61.2, saved_seconds=122.4)
    assert list(remarks([row("book", 0, 0.9, "10 units")], asked_once=saved)) == [
        "distil.cache: the teacher was asked for 400 tokens, which took 61 s; 3 distillations read 1,200 from the "
        "disk, which saved about 122 s"
    ]


def test_what_is_wrong_with_scores_as_a_whole_is_told():
    rows = [row("book", 2, 0.1, "10 units", doubt="predicts 1.5 for every text"), row("tf-idf", 0, 0.0, doubt=None)]
    assert list(remarks(rows)) == ["book, seed 2: predicts 1.5 for every text"]
