"""Retrieval on a Ray cluster of three nodes on this machine: the same bytes, also when nodes and workers die."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir

import numpy as np
import pytest
from typer.testing import CliRunner

# Read when Ray is loaded, which `Cluster` does too: out of memory is not tried again without end.
os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_task_oom_retries="0", RAY_DEDUP_LOGS="0")

from hornbook import textbook
from hornbook.cli.main import app
from hornbook.cluster import ATTEMPTS, Cluster
from hornbook.corpus import build, open_corpus
from hornbook.errors import HornbookError
from hornbook.index.files import ShardFiles
from hornbook.recipe import ContextualizedConfig, CorpusConfig
from hornbook.retrieval import retrieve, shard
from hornbook.store import load

pytestmark = pytest.mark.slow

SMALL = {"object_store_memory": 80 << 20, "include_dashboard": False}


@pytest.fixture(scope="module")
def nodes():
    """A head and two nodes, one of them with two cores; what this module defines travels to them."""
    pytest.importorskip("ray")
    import ray
    from ray.cluster_utils import Cluster as Nodes

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 1, **SMALL})
    nodes.add_node(num_cpus=2, **SMALL)
    yield nodes
    nodes.shutdown()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """2,000 units in 12 shards."""
    folder = tmp_path_factory.mktemp("cluster")
    draw = np.random.default_rng(0)
    share = 1 / np.arange(1, 301)
    lines = [
        " ".join(f"w{i}" for i in draw.choice(300, draw.integers(1, 15), p=share / share.sum())) for _ in range(2000)
    ]
    (folder / "a.txt").write_text("\n".join(f"{line} {number}" for number, line in enumerate(lines)))
    config = CorpusConfig(sources=(str(folder / "a.txt"),), unit="line", shard_units=170)
    return open_corpus(build(config, folder / "corpus"))


@pytest.fixture(scope="module")
def queries():
    draw = np.random.default_rng(1)
    return [[f"w{i}" for i in draw.integers(0, 300, 6)] for _ in range(100)] + [["unseen"], ["w0"]]


@pytest.fixture(scope="module")
def expected(corpus, queries):
    return as_bytes(retrieve(corpus, queries, 20))


def as_bytes(hits):
    return hits.units.tobytes(), hits.scores.tobytes()


@dataclass(frozen=True)
class Elsewhere:
    """A corpus whose shards do something before they are opened."""

    corpus: object
    wrapped: type
    folder: Path

    @property
    def analysis(self):
        return self.corpus.analysis

    def inverted(self, keep_open=0):
        return [self.wrapped(one.name, one, self.folder) for one in self.corpus.inverted()]


@dataclass(frozen=True)
class Waits:
    """A shard that is not opened while there is a file `gate`; who opens it leaves the name of its node."""

    name: str
    files: ShardFiles
    folder: Path

    def open(self):
        import ray

        (self.folder / ray.get_runtime_context().get_node_id()).touch()
        while (self.folder / "gate").exists():
            time.sleep(0.02)
        return self.files.open()


@dataclass(frozen=True)
class Dies(Waits):
    """A shard, the third, whose worker ends at once, if it has fewer cores than `cores` says."""

    def open(self):
        import ray

        cores = ray.get_runtime_context().get_assigned_resources()["CPU"]
        if self.name == "units-00003":
            with (self.folder / "tried").open("a") as file:
                file.write(f"{cores:.0f}\n")
            if cores < float((self.folder / "cores").read_text()):
                os._exit(1)
        return self.files.open()


def test_a_cluster_finds_the_same_bytes(nodes, corpus, queries, expected, tmp_path):
    before = set(Path(gettempdir()).glob("hornbook-*"))
    with Cluster(nodes.address) as cluster:
        assert cluster.parallelism == 3
        assert as_bytes(retrieve(corpus, queries, 20, executor=cluster, cache=tmp_path)) == expected
        # Each answer that is kept is that of some shards.
        kept = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
        assert len(list(tmp_path.iterdir())) < 12
        assert as_bytes(retrieve(corpus, queries, 20, executor=cluster, cache=tmp_path)) == expected
        assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == kept
        elsewhere = open_corpus(f"file://{corpus.artifact.path}")
        assert as_bytes(retrieve(elsewhere, queries, 20, executor=cluster)) == expected
    assert set(Path(gettempdir()).glob("hornbook-*")) <= before, "a worker left its copies of shards"


class Gated(Cluster):
    """A cluster that shuts the gate before the shards are searched."""

    gate: Path

    def __call__(self, work, shared, items, join=None):
        if work is shard.search and shared.thresholds.any():
            for note in self.gate.parent.iterdir():
                note.unlink()
            self.gate.touch()
        return super().__call__(work, shared, items, join)


def test_a_node_that_dies_on_the_way_changes_nothing(nodes, corpus, queries, expected, tmp_path):
    doomed = nodes.add_node(num_cpus=1, **SMALL)
    found = []
    with Gated(nodes.address) as cluster:
        cluster.gate = tmp_path / "gate"
        slow = Elsewhere(corpus, Waits, tmp_path)
        thread = threading.Thread(target=lambda: found.append(retrieve(slow, queries, 20, executor=cluster)))
        thread.start()
        deadline = time.monotonic() + 60
        while not (cluster.gate.exists() and (tmp_path / doomed.node_id).exists()):
            assert time.monotonic() < deadline, "the node got nothing to do"
            assert thread.is_alive()
            time.sleep(0.02)
        nodes.remove_node(doomed, allow_graceful=False)
        cluster.gate.unlink()
        thread.join(60)
    assert as_bytes(found[0]) == expected


def test_a_worker_that_dies_is_tried_again_alone(nodes, corpus, queries, expected, tmp_path):
    (tmp_path / "cores").write_text("2")
    with Cluster(nodes.address) as cluster:
        assert as_bytes(retrieve(Elsewhere(corpus, Dies, tmp_path), queries, 20, executor=cluster)) == expected
    tried = (tmp_path / "tried").read_text().split()
    assert tried[: ATTEMPTS + 2] == ["1"] * (ATTEMPTS + 1) + ["2"]


def test_a_shard_that_no_worker_survives_is_named(nodes, corpus, queries, tmp_path):
    (tmp_path / "cores").write_text("99")
    with (
        Cluster(nodes.address) as cluster,
        pytest.raises(HornbookError, match=r"^units-00003: its worker died again, alone on a node.*lower k") as error,
    ):
        retrieve(Elsewhere(corpus, Dies, tmp_path), queries, 20, executor=cluster)
    assert "\n" not in str(error.value)


def test_what_a_worker_refuses_is_one_line_here(nodes, corpus, queries, tmp_path):
    class Changed(Waits):
        def open(self):
            dictionary, blocks = self.files.files
            return ShardFiles(
                self.name, self.files.corpus, (dictionary._replace(size=dictionary.size + 1), blocks)
            ).open()

    with (
        Cluster(nodes.address) as cluster,
        pytest.raises(HornbookError, match=r"terms-00000\.arrow: has .* bytes on "),
    ):
        retrieve(Elsewhere(corpus, Changed, tmp_path), queries, 20, executor=cluster)


def test_a_textbook_built_on_a_cluster_is_the_same(nodes, corpus, reviews, tmp_path):
    (tmp_path / "task.csv").write_text(
        "text,label\n" + "".join(f"w{i} w{2 * i} w{3 * i},{i % 2}\n" for i in range(1, 99)), "utf-8"
    )
    command = ["textbook", "build", "--task", str(tmp_path / "task.csv"), "--k", "5", "--json"]
    places = {
        "here": str(corpus.artifact.path),
        "there": str(corpus.artifact.path),
        "far": f"file://{corpus.artifact.path}",
    }
    for name, place in places.items():
        cluster = [] if name == "here" else ["--cluster", nodes.address]
        result = CliRunner().invoke(app, [*command, "--corpus", place, "--out", str(tmp_path / name), *cluster])
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout.splitlines()[-1])["counts"]["k"] == 5
    here, *others = [load(tmp_path / name).manifest for name in places]
    for other in others:
        assert (other["files"], other["key"], other["counts"]) == (here["files"], here["key"], here["counts"])


def test_a_recipe_runs_on_a_cluster(nodes, tiny_teacher, reviews, general_text, tmp_path):
    recipe = {
        "name": "small",
        "task": {"source": str(reviews)},
        "corpus": {"sources": [str(general_text)], "shard_units": 100},
        "textbooks": {"contextualized": {"kind": "contextualized", "k": 4}},
        "teacher": {"model": str(tiny_teacher), "finetune": {"epochs": 4, "learning_rate": 5e-3, "batch": 8}},
        "student": {"layers": 1, "hidden": 16, "heads": 2},
        "distil": {"tokens": 2000},
        "adapt": {"epochs": 1},
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    runs = tmp_path / "runs"
    command = ["run", str(tmp_path / "recipe.yaml"), "--runs", str(runs), "--cluster", nodes.address]
    # In a process of its own: one in which Ray ran must not fork, as the build of a corpus does.
    result = subprocess.run([sys.executable, "-m", "hornbook", *command], capture_output=True, text=True, timeout=100)
    assert result.returncode == 0, result.stderr
    book, units, task = (load(runs / "small" / name) for name in ("textbook-contextualized", "corpus", "task"))
    here = textbook.build(ContextualizedConfig(k=4), corpus=units, task=task, out=tmp_path / "here")
    assert (here.key, here.manifest["files"]) == (book.key, book.manifest["files"])


def test_cells_of_an_experiment_run_side_by_side(nodes, tiny_teacher, reviews, general_text, tmp_path):
    exact = {"precision": "float32"}  # rounded alike, however many threads
    recipe = {
        "name": "small",
        "task": {"source": str(reviews)},
        "corpus": {"sources": [str(general_text)]},
        "textbooks": {"general": {"kind": "general", "units": 60}, "task": {"kind": "task"}},
        "teacher": {"model": str(tiny_teacher), "finetune": {"epochs": 4, "learning_rate": 5e-3, "batch": 8} | exact},
        "student": {"layers": 1, "hidden": 16, "heads": 2},
        "distil": {"tokens": 2000} | exact,
        "adapt": {"epochs": 1} | exact,
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    grid = {"name": "grid", "recipe": "recipe.yaml", "axes": {"textbook": ["none", "general", "task"], "seed": [0]}}
    grid["axes"]["student.heads"] = [2, 3]  # three heads do not divide a width of 16
    (tmp_path / "grid.yaml").write_text(json.dumps(grid))

    def ran(runs, *more):
        command = ["experiment", str(tmp_path / "grid.yaml"), "--runs", runs, "--json", *more]
        result = subprocess.run(
            [sys.executable, "-m", "hornbook", *command], capture_output=True, text=True, timeout=200, cwd=tmp_path
        )
        assert result.returncode == 1, result.stderr  # some cells failed
        return json.loads(result.stdout.splitlines()[-1])

    # runs is a path relative to the folder of the command, which workers must know
    there, here = ran("there", "--cluster", nodes.address), ran("here")
    assert len(there["rows"]) == 3
    assert there["failed"] == here["failed"]
    assert len(there["failed"]) == 3
    measured = {"minutes", "seconds", "sentences_per_second", "teacher_sentences_per_second"}
    for one, other in zip(there["rows"], here["rows"], strict=True):
        assert {name: one[name] for name in one if name not in measured} == {
            name: other[name] for name in other if name not in measured
        }
    # a teacher, a task and a corpus for all
    assert len(list((tmp_path / "there" / "artifacts" / "corpus").iterdir())) == 1


def test_an_address_where_no_cluster_is(tmp_path, reviews, corpus):
    command = ["textbook", "build", "--task", str(reviews), "--corpus", str(corpus.artifact.path), "--k", "5"]
    result = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "out"), "--cluster", "127.0.0.1:1"])
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("hornbook: 127.0.0.1:1: no Ray cluster answers here")
