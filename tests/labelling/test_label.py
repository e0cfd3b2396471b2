"""`hornbook label` against a fake server: what it asks, what it pays for, and what it never guesses."""

import asyncio
import csv
import itertools
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.labelling.fake_server import completion, fake_server, graded
from typer.testing import CliRunner

from hornbook.errors import HornbookError
from hornbook.labelling import ask, client
from hornbook.labelling.label import label_file
from hornbook.recipe import LabelConfig

PROMPT = "Is this review good or bad?\n{text}"


def config(**settings) -> LabelConfig:
    return LabelConfig(labels=("bad", "good"), **settings)


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv(client.API_KEY, raising=False)
    monkeypatch.setattr(client, "_FIRST_WAIT", 0.02)


@pytest.fixture
def files(tmp_path) -> Path:
    (tmp_path / "prompt.txt").write_text(PROMPT)
    return rows(tmp_path, 6)


def rows(folder: Path, count: int) -> Path:
    lines = (json.dumps({"id": i, "text": f"film {i} {{text}} {{0}}"}) for i in range(count))
    (folder / "in.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return folder


def number(body: dict) -> int:
    return int(re.search(r"film (\d+)", body["messages"][0]["content"])[1])


def honest(body: dict) -> dict:
    """Every third film is bad, with a probability that depends on it."""
    i = number(body)
    return graded("bad", 0.9, "good") if i % 3 == 0 else graded("good", 0.6 + i % 4 / 10, "bad")


def run(folder: Path, server, settings: LabelConfig | None = None, out: str = "out.jsonl", **more):
    return label_file(
        folder / "in.jsonl",
        folder / out,
        endpoint=server.endpoint,
        model="fake",
        prompt=folder / "prompt.txt",
        config=settings or config(),
        **more,
    )


def written(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]


def test_rows_come_in_their_order_with_probabilities_from_tokens(files):
    with fake_server(honest, seconds=0.01) as server:
        done = run(files, server, config(at_once=3))
    assert (done.rows, done.calls, done.tokens, done.samples, done.stopped) == (6, 6, 270, 1, None)
    assert server.most_at_once <= 3
    assert written(files)[:2] == [
        {"text": "film 0 {text} {0}", "label": "bad", "bad": 0.9, "good": 0.1},
        {"text": "film 1 {text} {0}", "label": "good", "bad": 0.3, "good": 0.7},
    ]
    assert [one["text"] for one in written(files)] == [f"film {i} {{text}} {{0}}" for i in range(6)]
    body = server.requests[0]
    assert body["messages"] == [{"role": "user", "content": "Is this review good or bad?\nfilm 0 {text} {0}"}]
    assert body["response_format"]["json_schema"]["schema"]["properties"]["label"]["enum"] == ["bad", "good"]
    assert (body["logprobs"], body["top_logprobs"], body["max_tokens"], body["model"]) == (True, 20, 64, "fake")
    assert sorted(path.name for path in files.iterdir() if path.suffix != ".lock") == [
        *("in.jsonl", "out.answers.jsonl", "out.jsonl", "prompt.txt"),
    ]


def test_equal_texts_are_asked_once_and_pairs_fill_both_places(tmp_path):
    (tmp_path / "prompt.txt").write_text("bad or good? {labels}: {text} / {text_pair} {{text}} {'a': 1}")
    table = [("film 1", "b"), ("film 1", "c"), ("film 1", "b")]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": a, "text_pair": b}) + "\n" for a, b in table))
    with fake_server(honest) as server:
        assert run(tmp_path, server).calls == 2
    assert sorted(server.texts) == [f"bad or good? bad, good: film 1 / {b} {{text}} {{'a': 1}}" for b in "bc"]
    assert [(one["text"], one["text_pair"]) for one in written(tmp_path)] == table


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_other_formats(files, suffix):
    with fake_server(honest) as server:
        run(files, server, out=f"out.{suffix}")
    path = files / f"out.{suffix}"
    found = pq.read_table(path).to_pylist() if suffix == "parquet" else list(csv.DictReader(path.open()))
    assert [str(found[1][name]) for name in ("text", "label", "bad", "good")] == [
        *("film 1 {text} {0}", "good", "0.3", "0.7"),
    ]


def test_without_log_probabilities_shares_of_samples(files, caplog):
    turns = itertools.count()

    def sampled(body):
        return completion('{"label": "good"}' if number(body) % 2 or next(turns) % 5 < 2 else '{"label": "bad"}')

    with fake_server(sampled) as server, caplog.at_level("INFO", "hornbook"):
        done = run(files, server, config(samples=5, at_once=1))
    assert (done.calls, done.samples) == (30, 5)
    assert [one["good"] for one in written(files)] == [0.4, 1.0, 0.4, 1.0, 0.4, 1.0]
    assert [one["label"] for one in written(files)] == ["bad", "good"] * 3
    assert "the server gives no log-probabilities: 5 samples per text" in caplog.text
    assert ["logprobs" in body for body in server.requests] == [True] + [False] * 29
    assert {body["temperature"] for body in server.requests} == {1.0}
    with fake_server(sampled) as server:  # more samples pay for the new ones only, and ask for no log-probabilities
        assert run(files, server, config(samples=6), force=True).calls == 6
    assert not any("logprobs" in body for body in server.requests)


def test_settings_that_demand_what_the_server_lacks(files):
    with (
        fake_server(lambda body: completion('{"label": "good"}')) as server,
        pytest.raises(HornbookError, match="gives no log-probabilities; use --probabilities samples"),
    ):
        run(files, server, config(probabilities="logprobs"))
    assert server.requests[0]["temperature"] == 0


def refuses(*names: str):
    """A server that refuses some parts of a request, one at a time."""

    def reply(body):
        for name in names:
            if name in body:
                return 400, {}, {"error": {"message": f"Unsupported parameter: {name!r}", "param": name}}
        if "response_format" in body:
            return honest(body)
        return completion(json.loads(honest(body)["choices"][0]["message"]["content"])["label"])

    return reply


def test_what_a_server_refuses_is_left_out_and_logged(files, caplog):
    names = ("max_tokens", "temperature", "response_format", "logprobs")
    with fake_server(refuses(*names)) as server, caplog.at_level("INFO", "hornbook"):
        done = run(files, server, config(samples=2))
    assert (done.rows, done.calls, done.samples, len(server.requests)) == (6, 12, 2, 16)
    assert server.requests[-1].keys() == {"model", "messages", "max_completion_tokens"}
    assert [one["label"] for one in written(files)] == ["bad", "good", "good"] * 2
    said = next(line for line in caplog.messages if "refuses" in line)
    for part in ("max_completion_tokens", "the model's own", "not restricted to the labels", "from 2 samples"):
        assert part in said


@pytest.mark.parametrize(("setting", "name"), [({"answer": "enum"}, "response_format")])
def test_what_the_settings_demand_is_never_left_out(files, setting, name):
    with (
        fake_server(refuses(name)) as server,
        pytest.raises(HornbookError, match=r"refuses the request, 3 times in a row: .*response_format"),
    ):
        run(files, server, config(**setting))
    assert all(name in body for body in server.requests)


def test_refusals_and_nonsense_are_counted_and_never_guessed(files):
    odd = {
        0: completion(None, refusal="I cannot help with that"),
        1: completion("", finish_reason="content_filter"),
        2: completion('{"label": "excellent"}'),
        3: completion('{"lab', finish_reason="length"),
        5: {"choices": []},
    }
    with fake_server(lambda body: odd.get(number(body)) or honest(body)) as server:
        done = run(files, server)
        assert (done.rows, done.refused, done.nonsense, done.cut) == (1, 2, 2, 1)
        assert done.first_fault == f"{files / 'in.jsonl'}: line 1: refused: 'I cannot help with that'"
        assert [one["text"][:6] for one in written(files)] == ["film 4"]
        assert run(files, server, force=True).calls == 0  # they are paid for too


def test_a_text_that_the_server_rejects_is_counted_and_not_paid_for(files):
    def reply(body):
        return (413, {}, {"error": {"message": "too long"}}) if number(body) == 2 else honest(body)

    with fake_server(reply) as server:
        done = run(files, server)
        assert (done.rows, done.rejected, done.calls, done.left) == (5, 1, 5, 0)
        assert done.first_fault == f"{files / 'in.jsonl'}: line 3: rejected: 'too long'"


def test_answers_that_are_never_labels_stop_the_run_early(tmp_path):
    (tmp_path / "prompt.txt").write_text(PROMPT)
    rows(tmp_path, 60)
    with (
        fake_server(lambda body: (200, {}, "<html>the page of a router</html>")) as server,
        pytest.raises(HornbookError, match=r"none of the first 20 answers is a label.*the page of a router"),
    ):
        run(tmp_path, server)
    assert len(server.requests) == 20


@pytest.mark.parametrize(("limit", "rows_"), [({"most_calls": 4}, 4), ({"most_tokens": 45 * 4 + 30}, 4)])
def test_a_budget_counts_earlier_runs(files, limit, rows_):
    with fake_server(honest) as server:
        done = run(files, server, config(**limit))
        assert (done.rows, done.calls, done.left) == (rows_, rows_, 6 - rows_)
        assert done.stopped == f"--{next(iter(limit)).replace('_', '-')}"
        assert len(written(files)) == rows_
        assert run(files, server, config(**limit), force=True).calls == 0
        done = run(files, server, force=True)
        assert (done.rows, done.calls, done.left) == (6, 6 - rows_, 0)


def test_the_cost_is_said_before_anything_is_asked(files, caplog):
    with fake_server(honest) as server, caplog.at_level("INFO", "hornbook"):
        done = run(files, server, config(most_calls=100), dry_run=True)
        assert not server.requests
        assert (done.left, done.stopped) == (6, "--dry-run")
        assert not (files / "out.jsonl").exists()
        said = caplog.messages[0]
        run(files, server)
        caplog.clear()
        rows(files, 8)
        run(files, server, force=True, dry_run=True)
    characters = len(PROMPT.replace("{text}", "film 0 {text} {0}"))
    tokens = 6 * (characters / 4 + 1 + 10)
    assert said == (
        f"6 different texts, 0 calls answered already (0 tokens): 6 calls to make, about {tokens:,.0f} tokens (at 4 "
        "characters per token; other languages than English need more); 5 times as much if the server gives no "
        "log-probabilities; stops at --most-calls 100"
    )
    assert "8 different texts, 6 calls answered already (270 tokens): 2 calls to make, about 90 tokens" in caplog.text


def test_a_busy_server_is_waited_for(files, caplog):
    turns = itertools.count()

    def reply(body):
        turn = next(turns)
        if turn in (2, 5):
            return 429, {"retry-after": "0.2"}, {"error": {"message": "slow down"}}
        return (503, {}, "busy") if turn == 4 else honest(body)

    with fake_server(reply) as server, caplog.at_level("INFO", "hornbook"):
        started = time.monotonic()
        done = run(files, server, config(at_once=1))
    assert time.monotonic() - started > 0.4
    assert (done.rows, done.calls, len(server.requests)) == (6, 6, 9)
    assert "waiting 0.2 s: slow down" in caplog.text


def test_waiting_is_bounded(files):
    with (
        fake_server(lambda body: (429, {"retry-after": "3600"}, {"error": {"message": "quota"}})) as server,
        pytest.raises(HornbookError, match=r"demands to wait 3,600 s \(quota\), longer than --longest-wait"),
    ):
        run(files, server)
    assert len(server.requests) == 1
    with (
        fake_server(lambda body: (500, {}, {"error": {"message": "broken"}})) as server,
        pytest.raises(HornbookError, match=r"a call failed .* times in .*, the last: broken; all answers are kept"),
    ):
        run(files, server, config(patience=0.3))
    with (
        fake_server(honest, seconds=1) as server,
        pytest.raises(HornbookError, match=r"a call failed 1 times in .*, the last: no answer for 0.1 s"),
    ):
        run(files, server, config(patience=0, timeout=0.1))


def test_what_others_have_asked_is_kept_when_a_call_fails_for_good(files):
    def reply(body):
        if number(body) == 1:
            return 401, {}, {"error": {"message": "no"}}
        time.sleep(0.1 if number(body) else 0)
        return honest(body)

    with fake_server(reply) as server:
        with pytest.raises(HornbookError, match="401: no; set OPENAI_API_KEY"):
            run(files, server, config(at_once=3))
        assert len((files / "out.answers.jsonl").read_text().splitlines()) == 3
    with fake_server(honest) as server:
        assert run(files, server).calls == 3


def test_the_key_comes_from_the_environment_and_is_never_shown(files, monkeypatch, caplog):
    monkeypatch.setenv(client.API_KEY, "sk-secret")
    with fake_server(honest) as server, caplog.at_level("DEBUG", "hornbook"):
        run(files, server)
    assert set(server.keys) == {"Bearer sk-secret"}
    with (
        fake_server(lambda body: (401, {}, {"error": {"message": "wrong key sk-secret"}})) as server,
        pytest.raises(HornbookError, match=r"wrong key \*\*\*; set"),
    ):
        run(files, server, config(temperature=0.5), force=True)
    everything = caplog.text + "".join(p.read_text() for p in files.iterdir())
    assert "sk-secret" not in everything


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("good or bad?", r"has no \{text\}"),
        ("{text}: good?", "does not name the label 'bad'"),
        ("{txt} good bad", r"\{txt\} is unknown; did you mean \{text\}\?"),
        ("{text} {text_pair} {labels}", "no column 'text_pair'"),
    ],
)
def test_prompts_are_checked(files, prompt, message):
    (files / "prompt.txt").write_text(prompt)
    with fake_server(honest) as server, pytest.raises(HornbookError, match=message):
        run(files, server)
    assert not server.requests


