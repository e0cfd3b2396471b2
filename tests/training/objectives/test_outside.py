"""An objective that is no part of hornbook: registered by a program, or named in a package's entry points."""

from importlib.metadata import EntryPoint

import pytest
import torch
from safetensors.torch import load_file

from hornbook.errors import HornbookError
from hornbook.models.taps import hidden_state_tap
from hornbook.recipe import DistilConfig, StudentConfig
from hornbook.recipe.objectives import OBJECTIVES
from hornbook.recipe.settings import Settings
from hornbook.training.distil import distil, undistilled_student
from hornbook.training.objectives import Objective, register

STUDENT = StudentConfig(layers=1, hidden=32, heads=4, feed_forward=64)


class FirstToken(Objective):
    """The first token's last hidden state points where the teacher's does."""

    class Options(Settings):
        power: float = 1.0

    def __init__(self, teacher_layers, student_layers, power):
        super().__init__()
        self.layers, self.power = (teacher_layers, student_layers), power

    @classmethod
    def create(cls, pair, options):
        if pair.teacher_sizes.hidden != pair.student_sizes.hidden:
            raise HornbookError("first_token: set student.hidden to the teacher's")
        return cls(pair.teacher_sizes.layers, pair.student_sizes.layers, options.power)

    def taps(self):
        teacher, student = self.layers
        return {"last": hidden_state_tap(teacher)}, {"last": hidden_state_tap(student)}

    def forward(self, teacher, student, mask):
        cosine = torch.cosine_similarity(teacher["last"][:, 0], student["last"][:, 0].float(), dim=-1)
        return {"angle": (1 - cosine).pow(self.power).mean()}


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(OBJECTIVES, "_loaded", dict(OBJECTIVES._loaded))
    register("first_token")(FirstToken)


def test_a_toy_objective_teaches_a_student(tmp_path, registered, tiny_teacher, small_book):
    config = DistilConfig(steps=30, batch=8, objectives={"first_token": {"weight": 2, "power": 1.5}})
    student = distil(tiny_teacher, small_book, tmp_path / "s", STUDENT, config)
    before = undistilled_student(tiny_teacher, tmp_path / "u", STUDENT)
    own, first = (load_file(artifact.path / "model.safetensors") for artifact in (student, before))
    assert any(not torch.equal(own[name], first[name]) for name in first)
    losses = [float(line.split(",")[1]) for line in (student.path / "log.csv").read_text().splitlines()[1:]]
    assert losses[-1] < 0.7 * losses[0]
    assert student.manifest["config"]["objectives"] == {"first_token": {"weight": 2, "power": 1.5}}
    assert "objective_versions" not in student.manifest["config"]


def test_its_options_and_demands_are_checked_before_anything_runs(tmp_path, registered, tiny_teacher, small_book):
    wrong = DistilConfig(steps=3, objectives={"first_token": {"weight": 1, "powr": 2}})
    with pytest.raises(HornbookError, match=r"distil\.objectives\.first_token: .*powr"):
        distil(tiny_teacher, small_book, tmp_path / "s", STUDENT, wrong)
    narrow = StudentConfig(layers=1, hidden=16)
    with pytest.raises(HornbookError, match=r"set student\.hidden"):
        distil(tiny_teacher, small_book, tmp_path / "s", narrow, DistilConfig(steps=3, objectives={"first_token": 1}))


def test_another_version_is_another_student(registered, monkeypatch):
    from hornbook.training.distil import _settings_for_key

    config = DistilConfig(steps=3, objectives={"first_token": 1.0})
    before = _settings_for_key(config)
    monkeypatch.setattr(FirstToken, "version", 2)
    assert _settings_for_key(config) == {**before, "objective_versions": {"first_token": 2}}


def test_an_installed_package_names_its_own(monkeypatch):
    point = EntryPoint("elsewhere", f"{__name__}:FirstToken", "hornbook.objectives")
    monkeypatch.setattr("hornbook.registry.entry_points", lambda group: [point] if group == point.group else [])
    monkeypatch.setattr(OBJECTIVES, "_loaded", {})
    monkeypatch.delitem(OBJECTIVES.__dict__, "_installed", raising=False)
    monkeypatch.setattr(EntryPoint, "load", lambda _: FirstToken)
    assert DistilConfig(objectives={"elsewhere": 1}).objectives == {"elsewhere": 1.0}
    assert OBJECTIVES["elsewhere"] is FirstToken
    OBJECTIVES.__dict__.pop("_installed")


@pytest.mark.parametrize(
    ("objectives", "says"),
    [
        ({"relation": 1}, "there is no objective 'relation'; the nearest is 'relations' of relations, logits, "),
        ({"relations": 0}, "relations: set its weight to a number greater than 0, not 0"),
        ({"relations": {"power": 2}}, "relations: set its weight to a number greater than 0, not None"),
    ],
)
def test_wrong_objectives_are_named(objectives, says):
    with pytest.raises(ValueError, match=says):
        DistilConfig(objectives=objectives)


def test_our_own_names_and_weights_enter_the_key_as_before():
    from hornbook.training.distil import _settings_for_key

    assert _settings_for_key(DistilConfig(objectives={"relations": 1, "logits": "0.5"}))["objectives"] == {
        "relations": 1.0,
        "logits": 0.5,
    }
