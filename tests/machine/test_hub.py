"""A hub that says nothing, refuses, or is slow: stood in for by sockets of this machine."""

import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import datasets
import pytest
import yaml
from huggingface_hub import constants

from hornbook import experiment
from hornbook.cli.main import app
from hornbook.errors import HornbookError, Unreachable
from hornbook.experiment import FinishedCells
from hornbook.machine import hub
from hornbook.models.source import load_config, model_key
from hornbook.models.tokenizers import load_tokenizer
from hornbook.pipeline import check, plan
from hornbook.recipe import load_experiment, load_recipe
from hornbook.tasks.sources import locate

GLUE = ["glue/rte", "glue/mrpc", "glue/cola"]


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """A process that has not asked the hub yet, and has little patience."""
    monkeypatch.setattr(hub, "_known", hub._Known(patience=1.0))
    monkeypatch.setattr(hub, "_BRIEF_SECONDS", 0.5)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)


@pytest.fixture
def silent(monkeypatch):
    """A hub that takes connections and never answers; returns them."""
    taken = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take():
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield taken
        server.shutdown(socket.SHUT_RDWR)
    for one in taken:
        one.close()


@pytest.fixture
def refusing(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")


@contextmanager
def server_that(answer, monkeypatch):
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            answer(self)

        do_GET = do_POST = do_HEAD

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield
        server.shutdown()


@pytest.fixture
def file(tmp_path, reviews, general_text):
    """Return an experiment of cells on three tasks of the hub and one that is here, over a corpus of the hub."""
    recipe = {
        "name": "small",
        "task": {"source": str(reviews)},
        "corpus": {"sources": [str(general_text)]},
        "textbooks": {"general": {"kind": "general", "units": 50}},
        "teacher": {"model": "someone/bert"},
        "student": {"layers": 1, "hidden": 16, "heads": 2},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    axes = {"task.source": GLUE, "seed": [0, 1]}
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump({"name": "grid", "recipe": "recipe.yaml", "axes": axes}))
    return tmp_path / "grid.yaml"


def test_a_silent_hub_is_asked_once_for_all_cells(silent, file, tmp_path):
    cells = experiment.cells(load_experiment(file), file)
    found = experiment.plan(cells, tmp_path / "runs", FinishedCells())
    assert len(silent) == 1
    assert found.unreachable == (GLUE[0], "someone/bert", *GLUE[1:])
    assert (found.cells, found.waiting, found.finished, found.failed) == (6, 6, 0, {})


def test_cells_that_need_nothing_of_the_hub_are_planned(silent, file, tiny_teacher, reviews, tmp_path):
    text = file.read_text().replace("- glue/mrpc", f"- {reviews}")
    file.write_text(text)
    recipe = file.with_name("recipe.yaml")
    recipe.write_text(recipe.read_text().replace("someone/bert", str(tiny_teacher)))
    found = experiment.plan(experiment.cells(load_experiment(file), file), tmp_path / "runs", FinishedCells())
    assert found.waiting == 4
    assert found.unreachable == ("glue/rte", "glue/cola")
    assert found.stages > 4


def test_what_is_said_of_an_experiment(refusing, file, tmp_path, invoke):
    done = invoke(["experiment", str(file), "--dry-run", "--runs", str(tmp_path / "runs")])
    assert done.exit_code == 0
    first, second = done.stdout.splitlines()
    assert first.startswith("6 cells, 0 finished; 0 stages")
    reached = (
        "6 cells are not in the plan; out of reach: glue/rte, someone/bert, glue/mrpc, glue/cola (http://127.0.0.1:"
    )
    assert second.startswith(reached)
    assert "does not answer" in second


@pytest.fixture
def invoke():
    from typer.testing import CliRunner

    return lambda arguments: CliRunner().invoke(app, arguments)


def test_a_plan_names_all_that_is_out_of_reach(silent, file, tmp_path):
    recipe = load_recipe(file.with_name("recipe.yaml"), {"task.source": "glue/rte", "corpus.sources": "[hub:a/b]"})
    with pytest.raises(Unreachable, match=r"^glue/rte, hub:a/b, someone/bert: out of reach \(http://.* within 1 s\)"):
        plan(recipe, tmp_path / "runs")
    assert len(silent) == 1


def test_a_check_names_each_once(silent, file):
    recipe = load_recipe(file.with_name("recipe.yaml"), {"task.source": "glue/rte", "corpus.sources": "[hub:a/b]"})
    found = check(recipe)
    assert [line.split(": ")[0] for line in found] == ["glue/rte", "hub:a/b", "someone/bert"]
    assert all("does not answer within 0 s" in line for line in found)
    assert len(silent) == 1


def test_a_hub_that_refuses_is_found_out_at_once(refusing):
    started = time.monotonic()
    for ask in (model_key, load_config, load_tokenizer):
        with pytest.raises(Unreachable, match=r"try again when the hub can be reached \(http://.* does not answer"):
            ask("someone/bert")
    assert time.monotonic() - started < 0.5


def test_a_slow_hub_is_asked_and_what_it_does_not_have_is_an_error(monkeypatch):
    def slowly(request):
        time.sleep(0.6)
        request.send_response(404)
        request.send_header("X-Error-Code", "RepoNotFound")
        request.end_headers()

    with server_that(slowly, monkeypatch):
        with pytest.raises(HornbookError, match="the hub could not give it") as caught:
            model_key("someone/bert")
        assert not isinstance(caught.value, Unreachable)
        assert not constants.HF_HUB_OFFLINE


def test_what_a_broken_hub_did_not_give_is_not_asked_for_again(monkeypatch):
    asked = []

    def fail(*_, **__):
        asked.append(1)
        raise ConnectionError("503")

    monkeypatch.setattr(datasets, "load_dataset_builder", fail)
    hub._known.answers = True
    settings = load_recipe.__globals__["Recipe"].model_fields["task"].annotation
    for name in ("glue/rte", "glue/rte", "glue/cola"):
        with pytest.raises(Unreachable, match=f"^{name}: "):
            locate(settings(source=name))
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("status", "said"),
    [(500, "error 500"), (503, "error 503"), (429, "error 429"), (200, "answers with a web page")],
)
def test_a_hub_with_an_error_of_its_own_is_asked_once(monkeypatch, file, status, said):
    asked = []

    def fail(request):
        asked.append(request.path)
        request.send_response(status)
        request.send_header("Content-Type", "text/html; charset=utf-8")
        request.end_headers()

    recipe = load_recipe(file.with_name("recipe.yaml"), {"task.source": "glue/rte", "corpus.sources": "[hub:a/b]"})
    with server_that(fail, monkeypatch):
        found = check(recipe)
    assert len(asked) == 1
    assert [line.split(": ")[0] for line in found] == ["glue/rte", "hub:a/b", "someone/bert"]
    assert all(said in line and "HF_HUB_OFFLINE" not in line and "OfflineMode" not in line for line in found)
