import sys
from importlib.metadata import EntryPoint

import pytest

from hornbook import registry as registry_module
from hornbook.errors import HornbookError
from hornbook.registry import Registry

GROUP = "hornbook.animals"


def table(monkeypatch, **installed):
    """A table of two animals of our own; installed packages name others."""
    points = [EntryPoint(name, where, GROUP) for name, where in installed.items()]
    monkeypatch.setattr(registry_module, "entry_points", lambda group: points if group == GROUP else [])
    return Registry("animal", GROUP, {"path": "pathlib:Path", "count": "itertools:count"})


def test_things_come_from_the_table_the_program_and_installed_packages(monkeypatch):
    from collections import Counter
    from itertools import count
    from pathlib import Path

    animals = table(monkeypatch, counter="collections:Counter")
    decorated = animals.register("ant")(object())
    assert list(animals) == ["path", "count", "ant", "counter"]
    assert len(animals) == 4
    assert [animals[name] for name in animals] == [Path, count, decorated, Counter]


def test_names_are_listed_without_an_import(monkeypatch):
    animals = table(monkeypatch, lazy="this_package_is_not_there:thing")
    assert "lazy" in animals
    assert "lazy" in list(animals)
    assert "this_package_is_not_there" not in sys.modules


def test_an_unknown_name_is_answered_with_the_nearest(monkeypatch):
    with pytest.raises(HornbookError, match=r"^there is no animal 'cuont'; the nearest is 'count' of path, count$"):
        table(monkeypatch)["cuont"]


def test_a_package_that_cannot_be_imported_is_named_in_one_line(monkeypatch):
    animals = table(monkeypatch, broken="this_package_is_not_there:thing")
    with pytest.raises(
        HornbookError, match=r"animal 'broken': this_package_is_not_there:thing .*uninstall"
    ) as caught:
        animals["broken"]
    assert "\n" not in str(caught.value)


def test_nobody_replaces_what_is_our_own(monkeypatch):
    from pathlib import Path

    animals = table(monkeypatch, path="collections:Counter")
    assert animals["path"] is Path
    with pytest.raises(HornbookError, match="hornbook has one of this name"):
        animals.register("path")


def test_a_notebook_cell_that_runs_again_replaces_its_own(monkeypatch):
    animals = table(monkeypatch)
    animals.register("ant")(1)
    animals.register("ant")(2)
    assert animals["ant"] == 2
