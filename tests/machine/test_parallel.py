import multiprocessing
import os
import sys
from types import SimpleNamespace

import pytest

from hornbook.errors import HornbookError
from hornbook.machine import parallel
from hornbook.machine.parallel import Workers


def square(number):
    return number * number


def die(number):
    os._exit(1)


def refuse(number):
    raise HornbookError(f"{number} is wrong")


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("items", [0, 1, 2, 40])
def test_map_keeps_the_order(count, items):
    with Workers(count) as workers:
        assert list(workers.map(square, range(items))) == [n * n for n in range(items)]
        assert list(workers.map(square, range(items))) == [n * n for n in range(items)]


def test_map_reads_only_a_little_ahead():
    read = []
    with Workers(2) as workers:
        results = workers.map(square, (read.append(n) or n for n in range(100)))
        assert next(results) == 0
        assert len(read) < 10


def test_an_error_of_a_worker_comes_through():
    with Workers(2) as workers, pytest.raises(HornbookError, match="0 is wrong"):
        list(workers.map(refuse, range(9)))


def test_a_worker_that_dies_is_an_error():
    with Workers(2) as workers, pytest.raises(HornbookError, match="ended a worker"):
        list(workers.map(die, range(9)))


@pytest.mark.parametrize("runs", [True, False])
def test_a_process_in_which_ray_runs_does_not_fork(monkeypatch, runs):
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: runs))
    with Workers(2) as workers:
        assert list(workers.map(abs, [-1, 2, -3])) == [1, 2, 3]
        method = workers._pool._mp_context.get_start_method()
    assert (method == "spawn") == (runs or "fork" not in multiprocessing.get_all_start_methods())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_process_whose_parent_is_another_one_by_now_ends():
    for ends in (parallel.end_with_parent, parallel._watch):
        child = os.fork()
        if child == 0:
            ends(-1)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