@pytest.mark.parametrize(
    ("labels", "message"),
    [(["a"], "at least two"), (["a", "a"], "twice"), (["a", " b"], "white space"), (["text", "b"], "a column")],
)
def test_labels_are_checked(labels, message):
    with pytest.raises(ValueError, match=message):
        LabelConfig(labels=labels)
    assert LabelConfig(labels=[1, 2]).labels == ("1", "2")


def test_a_last_line_without_its_end_is_dropped_and_other_files_are_refused(files):
    answers = files / "out.answers.jsonl"
    with fake_server(honest) as server:
        run(files, server)
        whole = answers.read_bytes()
        for torn in (whole[:-1], whole[:20], whole[: whole.rfind(b"{") + 5]):
            answers.write_bytes(torn)
            missing = 6 - torn.count(b"\n")
            assert run(files, server, force=True).calls == missing
            assert sorted(answers.read_bytes().splitlines()) == sorted(whole.splitlines())
        other = (files / "in.jsonl").read_bytes()
        with pytest.raises(HornbookError, match="line 1 is not an answer of hornbook label"):
            run(files, server, answers=files / "in.jsonl", force=True)
        (files / "note.txt").write_text("a note")
        with pytest.raises(HornbookError, match="not a file of answers"):
            run(files, server, answers=files / "note.txt", force=True)
        assert (files / "in.jsonl").read_bytes() == other
        assert (files / "note.txt").read_text() == "a note"


