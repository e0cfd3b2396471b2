import logging
import sys

import pyarrow as pa
import pytest

import hornbook
from hornbook import corpus, index, kernels
from hornbook.corpus.cutting import Limits, cut_documents
from hornbook.errors import HornbookError
from hornbook.kernels import kernel

REFERENCES = [corpus.reference.cut_units, index.reference.UnitTerms]


@pytest.fixture
def no_core(monkeypatch):
    """Take the compiled core away, as where it could not be built."""
    monkeypatch.setitem(sys.modules, "hornbook._core", None)
    monkeypatch.delattr(hornbook, "_core", raising=False)
    monkeypatch.delenv("HORNBOOK_KERNELS", raising=False)
    kernels._load.cache_clear()
    yield
    kernels._load.cache_clear()


@pytest.mark.parametrize("reference", REFERENCES)
def test_the_variable_selects_the_implementation(reference, monkeypatch):
    core = pytest.importorskip("hornbook._core", reason="the compiled core is missing")
    for selected, expected in (("", getattr(core, reference.__name__)), ("reference", reference)):
        monkeypatch.setenv("HORNBOOK_KERNELS", selected)
        assert kernel(reference) is expected


def test_the_core_has_all_that_a_reference_has():
    core = pytest.importorskip("hornbook._core", reason="the compiled core is missing")
    public = {name for name in vars(index.reference.UnitTerms) if not name.startswith("_")}
    assert public <= set(dir(core.UnitTerms))


def test_an_unknown_value_is_refused(monkeypatch):
    monkeypatch.setenv("HORNBOOK_KERNELS", "slow")
    with pytest.raises(HornbookError, match="HORNBOOK_KERNELS is 'slow'; set it to compiled or reference"):
        kernels.compiled()


@pytest.mark.usefixtures("no_core")
def test_without_the_core_the_references_run_and_one_warning_is_given(caplog):
    with caplog.at_level(logging.WARNING, "hornbook"):
        for _ in range(2):
            units = cut_documents(pa.array(["One. Two."]), Limits("sentence", 9, 1, 9))
            assert units.texts.to_pylist() == ["One.", "Two."]
    assert [record.message.partition(":")[0] for record in caplog.records] == ["hornbook's compiled core is missing"]


@pytest.mark.usefixtures("no_core")
def test_a_core_that_is_asked_for_and_missing_is_an_error(monkeypatch):
    monkeypatch.setenv("HORNBOOK_KERNELS", "compiled")
    with pytest.raises(HornbookError, match="compiled core is missing; install a C\\+\\+ compiler"):
        kernels.compiled()
