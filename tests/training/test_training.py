"""Fine-tuning, distillation and going on after a stop, on a model of 2 layers by 32."""

import json
from contextlib import contextmanager
from itertools import chain, repeat
from pathlib import Path
from types import SimpleNamespace

import pyarrow.csv
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForSequenceClassification, TrainerCallback

from hornbook import corpus, tasks, textbook
from hornbook.errors import HornbookError
from hornbook.machine import progress as progress_module
from hornbook.recipe import (
    AdaptConfig,
    CorpusConfig,
    DistilConfig,
    FinetuneConfig,
    GeneralConfig,
    StudentConfig,
    TaskConfig,
)
from hornbook.store import Artifact
from hornbook.training import callbacks as callbacks_module
from hornbook.training import distil as distil_module
from hornbook.training import finetune as finetune_module
from hornbook.training import trainer as trainer_module
from hornbook.training.checkpoints import bytes_needed
from hornbook.training.distil import distil, snapshot, undistilled_student
from hornbook.training.finetune import adapt, finetune
from hornbook.training.tokens import encode_textbook

STUDENT = StudentConfig(layers=1, hidden=16, heads=2)


@pytest.fixture(scope="module")
def task(tmp_path_factory, reviews) -> Artifact:
    return tasks.prepare(TaskConfig(source=str(reviews)), tmp_path_factory.mktemp("t") / "task")


@pytest.fixture(scope="module")
def book(tmp_path_factory, general_text) -> Artifact:
    folder = tmp_path_factory.mktemp("b")
    units = corpus.build(CorpusConfig(sources=(str(general_text),)), folder / "corpus")
    return textbook.build(GeneralConfig(units=300), corpus=units, out=folder / "book")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory, tiny_teacher, task) -> Artifact:
    config = FinetuneConfig(epochs=4, learning_rate=5e-3, batch=8)
    return finetune(str(tiny_teacher), task, tmp_path_factory.mktemp("m") / "teacher", config)


