import sys

import pytest

from hornbook.cluster import Cluster, spread_over
from hornbook.errors import HornbookError
from hornbook.retrieval import HERE


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(HornbookError, match=r"ray is not installed.*pip install 'hornbook\[ray\]'"):
        Cluster("auto")


def test_without_an_address_it_is_here():
    with spread_over(None) as spread:
        assert spread is HERE