@pytest.mark.parametrize("named", ["retry-after", "retry-after-ms"])
def test_what_a_server_demands_to_wait(named):
    value = {"retry-after": "2.5", "retry-after-ms": "2500"}[named]
    assert client.retry_after({named: value}, 0) == 2.5
    now = datetime(2026, 1, 2, tzinfo=UTC)
    date = format_datetime(now + timedelta(seconds=90), usegmt=True)
    assert client.retry_after({"retry-after": date}, now.timestamp()) == 90
    assert client.retry_after({named: "-1"}, 0) == 0
    for odd in ({}, {"retry-after": "soon"}, {"retry-after": "nan"}):
        assert client.retry_after(odd, 0) is None


def killed(folder: Path, server, calls: int, units: int) -> list[int]:
    """Kill a run three times, each after about this many more calls; return how many were made by then."""
    words = ["label", folder / "in.jsonl", "--endpoint", server.endpoint, "--model", "fake", "--prompt"]
    words += [folder / "prompt.txt", "--labels", "[bad, good]", "--out", folder / "out.jsonl", "--at-once", "4"]
    line = [sys.executable, "-m", "hornbook", *map(str, words)]
    made = []
    for turn in range(3):
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        while len(server.requests) < (turn + 1) * calls and process.poll() is None:
            time.sleep(0.002)
        process.send_signal((signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[turn])
        said = process.communicate(timeout=300)[0].decode()
        assert "Traceback" not in said
        assert process.returncode == (-signal.SIGKILL, 143, 130)[turn]
        made.append(len(server.requests))
    done = subprocess.run([*line, "--json"], capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == units
    return made


@pytest.mark.slow
@pytest.mark.parametrize(("units", "calls"), [(1000, 250)])
def test_a_killed_run_pays_for_no_call_twice(tmp_path, units, calls):
    (tmp_path / "prompt.txt").write_text(PROMPT)
    rows(tmp_path, units)
    with fake_server(honest, seconds=0.005) as server:
        made = killed(tmp_path, server, calls, units)
    assert made[0] >= calls  # it was really running
    assert units <= len(server.requests) <= units + 3 * 4
    assert len(set(server.texts)) == units
    assert [one["text"] for one in written(tmp_path)] == [f"film {i} {{text}} {{0}}" for i in range(units)]


def test_an_interrupted_run_pays_for_no_call_twice(tmp_path, monkeypatch, request):
    """The same within this process, by Ctrl-C; answers that have arrived by then are kept."""
    (tmp_path / "prompt.txt").write_text(PROMPT)
    rows(tmp_path, 50)
    original = ask.read_answer
    turns = [24, 16, 8]

    def interrupting(payload, spellings):
        if turns and len(server.requests) >= turns[-1]:
            turns.pop()
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            time.sleep(0.1)  # the other thread sees it meanwhile
        return original(payload, spellings)

    monkeypatch.setattr(ask, "read_answer", interrupting)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore Ctrl-C
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    with fake_server(honest, seconds=0.01) as server:
        for left in (2, 1, 0):
            with pytest.raises(KeyboardInterrupt):
                run(tmp_path, server, config(at_once=4))
            assert len(turns) == left
        assert len(server.requests) < 50
        assert run(tmp_path, server).rows == 50
    assert 50 <= len(server.requests) <= 50 + 3 * 4


def test_a_loop_that_is_running_is_no_obstacle(files):
    async def in_a_notebook(server):
        return run(files, server)

    with fake_server(honest) as server:
        assert asyncio.run(in_a_notebook(server)).rows == 6


def test_the_command(files, monkeypatch):
    from hornbook.cli.main import app

    words = ["label", files / "in.jsonl", "--model", "fake", "--prompt", files / "prompt.txt", "--labels"]
    words += ["[bad, good]", "--out", files / "out.jsonl"]
    with fake_server(honest) as server:
        done = CliRunner().invoke(app, [*map(str, words), "--endpoint", server.endpoint])
        assert done.exit_code == 0, done.output
        assert done.stdout == f"{files / 'out.jsonl'}: 6 rows with a label; 6 calls, 270 tokens in all\n"
        again = CliRunner().invoke(app, [*map(str, words), "--endpoint", server.endpoint, "--force", "--json"])
        answer = json.loads(again.stdout)
        assert (answer["file"], answer["rows"], answer["calls"]) == (str(files / "out.jsonl"), 6, 0)
        assert CliRunner().invoke(app, [*map(str, words), "--endpoint", server.endpoint]).exit_code == 2
    wrong = CliRunner().invoke(app, [*map(str, words), "--force", "--endpoint", "localhost:1/v1"])
    assert "--endpoint: localhost:1/v1: give an address" in wrong.stderr


def test_the_page_works_word_for_word(tmp_path, monkeypatch):
    from hornbook.cli.main import app

    page = (Path(__file__).parents[2] / "docs" / "how-to" / "llm-teacher.md").read_text("utf-8")
    blocks = dict(re.findall(r"^```(\w+)\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    shown = json.loads(blocks["json"])
    monkeypatch.chdir(tmp_path)
    Path("prompt.txt").write_text(blocks["text"])
    Path("to-label.jsonl").write_text(json.dumps({"text": shown["text"]}) + "\n")
    with fake_server(lambda body: graded("good", 0.92, "bad")) as server:
        lines = blocks["bash"].replace("\\\n", " ").replace("http://localhost:8000/v1", server.endpoint).splitlines()
        assert len(lines) == 2
        for line, calls in zip(lines, (0, 1), strict=True):
            done = CliRunner().invoke(app, shlex.split(line)[1:])
            assert done.exit_code == 0, done.output
            assert len(server.requests) == calls
    assert [json.loads(line) for line in Path("labels.jsonl").read_text().splitlines()] == [shown]
    assert 'JSON such as {"label": "good"}; the labels are: bad, good.' in server.texts[0]