def weights(artifact: Artifact) -> dict[str, torch.Tensor]:
    return load_file(artifact.path / "model.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_teacher_learns_its_task_and_keeps_its_best_pass(teacher):
    log = pyarrow.csv.read_csv(teacher.path / "log.csv")
    scores = [score for score in log["score"].to_pylist() if score is not None]
    assert len(scores) == 4
    assert teacher.info["best_dev"] == pytest.approx(max(scores)) == 1.0
    model = AutoModelForSequenceClassification.from_pretrained(teacher.path)
    assert model.config.id2label == {0: "negative", 1: "positive"}
    assert not list(teacher.path.glob("*.bin"))
    assert not list(teacher.path.glob("checkpoint*"))


def test_same_seed_same_bytes_other_seed_others(tmp_path, tiny_teacher, task):
    config = FinetuneConfig(epochs=1)
    a, b, c = (
        weights(finetune(str(tiny_teacher), task, tmp_path / name, config, seed=seed))
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert same(a, b)
    assert not same(a, c)


def test_distillation_lowers_the_relation_loss_and_leaves_a_student(tmp_path, teacher, book, task):
    config = DistilConfig(tokens=20_000, learning_rate=5e-3)
    student = distil(teacher, book, tmp_path / "s", STUDENT, config)
    log = pyarrow.csv.read_csv(student.path / "log.csv")
    losses = log["loss"].to_pylist()
    assert losses[-1] < 0.7 * losses[0]
    for row in log.to_pylist():
        parts = [row[f"loss_{name}"] for name in ("query", "key", "value")]
        assert sum(parts) == pytest.approx(row["loss"], rel=1e-4)
        assert 0 <= row["padding"] < 0.5
    assert student.counts["tokens"] >= 20_000
    assert student.info["teacher_layer"] == 2
    adapted = adapt(student, task, tmp_path / "a", AdaptConfig(epochs=2))
    assert AutoModelForSequenceClassification.from_pretrained(adapted.path).config.hidden_size == 16
    assert adapted.manifest["inputs"]["model"] == student.key


def test_a_tokenised_textbook_and_the_textbook_itself_give_the_same_student(tmp_path, teacher, book):
    config = DistilConfig(tokens=None, steps=5)
    tokens = encode_textbook(book, teacher, tmp_path / "tokens")
    a = distil(teacher, tokens, tmp_path / "a", STUDENT, config)
    b = distil(teacher, book, tmp_path / "b", STUDENT, config)
    assert a.key == b.key
    assert same(weights(a), weights(b))


def test_a_run_that_dies_at_its_end_still_has_its_snapshots(tmp_path, teacher, book, monkeypatch):
    config = DistilConfig(tokens=None, steps=12, snapshots=(4,), checkpoint_minutes=1e-9)

    def dies(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hornbook.store.keys.checksum", dies)
        with pytest.raises(KeyboardInterrupt):
            distil(teacher, book, tmp_path / "s", STUDENT, config)
    student = distil(teacher, book, tmp_path / "s", STUDENT, config)
    assert snapshot(student, 4, tmp_path / "at-4").counts["steps"] == 4


def test_a_student_is_kept_as_it_was_after_some_steps(tmp_path, teacher, book):
    config = DistilConfig(tokens=None, steps=12, snapshots=(4, 12))
    student = distil(teacher, book, tmp_path / "s", STUDENT, config)
    early, last = (snapshot(student, step, tmp_path / f"at-{step}") for step in config.snapshots)
    plain = distil(teacher, book, tmp_path / "p", STUDENT, DistilConfig(tokens=None, steps=12))
    assert same(weights(last), weights(plain))
    assert not same(weights(early), weights(last))
    assert early.counts["steps"] == 4
    assert AutoModel.from_pretrained(early.path).config.hidden_size == 16
    assert plain.key != student.key
    with pytest.raises(HornbookError, match="kept no snapshot after step 5; add it to distil"):
        snapshot(student, 5, tmp_path / "at-5")
    with pytest.raises(HornbookError, match="there is no step 13; the budget is 12 steps"):
        distil(teacher, book, tmp_path / "x", STUDENT, config.model_copy(update={"snapshots": (13,)}))


class Stop(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self.step:
            raise KeyboardInterrupt


def tear_new(resume: Path) -> None:
    (resume / "checkpoint-40").mkdir()
    (resume / "checkpoint-40" / "model.safetensors").write_bytes(b"half")


def tear_last(resume: Path) -> None:
    optimizer = resume / "checkpoint-30" / "optimizer.pt"
    optimizer.write_bytes(optimizer.read_bytes()[:-1] + b"x")


@contextmanager
def stopped_at(step: int, monkeypatch: pytest.MonkeyPatch):
    build = trainer_module._StepTrainer.__init__

    def interrupted(self, **settings):
        build(self, **settings)
        self.add_callback(Stop(step))

    with monkeypatch.context() as patch:
        patch.setattr(trainer_module._StepTrainer, "__init__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            yield


@pytest.mark.parametrize(("tear", "goes_on"), [(lambda resume: None, 30), (tear_new, 30), (tear_last, 20)])
def test_a_stopped_run_goes_on_to_the_same_weights_and_log(tmp_path, monkeypatch, teacher, book, tear, goes_on):
    config = DistilConfig(tokens=None, steps=45, checkpoint_minutes=1e-9, micro_batch_tokens=200, snapshots=(15, 40))
    whole = distil(teacher, book, tmp_path / "whole", STUDENT, config, seed=3)

    with stopped_at(33, monkeypatch):
        distil(teacher, book, tmp_path / "again", STUDENT, config, seed=3)
    assert not (tmp_path / "again").exists()
    resume = tmp_path / ".again.partial" / "resume"
    assert (resume / "checkpoint-30" / "complete.json").is_file()
    tear(resume)
    steps = []
    monkeypatch.setattr(
        trainer_module.StepDataset,
        "__getitem__",
        lambda self, step, original=trainer_module.StepDataset.__getitem__: (
            steps.append(step) or original(self, step)
        ),
    )
    again = distil(teacher, book, tmp_path / "again", STUDENT, config, seed=3)
    assert steps[0] == goes_on
    assert same(weights(whole), weights(again))
    for step in config.snapshots:
        kept = (snapshot(one, step, tmp_path / f"{one.path.name}-{step}") for one in (whole, again))
        assert same(*map(weights, kept))
    assert (whole.path / "log.csv").read_bytes() == (again.path / "log.csv").read_bytes()
    assert not (tmp_path / ".again.partial").exists()


@pytest.mark.parametrize("patience", [None, 2])
def test_a_stopped_fine_tuning_goes_on_to_the_same_weights_and_log(
    tmp_path, monkeypatch, tiny_teacher, task, patience
):
    config = FinetuneConfig(
        epochs=6, batch=8, learning_rate=1e-3, evaluate_steps=10, patience=patience, checkpoint_minutes=1e-9
    )
    whole = finetune(str(tiny_teacher), task, tmp_path / "whole", config)
    with stopped_at(25, monkeypatch):
        finetune(str(tiny_teacher), task, tmp_path / "again", config)
    again = finetune(str(tiny_teacher), task, tmp_path / "again", config)
    assert same(weights(whole), weights(again))
    assert (whole.path / "log.csv").read_bytes() == (again.path / "log.csv").read_bytes()
    assert whole.info == again.info


def test_few_checkpoints_are_kept_and_the_best_weights_outlive_a_stop(tmp_path, monkeypatch, tiny_teacher, task):
    config = FinetuneConfig(epochs=2, batch=8, learning_rate=1e-3, evaluate_steps=5, checkpoint_minutes=1e-9)
    monkeypatch.setattr(finetune_module, "score_of", lambda *_: next(said))
    written = []

    def on_save(self, args, *others, original=trainer_module.Watch.on_save, **more):
        original(self, args, *others, **more)
        found = sorted(Path(args.output_dir).glob("checkpoint-*/*"))
        names = [path.name for path in found]
        written.append((names.count("optimizer.pt"), names.count("model.safetensors")))

    monkeypatch.setattr(trainer_module.Watch, "on_save", on_save)
    said = chain([0.1, 0.9], repeat(0.5))
    whole = finetune(str(tiny_teacher), task, tmp_path / "whole", config)
    assert whole.info["best_step"] == 10
    assert len(written) > 5
    assert set(written[3:]) == {(2, 3)}
    said = chain([0.1, 0.9], repeat(0.5))
    with stopped_at(27, monkeypatch):
        finetune(str(tiny_teacher), task, tmp_path / "again", config)
    resume = tmp_path / ".again.partial" / "resume"
    assert sorted(path.name for path in resume.iterdir()) == ["checkpoint-10", "checkpoint-20", "checkpoint-25"]
    assert not (resume / "checkpoint-10" / "optimizer.pt").exists()
    said = repeat(0.5)
    again = finetune(str(tiny_teacher), task, tmp_path / "again", config)
    assert again.info == whole.info
    assert same(weights(whole), weights(again))


def test_a_run_whose_best_weights_are_damaged_begins_anew(tmp_path, monkeypatch, tiny_teacher, task):
    config = FinetuneConfig(epochs=2, batch=8, learning_rate=1e-3, evaluate_steps=5, checkpoint_minutes=1e-9)
    monkeypatch.setattr(finetune_module, "score_of", lambda *_: next(said))
    said = chain([0.1, 0.9], repeat(0.5))
    with stopped_at(27, monkeypatch):
        finetune(str(tiny_teacher), task, tmp_path / "again", config)
    best = tmp_path / ".again.partial" / "resume" / "checkpoint-10" / "model.safetensors"
    best.write_bytes(best.read_bytes()[:-1] + b"x")
    said = chain([0.1, 0.9], repeat(0.5))
    assert finetune(str(tiny_teacher), task, tmp_path / "again", config).info["best_step"] == 10


def test_what_checkpoints_need_is_known(teacher):
    model = AutoModelForSequenceClassification.from_pretrained(teacher.path)
    size = 4 * model.num_parameters()
    assert bytes_needed(model, scored=True) == 7 * size
    assert bytes_needed(model, scored=False, snapshots=2) == 8 * size
    model.base_model.requires_grad_(False)
    assert bytes_needed(model, scored=False) < 3 * size


def test_a_loss_that_is_no_number_stops_the_run(tmp_path, teacher, book):
    config = DistilConfig(tokens=None, steps=60, learning_rate=1e9, clip=1e9)
    with pytest.raises(HornbookError, match=r"the loss is nan at step .* learning rate"):
        distil(teacher, book, tmp_path / "s", STUDENT, config)
    assert list(tmp_path.iterdir()) == []
    distil(teacher, book, tmp_path / "s", STUDENT, DistilConfig(tokens=None, steps=10))


def test_checkpoints_of_other_settings_are_not_thrown_away(tmp_path, monkeypatch, teacher, book):
    config = DistilConfig(tokens=None, steps=45, checkpoint_minutes=1e-9)
    with stopped_at(33, monkeypatch):
        distil(teacher, book, tmp_path / "s", STUDENT, config)
    with pytest.raises(HornbookError, match="an unfinished run with other settings or inputs"):
        distil(teacher, book, tmp_path / "s", STUDENT, config, seed=1)
    assert distil(teacher, book, tmp_path / "s", STUDENT, config).counts["steps"] == 45


def test_what_an_unfinished_run_would_soon_make_again_does_not_stand_in_the_way(tmp_path, monkeypatch, teacher, book):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    config = DistilConfig(tokens=None, steps=20)
    with monkeypatch.context() as patch:
        patch.setattr(distil_module, "train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            distil(teacher, book, tmp_path / "s", STUDENT, config)
    assert list(tmp_path.iterdir()) == []
    assert distil(teacher, book, tmp_path / "s", STUDENT, config, seed=1).counts["steps"] == 20


def test_a_run_that_goes_on_counts_only_its_own_work_for_its_rate(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    with progress_module.progress("distil", 1000, "tokens") as counter:
        counter.skip(800)
        now[0] += 10
        counter.advance(100)
        assert counter.line() == "distil: 900 of 1,000 tokens, 10/s, 10 s left"


def test_curves_for_tensorboard(tmp_path, teacher, book):
    distil(teacher, book, tmp_path / "s", STUDENT, DistilConfig(steps=20, report_to=("tensorboard",)))
    (events,) = (tmp_path / "tensorboard" / "s").glob("events.*")
    assert b"train/loss_query" in events.read_bytes()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tensorboard", r"tensorboard is not installed; pip install 'hornbook\[tensorboard\]'"),
        ("wandb", "wandb is not installed; pip install wandb"),
        ("wanbd", "no tracker 'wanbd'; the nearest is 'wandb'"),
    ],
)
def test_a_tracker_that_is_not_there_is_named(tmp_path, monkeypatch, teacher, book, name, said):
    from transformers.integrations import integration_utils

    monkeypatch.setattr(integration_utils, "get_available_reporting_integrations", list)
    with pytest.raises(HornbookError, match=said):
        distil(teacher, book, tmp_path / "s", STUDENT, DistilConfig(steps=3, report_to=(name,)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("losses", "falls"), [((1.0, 0.9), True), ((1.0, 1.0), False), ((1.0, 1.1), False)])
def test_a_loss_that_does_not_fall_stops_a_long_run(losses, falls):
    history = [{"step": 10, "loss": losses[0]}, {"step": 20, "loss": losses[0]}]
    history += [{"step": step, "loss": 5.0} for step in range(30, 190, 10)]
    history += [{"step": 190, "score": 1.0}, {"step": 200, "loss": losses[1]}, {"step": 210, "loss": losses[1]}]
    state = SimpleNamespace(log_history=history, global_step=210)
    if falls:
        callbacks_module._refuse_flat(state, 1e-3)
        return
    with pytest.raises(HornbookError, match=r"does not fall: 1\.0000 over the first 20 steps, 1\.\d+ at step 210"):
        callbacks_module._refuse_flat(state, 1e-3)


def test_a_student_that_has_learned_before_may_begin_better_than_it_goes_on(tmp_path, monkeypatch, teacher, book):
    judged, whole = [], distil_module.train
    monkeypatch.setattr(distil_module, "train", lambda *a, **kw: judged.append(kw["must_fall"]) or whole(*a, **kw))
    first = distil(teacher, book, tmp_path / "first", STUDENT, DistilConfig(tokens=None, steps=2))
    distil(teacher, book, tmp_path / "second", STUDENT, DistilConfig(tokens=None, steps=2), start=first)
    assert judged == [True, False]


def test_micro_batches_change_the_rounding_only(tmp_path, teacher, book):
    still = StudentConfig(layers=1, hidden=16, heads=2, dropout=0)
    logs = []
    for name, most in (("whole", 10_000), ("cut", 40)):
        config = DistilConfig(tokens=None, steps=30, micro_batch_tokens=most, clip=1e9, precision="float32")
        log = pyarrow.csv.read_csv(distil(teacher, book, tmp_path / name, still, config).path / "log.csv")
        logs.append([(row["loss"], row["grad_norm"]) for row in log.to_pylist()])
    assert logs[0] == [pytest.approx(row, rel=1e-4) for row in logs[1]]


def test_a_student_learns_its_teachers_logits_too(tmp_path, monkeypatch, teacher, book):
    config = DistilConfig(tokens=None, steps=20, objectives={"relations": 1.0, "logits": 0.5})
    student = distil(teacher, book, tmp_path / "s", STUDENT, config)
    assert "loss_logits" in pyarrow.csv.read_csv(student.path / "log.csv").column_names
    model = AutoModelForSequenceClassification.from_pretrained(student.path)
    assert model.config.id2label == {0: "negative", 1: "positive"}
    monkeypatch.setattr(distil_module, "encode_textbook", None)  # before anything costly
    with pytest.raises(HornbookError, match="not a classifier"):
        distil(undistilled_student(teacher, tmp_path / "u", STUDENT), book, tmp_path / "t", STUDENT, config)


def test_only_the_logits_need_no_taps(tmp_path, teacher, book):
    config = DistilConfig(
        steps=10, objectives={"logits": 1.0}, relation_heads=5
    )  # which divides no width, nor need it
    student = distil(teacher, book, tmp_path / "s", STUDENT, config)
    assert "relation_heads" not in student.info


def test_a_regressions_logits_make_a_regression(tmp_path, tiny_teacher, book):
    model = AutoModelForSequenceClassification.from_pretrained(tiny_teacher, num_labels=1, problem_type="regression")
    model.save_pretrained(tmp_path / "teacher")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "teacher" / name).write_bytes((tiny_teacher / name).read_bytes())
    config = DistilConfig(steps=10, objectives={"logits": 1.0})
    student = distil(tmp_path / "teacher", book, tmp_path / "s", STUDENT, config)
    found = AutoModelForSequenceClassification.from_pretrained(student.path).config
    assert (found.num_labels, found.problem_type) == (1, "regression")


def test_token_ids_that_changed_without_growing_are_refused(tmp_path, teacher, book):
    tokens = encode_textbook(book, teacher, tmp_path / "tokens")
    file = tokens.path / "tokens.arrow"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(HornbookError, match=r"tokens\.arrow: missing or changed since it was made"):
        distil(teacher, tokens, tmp_path / "s", STUDENT, DistilConfig(steps=10))


def test_token_ids_of_another_version_are_refused(tmp_path, teacher, book):
    tokens = encode_textbook(book, teacher, tmp_path / "tokens")
    manifest = tokens.path / "manifest.json"
    written = json.loads(manifest.read_text())
    del written["checksum"]  # as versions before it wrote no checksum
    manifest.write_text(json.dumps({**written, "stage_version": 1}))
    with pytest.raises(HornbookError, match="by another version of hornbook; make them again"):
        distil(teacher, tokens.path, tmp_path / "s", STUDENT, DistilConfig(steps=10))


def test_relation_heads_that_do_not_divide_are_refused(tmp_path, teacher, book):
    with pytest.raises(HornbookError, match=r"relation_heads: 5 does not divide .* legal are 1, 2, 4, 8, 16"):
        distil(teacher, book, tmp_path / "s", STUDENT, DistilConfig(relation_heads=5))


def test_an_untaught_student_is_the_distilled_one_before_its_first_step(tmp_path, teacher):
    a = undistilled_student(teacher, tmp_path / "a", STUDENT, seed=1)
    b = undistilled_student(teacher, tmp_path / "b", STUDENT, seed=1)
    assert same(weights(a), weights(b))


def test_a_model_of_pickles_is_refused(tmp_path: Path, tiny_teacher, task):
    folder = tmp_path / "pickled"
    folder.mkdir()
    (folder / "config.json").write_text((tiny_teacher / "config.json").read_text())
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text((tiny_teacher / name).read_text())
    (folder / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(HornbookError, match="only pickled weights, which are never loaded"):
        finetune(str(folder), task, tmp_path / "out", FinetuneConfig(epochs=1))
