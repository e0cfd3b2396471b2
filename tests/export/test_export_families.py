"""Every family that can be distilled can be exported, or is refused by name."""

import pytest
from tests.export.models import save_classifier
from tests.models.tiny_encoders import ENCODERS

from hornbook.errors import HornbookError
from hornbook.export import build
from hornbook.export.build import export_student
from hornbook.models.families import FAMILIES

pytestmark = pytest.mark.slow


def test_the_families_tried_are_those_of_the_table():
    assert ENCODERS.keys() == FAMILIES.keys()


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "longformer"])
def test_a_family_is_exported(family, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "_COMPARED", 200)
    made = export_student(save_classifier(tmp_path / "student", family), tmp_path / "out")
    assert made.measured["largest_difference"] < 1e-4


@pytest.mark.parametrize("kind", ["multilabel", "regression"])
def test_a_kind_is_exported(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "_COMPARED", 200)
    student = save_classifier(tmp_path / "student", "distilbert", kind)
    made = export_student(student, tmp_path / "out")
    assert made.info["labels"] == (["score"] if kind == "regression" else ["bad", "middling", "good"])


def test_longformer_is_refused_by_name(tmp_path):
    student = save_classifier(tmp_path / "student", "longformer")
    with pytest.raises(HornbookError, match="longformer models cannot be exported to ONNX by torch"):
        export_student(student, tmp_path / "out")
