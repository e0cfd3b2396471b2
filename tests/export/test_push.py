"""Uploads to a hub that this machine stands in for: what arrives, and what is refused."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import ModelCard, constants
from tests.export.made_up import export
from typer.testing import CliRunner

from hornbook.cli.main import app
from hornbook.errors import HornbookError, Unreachable
from hornbook.export.card import CARD, write_card
from hornbook.export.push import check_push, push
from hornbook.machine import hub


class Hub:
    """Repositories by name: whether private, and their files; `hf_own` may write to `me`."""

    def __init__(self):
        self.repositories, self.yaml, self.address = {}, [], ""

    def answer(self, method, path, token, body):
        """Return the status and the content of an answer."""
        if token not in ("Bearer hf_own", "Bearer hf_other"):
            return 401, {"error": "Invalid credentials"}
        parts = path.strip("/").split("/")
        if parts[:3] == ["api", "repos", "create"]:
            wanted = json.loads(body)
            name = f"{wanted.get('organization') or 'me'}/{wanted['name']}"
            if name in self.repositories:
                return 409, {"url": f"{self.address}/{name}", "error": "exists"}
            if token != "Bearer hf_own" or not name.startswith("me/"):
                return 403, {"error": "Forbidden: no right"}
            self.repositories[name] = {"private": wanted["visibility"] == "private", "files": {}}
            return 200, {"url": f"{self.address}/{name}"}
        if parts == ["api", "validate-yaml"]:
            self.yaml.append(json.loads(body)["content"])
            return 200, {"errors": [], "warnings": []}
        name = "/".join(parts[2:4])
        if name not in self.repositories:
            return 404, {"error": "Repository not found"}
        there = self.repositories[name]
        if method == "GET":
            files = [{"rfilename": one} for one in there["files"]]
            return 200, {"id": name, "private": there["private"], "siblings": files}
        if token != "Bearer hf_own":
            return 403, {"error": "Forbidden: no right"}
        if parts[4] == "preupload":
            paths = [one["path"] for one in json.loads(body)["files"]]
            return 200, {"files": [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in paths]}
        assert parts[4] == "commit"
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                there["files"][value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "deletedFile":
                del there["files"][value["path"]]
        return 200, {"commitUrl": f"{self.address}/{name}/commit/1", "commitOid": "1", "success": True}


@pytest.fixture
def served(monkeypatch):
    """A hub on this machine, and a token for it."""
    own = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            path = self.path.partition("?")[0]
            status, content = own.answer(self.command, path, self.headers.get("authorization"), body)
            sent = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else sent)

        do_POST = do_HEAD = do_GET

        def log_message(self, *_):
            pass

    monkeypatch.setattr(hub, "_known", hub._Known(patience=2.0))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_own")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        own.address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", own.address)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield own
        server.shutdown()


@pytest.fixture
def exported(tmp_path):
    made = export(tmp_path / "out")
    write_card(made, "someone/model")
    (made.path / ".cache").mkdir()
    (made.path / ".cache" / "notes.txt").write_text("mine")
    (made.path / "texts.csv").write_text("mine")
    return made


def test_an_upload_is_private_and_has_the_exports_own_files(served, exported):
    assert push(exported, "me/films") == f"{served.address}/me/films"
    there = served.repositories["me/films"]
    assert there["private"] is True
    assert set(there["files"]) == {*exported.manifest["files"], "manifest.json", CARD}
    for name in (*exported.manifest["files"], "manifest.json"):
        assert there["files"][name] == (exported.path / name).read_bytes()
    card = there["files"][CARD].decode()
    assert 'pipeline("text-classification", "me/films", truncation=True)' in card
    assert served.yaml == [card]
    assert ModelCard(card).data.pipeline_tag == "text-classification"
    assert not any(b"a-secret-host" in content for content in there["files"].values())


def test_a_second_upload_replaces_the_first_and_leaves_no_old_graph(served, exported, tmp_path):
    push(exported, "films")
    files = served.repositories["me/films"]["files"]
    files["notes.md"] = b"theirs"
    float_only = export(tmp_path / "other", int8=False)
    write_card(float_only, "someone/model")
    push(float_only, "me/films")
    assert set(files) == {*float_only.manifest["files"], "manifest.json", CARD, "notes.md"}


def test_a_public_repository_is_not_filled_by_accident(served, exported):
    push(exported, "me/shown", public=True)
    assert served.repositories["me/shown"]["private"] is False
    served.repositories["me/shown"]["files"].clear()
    with pytest.raises(HornbookError, match=r"^me/shown: exists on the hub and is public; add --public"):
        push(exported, "me/shown")
    assert served.repositories["me/shown"]["files"] == {}
    push(exported, "me/shown", public=True)
    assert CARD in served.repositories["me/shown"]["files"]


def test_what_was_changed_after_its_checks_is_not_uploaded(served, exported):
    (exported.path / "onnx" / "model.onnx").write_bytes(b"other" * 9)
    with pytest.raises(HornbookError, match="missing or changed since it was made"):
        push(exported, "me/films")
    assert served.repositories == {}


@pytest.mark.parametrize(
    ("token", "repository", "message"),
    [
        ("hf_wrong", "me/films", "me/films: the hub does not accept the token"),
        ("hf_own", "them/films", "them/films: the token has no right to write there"),
        ("hf_other", "me/there", "me/there: the token has no right to write there"),
    ],
)
def test_a_refusal_is_one_line(served, exported, monkeypatch, token, repository, message):
    push(exported, "me/there")
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(HornbookError) as refused:
        push(exported, repository)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_without_token_or_hub_nothing_is_begun(served, exported, monkeypatch):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(HornbookError, match=r"^me/films: an upload needs a token with write access; run `hf auth"):
        check_push("me/films")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(Unreachable, match=r"^me/films: nothing is uploaded while the hub is not used; unset"):
        push(exported, "me/films")
    assert served.repositories == {}


def test_a_hub_that_does_not_answer_is_noticed_first(served, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(Unreachable, match=r"nothing is uploaded while the hub is not used; try again when"):
        check_push("me/films")


def test_the_command_refuses_before_it_exports(served, tmp_path, monkeypatch):
    out = tmp_path / "out"

    def said(*options):
        done = CliRunner().invoke(app, ["export", "no-such-model", "--out", str(out), *options])
        assert done.exit_code == 2
        return done.output

    assert "not a repository of the hub; write NAME or OWNER/NAME" in said("--push-to-hub", "a/b/c")
    assert "--push-to-hub" in said("--public")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "nothing is uploaded while the hub is not used" in said("--push-to-hub", "me/films")
    assert not out.exists()
