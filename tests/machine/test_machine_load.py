"""How busy a machine is, what is chosen for it, and that this is set before PyTorch is loaded."""

import json
import logging
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from hornbook.machine import load as machine
from hornbook.machine.load import BUSY, QUIET, Choice, Machine, choose

SPIN = "import os\nwhile os.getppid() == {}: pass"
# Stands for PyTorch: says what is set when it is asked for, and ends the process.
AT_TORCH = """
import json, os, sys

class Finder:
    def find_spec(self, name, *_):
        if name == "torch":
            print(json.dumps(sorted(f"{n}={v}" for n, v in os.environ.items() if "OMP" in n or "MKL" in n)))
            sys.stdout.flush()
            os._exit(0)

sys.meta_path.insert(0, Finder())
from hornbook.cli import main
sys.argv = ["hornbook", "distil", "--teacher", "nowhere", "--textbook", "nowhere", "--out", "nowhere"]
main()
"""


@pytest.mark.parametrize(
    ("found", "environment", "threads", "settings", "busy"),
    [
        (Machine(2), {}, None, QUIET, False),
        (Machine(2, busy=0.2), {}, None, QUIET, False),
        (Machine(2, busy=1.0), {}, None, BUSY, True),
        (Machine(2, busy=2.0), {}, None, BUSY, True),
        (Machine(16, busy=0.5), {}, None, BUSY, True),
        # Cores are left for so few threads.
        (Machine(2, busy=1.0), {}, 1, {}, None),
        (Machine(1, busy=1.0), {}, None, {}, None),
        (Machine(4, busy=2.0), {}, 2, QUIET, False),
        (Machine(4, busy=2.0), {"OMP_NUM_THREADS": "2"}, None, QUIET, False),
        (Machine(4, busy=2.5), {"OMP_NUM_THREADS": "2"}, None, BUSY, True),
        (Machine(4, busy=2.5), {"OMP_NUM_THREADS": "1"}, 2, BUSY, True),
        # As torchrun starts its processes.
        (Machine(2, busy=2.0), {"OMP_NUM_THREADS": "1"}, None, {}, None),
        # What the user says stays.
        (Machine(2, busy=2.0), {"OMP_WAIT_POLICY": "active"}, None, {}, None),
        (Machine(2, busy=2.0), {"GOMP_SPINCOUNT": "infinite"}, None, {}, None),
        (Machine(2, busy=2.0), {"KMP_BLOCKTIME": "0"}, None, {}, None),
        (Machine(2, busy=2.0), {"OMP_WAIT_POLICY": ""}, None, BUSY, True),
        (Machine(2), {"OMP_NUM_THREADS": "many"}, None, QUIET, False),
        (Machine(2), {"OMP_NUM_THREADS": "2,1"}, None, QUIET, False),
        # A container that may use a part of the cores.
        (Machine(64, 2.0), {}, None, {"OMP_NUM_THREADS": "2", **BUSY}, None),
        (Machine(64, 1.5), {}, None, {"OMP_NUM_THREADS": "2", **BUSY}, None),
        (Machine(2, 0.5), {}, None, {"OMP_NUM_THREADS": "1"}, None),
        (Machine(64, 2.0), {"OMP_NUM_THREADS": "8"}, None, BUSY, None),
        (Machine(64, 2.0), {"GOMP_SPINCOUNT": "9"}, None, {"OMP_NUM_THREADS": "2"}, None),
        (Machine(64, 2.0), {}, 4, BUSY, None),
        (Machine(2, 8.0), {}, None, QUIET, False),
    ],
)
def test_what_is_chosen(found, environment, threads, settings, busy):
    chosen = choose(found, environment, threads)
    assert chosen.settings == settings
    assert chosen.busy is busy
    assert (chosen.reason is None) == (not busy and "OMP_NUM_THREADS" not in settings)


def test_the_choice_is_said_in_one_line():
    said = choose(Machine(2, busy=0.96), {}).reason
    assert said == "other programs keep 1.0 of 2 cores busy: threads wait for each other without spinning"
    assert choose(Machine(64, 1.5), {}).reason == "this container may use 1.5 of 64 cores: 2 threads"


def test_a_busy_program_is_seen():
    other = subprocess.Popen([sys.executable, "-S", "-c", SPIN.format(os.getpid())])
    try:
        time.sleep(0.1)
        load = machine.Load()
        time.sleep(0.3)
        assert 0.3 < load.of_others() <= machine.cores()
    finally:
        other.kill()
        other.wait()


def test_this_process_is_no_other_program(monkeypatch):
    clocks = {"time": iter([0.0, 2.0, 4.0]), "busy": iter([10.0, 13.0, 14.0]), "own": iter([1.0, 2.0, 4.0])}
    monkeypatch.setattr(machine, "cores", lambda: 4)
    monkeypatch.setattr(machine.time, "monotonic", lambda: next(clocks["time"]))
    monkeypatch.setattr(machine, "_busy_seconds", lambda: next(clocks["busy"]))
    monkeypatch.setattr(machine, "own_seconds", lambda: next(clocks["own"]))
    load = machine.Load()
    assert load.of_others() == 1.0  # in two seconds three were busy, one of them ours
    assert load.of_others() == 0.0  # clocks of different kinds: never below nothing


