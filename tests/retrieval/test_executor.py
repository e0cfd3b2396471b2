import sys

import pytest

from hornbook.cluster import Cluster, executor_on
from hornbook.errors import HornbookError
from hornbook.retrieval import LOCAL


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(HornbookError, match=r"ray is not installed.*pip install 'hornbook\[ray\]'"):
        Cluster("auto")


def test_without_an_address_it_is_here():
    with executor_on(None) as executor:
        assert executor is LOCAL