def at_torch(**environment: str) -> list[str]:
    clean = {name: value for name, value in os.environ.items() if "OMP" not in name and "MKL" not in name}
    done = subprocess.run(
        [sys.executable, "-c", AT_TORCH], env={**clean, **environment}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return sorted(json.loads(done.stdout))


def test_it_is_set_before_pytorch_is_loaded():
    if machine.cores() == 1:
        pytest.skip("one core: there is nothing to choose")
    set_by_us = at_torch()
    assert set_by_us in [sorted(f"{n}={v}" for n, v in settings.items()) for settings in (QUIET, BUSY)]


def test_what_the_user_has_set_stays():
    assert at_torch(OMP_WAIT_POLICY="active") == ["OMP_WAIT_POLICY=active"]
    assert at_torch(OMP_NUM_THREADS="1") == ["OMP_NUM_THREADS=1"]


def test_where_pytorch_is_loaded_nothing_is_set(monkeypatch, caplog):
    import torch  # noqa: F401

    before = dict(os.environ)
    monkeypatch.setattr(machine, "Load", None)  # it does not even look
    machine.settle()
    assert dict(os.environ) == before
    assert not caplog.records


@pytest.fixture
def chosen(monkeypatch):
    def set_to(busy: bool | None) -> machine.Lookout:
        monkeypatch.setattr(machine, "_chosen", Choice(busy=busy))
        monkeypatch.setattr(machine, "_reported", busy)
        monkeypatch.setattr(machine, "_LASTING_SECONDS", 0)
        return machine.Lookout()

    return set_to


def looks(monkeypatch, lookout, loads):
    said = []
    for load in loads:
        monkeypatch.setattr(machine.Load, "of_others", lambda _, load=load: load)
        said.append(lookout.look())
    return said


def test_it_is_reported_once_when_the_machine_becomes_busy(monkeypatch, chosen):
    said = looks(monkeypatch, chosen(False), [0.1, 0.4, 1.0, 1.0, 0.3, 0.0, 2.0, 0.0])
    assert [bool(one) for one in said] == [False, False, True, False, False, False, True, False]
    assert "other programs keep 1.0 of" in said[2]
    # The next training of the same run does not say it again.
    assert looks(monkeypatch, machine.Lookout(), [0.0, 0.0]) == [None, None]


def test_it_is_reported_once_when_the_machine_becomes_quiet(monkeypatch, chosen):
    said = looks(monkeypatch, chosen(True), [1.0, 0.3, 0.1, 0.0, 1.0, 0.1])
    assert [bool(one) for one in said] == [False, False, True, False, False, True]
    assert "has become quiet" in said[2]


def test_nothing_is_reported_where_starting_anew_would_change_nothing(monkeypatch, chosen):
    assert looks(monkeypatch, chosen(None), [2.0, 0.0, 2.0]) == [None] * 3


def test_a_short_time_is_no_reason_to_start_anew(monkeypatch, chosen):
    lookout = chosen(False)
    monkeypatch.setattr(machine, "_LASTING_SECONDS", 60)
    assert looks(monkeypatch, lookout, [2.0, 2.0]) == [None, None]


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2.0),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "50000 100000\n"}, 0.5),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/cpu.max": "50000 100000\n",
                "sys/fs/cgroup/a/b/cpu.max": "100000 100000\n",
            },
            0.5,
        ),
        # Docker with the first version shows the host's path of the group, but mounts the group itself at the top.
        (
            {
                "proc/self/cgroup": "5:cpu,cpuacct:/docker/1a2b\n0::/docker/1a2b\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "150000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            1.5,
        ),
        (
            {
                "proc/self/cgroup": "5:cpu:/\n2:cpuset:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
        ({"proc/self/cgroup": "0::/../above\n", "sys/fs/cgroup/cpu.max": "300000 100000\n"}, 3.0),
        ({"proc/self/cgroup": "odd\n"}, None),
        ({}, None),
    ],
)
def test_a_containers_limit_is_read(tmp_path, files, limit):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert machine.cpu_limit(tmp_path) == limit


def test_processes_side_by_side_share_the_cores(monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 8)
    monkeypatch.setattr(machine, "cpu_limit", lambda: None)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [machine.side_by_side(n)["OMP_NUM_THREADS"] for n in (2, 3, 16)] == ["4", "2", "1"]
    monkeypatch.setattr(machine, "cpu_limit", lambda: 4.0)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert machine.side_by_side(2)["OMP_NUM_THREADS"] == "4"  # the user's own
    monkeypatch.setattr(machine, "_chosen", Choice({"OMP_NUM_THREADS": "4"}))
    assert machine.side_by_side(2)["OMP_NUM_THREADS"] == "2"


def test_a_training_says_it_at_a_checkpoint(tmp_path, caplog):
    from hornbook.machine.progress import progress
    from hornbook.training.callbacks import Watch

    (tmp_path / "checkpoint-3").mkdir()
    state = SimpleNamespace(global_step=3, is_world_process_zero=True)
    with progress("distil", 10, "tokens") as counter, caplog.at_level(logging.INFO, "hornbook"):
        watch = Watch(counter, None, 5, False)
        for told, device in (("start anew", "cpu"), (None, "cpu"), ("start anew", "cuda")):
            watch.lookout = SimpleNamespace(look=lambda told=told: told)
            watch.on_save(SimpleNamespace(output_dir=tmp_path, device=SimpleNamespace(type=device)), state, None)
    assert [record.getMessage() for record in caplog.records] == ["start anew"]
