import json
import logging
import os
import resource
import shutil
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock
from safetensors import SafetensorError

from hornbook.errors import DiskFull, HornbookError
from hornbook.machine.disk import full_disk, is_full
from hornbook.recipe import FinetuneConfig
from hornbook.store import Store, content_key, fingerprint, keys, load, make, partial_path, publish, write_text


def build_once(out, text="hello", config=None, fail=False, calls=None):
    def build(context):
        if calls is not None:
            calls.append(text)
        (context.resume / "state").write_text("kept")
        (context.path / "data.txt").write_text(text)
        if fail:
            raise RuntimeError("killed")
        context.counts["letters"] = len(text)
        context.measured["speed"] = 3

    return make(out, stage="demo", version=1, config=config or {"text": text}, inputs={}, build=build)


def test_a_finished_artefact_has_checksums_and_nothing_else(tmp_path: Path):
    made = build_once(tmp_path / "a")
    assert sorted(p.name for p in made.path.iterdir()) == ["data.txt", "manifest.json", "run.json"]
    manifest = json.loads((made.path / "manifest.json").read_text())
    assert manifest["files"]["data.txt"]["bytes"] == 5
    assert made.counts == {"letters": 5}
    assert made.measured["speed"] == 3
    assert "speed" not in manifest
    assert not partial_path(made.path).exists()
    assert load(made.path, "demo").key == made.key


def test_finished_work_is_used_again_and_other_work_is_not_overwritten(tmp_path: Path):
    calls: list[str] = []
    assert not build_once(tmp_path / "a", calls=calls).reused
    assert build_once(tmp_path / "a", calls=calls).reused
    assert calls == ["hello"]
    with pytest.raises(HornbookError, match="holds a demo made from other settings"):
        build_once(tmp_path / "a", "other")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.txt").write_text("precious")
    with pytest.raises(HornbookError, match="holds something else; choose another folder"):
        build_once(tmp_path / "b")
    assert (tmp_path / "b" / "mine.txt").read_text() == "precious"


def test_a_run_that_died_leaves_nothing_finished_and_its_state_for_the_next(tmp_path: Path):
    with pytest.raises(RuntimeError):
        build_once(tmp_path / "a", fail=True)
    assert not (tmp_path / "a").exists()
    partial = partial_path(tmp_path / "a")
    assert (partial / "resume" / "state").read_text() == "kept"
    with pytest.raises(HornbookError, match="not a finished demo"):
        load(partial, "demo")

    def goes_on(context):
        assert (context.resume / "state").read_text() == "kept"
        assert not (context.path / "data.txt").exists()

    make(tmp_path / "a", stage="demo", version=1, config={"text": "hello"}, inputs={}, build=goes_on)
    assert not partial.exists()


def test_state_of_other_work_is_not_thrown_away_unasked(tmp_path: Path):
    with pytest.raises(RuntimeError):
        build_once(tmp_path / "a", fail=True)

    def starts_afresh(context):
        assert not (context.resume / "state").exists()

    again = {"stage": "demo", "version": 2, "config": {"text": "hello"}, "inputs": {}, "build": starts_afresh}
    with pytest.raises(HornbookError, match="an unfinished run with other settings or inputs"):
        make(tmp_path / "a", **again)
    assert (partial_path(tmp_path / "a") / "resume" / "state").read_text() == "kept"
    shutil.rmtree(partial_path(tmp_path / "a"))
    make(tmp_path / "a", **again)


def test_what_cannot_change_a_result_does_not_change_the_key():
    key = content_key("demo", 1, FinetuneConfig(), {})
    assert content_key("demo", 1, FinetuneConfig(checkpoint_minutes=1), {}) == key
    assert content_key("demo", 1, FinetuneConfig(epochs=4), {}) != key
    assert content_key("demo", 2, FinetuneConfig(), {}) != key
    assert content_key("demo", 1, FinetuneConfig(), {"task": "x"}) != key


def test_a_file_that_changed_is_noticed(tmp_path: Path):
    made = build_once(tmp_path / "a")
    assert made.file("data.txt").read_text() == "hello"
    (made.path / "data.txt").write_text("hello, world")
    with pytest.raises(HornbookError, match=r"data\.txt: missing or changed since it was made"):
        made.file("data.txt")


def test_a_dry_store_plans_and_a_store_shares(tmp_path: Path):
    dry = Store(tmp_path, dry=True)
    planned = build_once(dry)
    assert planned.planned
    assert not planned.path.exists()
    store = Store(tmp_path)
    made = build_once(store)
    assert made.path == planned.path
    assert made.key == planned.key
    assert build_once(dry).reused
    assert [a.reused for a in dry.requested] == [False, True]


def test_fingerprints_count_content_and_names_not_places(tmp_path: Path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.txt").write_text("same")
        os.utime(tmp_path / name / "x.txt", (1, 1 if name == "one" else 2))
    assert fingerprint([tmp_path / "one"]) == fingerprint([tmp_path / "two"])
    (tmp_path / "two" / "x.txt").write_text("else")
    assert fingerprint([tmp_path / "one"]) != fingerprint([tmp_path / "two"])
    with pytest.raises(HornbookError, match="no such file or folder"):
        fingerprint([tmp_path / "three"])


def test_what_a_packed_file_is_read_as_counts(tmp_path: Path):
    keys = {}
    for name in ("a.txt.gz", "b.gz", "a.jsonl.gz", "a.csv.gz", "a.tsv.gz", "a.csv", "v1.2.csv.gz"):
        (tmp_path / name).write_bytes(b"same")
        keys[name] = fingerprint([tmp_path / name])
    assert keys["a.txt.gz"] == keys["b.gz"]
    assert keys["a.csv.gz"] == keys["v1.2.csv.gz"]
    assert len(set(keys.values())) == 5


def test_a_run_that_dies_while_files_are_summed_goes_on_from_its_state(tmp_path: Path, monkeypatch):
    def dies(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hornbook.store.keys.checksum", dies)
        with pytest.raises(KeyboardInterrupt):
            build_once(tmp_path / "a")
    found = []

    def goes_on(context):
        found.append((context.resume / "state").read_text())

    make(tmp_path / "a", stage="demo", version=1, config={"text": "hello"}, inputs={}, build=goes_on)
    assert found == ["kept"]


def test_a_text_that_cannot_be_written_leaves_nothing(tmp_path: Path):
    write_text(tmp_path / "a.txt", "whole")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a.txt", "half \ud800")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "whole")]


def test_a_manifest_that_is_none_is_said_to_be_none(tmp_path: Path):
    (tmp_path / "manifest.json").write_text("[1]")
    with pytest.raises(HornbookError, match="not a finished demo"):
        load(tmp_path, "demo")


def test_a_file_is_compared_once_in_a_process_and_again_when_it_changes(tmp_path: Path, monkeypatch):
    made = build_once(tmp_path / "a")
    monkeypatch.setattr(keys, "_KNOWN", {})
    summed = []
    plain = keys.checksum
    monkeypatch.setattr(keys, "checksum", lambda path, **more: summed.append(path) or plain(path, **more))
    for _ in range(3):
        assert load(made.path).file("data.txt").read_text() == "hello"
    assert len(summed) == 1
    (made.path / "data.txt").write_text("hallo")
    os.utime(made.path / "data.txt", (1, 1))
    with pytest.raises(HornbookError, match=r"data\.txt: missing or changed since it was made; remove .*/a and run"):
        load(made.path).file("data.txt")


def test_what_was_just_made_is_not_read_again(tmp_path: Path, monkeypatch):
    made = build_once(tmp_path / "a")
    monkeypatch.setattr(keys, "checksum", lambda *_, **__: pytest.fail("read again"))
    assert made.file("data.txt").is_file()


def test_who_waits_for_another_process_says_so(tmp_path: Path, monkeypatch, caplog):
    monkeypatch.setattr(publish, "_SILENT_SECONDS", 0.1)
    began, goes_on = threading.Event(), threading.Event()

    def slow(context):
        (context.path / "data.txt").write_text("x")
        began.set()
        assert goes_on.wait(10)

    def ask(build):
        make(tmp_path / "a", stage="demo", version=1, config={}, inputs={}, build=build)

    threads = [threading.Thread(target=ask, args=(slow,)), threading.Thread(target=ask, args=(pytest.fail,))]
    with caplog.at_level(logging.INFO, "hornbook"):
        threads[0].start()
        assert began.wait(10)
        threads[1].start()
        deadline = time.monotonic() + 10
        while "waiting" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.01)
        goes_on.set()
        for thread in threads:
            thread.join()
    (said,) = (record.getMessage() for record in caplog.records if "waiting" in record.getMessage())
    assert said.startswith(f"{tmp_path / 'a'}: waiting for process {os.getpid()} on ")
    assert "since 2" in said
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_lock_that_a_killed_run_left_does_not_wait_and_is_removed(tmp_path: Path):
    for _ in range(2):
        (tmp_path / ".a.lock").touch()
        build_once(tmp_path / "a")
        assert [path.name for path in tmp_path.iterdir()] == ["a"]
    with FileLock(tmp_path / ".a.lock"):
        assert build_once(tmp_path / "a").reused


def caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        OSError(27, "File too large"),
        SafetensorError("Error while serializing: I/O error: File too large (os error 27)"),
        OSError(122, "Disk quota exceeded"),
        OSError("12800 requested and 0 written"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:783] . unexpected pos 9664 vs 9556"),
        RuntimeError("PytorchStreamWriter failed writing file data/4: file write failed"),
        caused(RuntimeError("could not save"), OSError(28, "No space left on device")),
    ],
)
def test_a_full_disk_is_told_in_one_line_and_what_is_kept_stays(tmp_path: Path, error):
    def fills(context):
        (context.resume / "state").write_bytes(bytes(3_000_000))
        context.needed = 12_000_000
        raise error

    with pytest.raises(DiskFull) as caught:
        make(tmp_path / "a", stage="demo", version=1, config={}, inputs={}, build=fills)
    assert str(caught.value).startswith(f"{tmp_path}: ")
    assert "MB free, about 12 MB needed); " in str(caught.value)
    assert ", then the same command goes on from what is finished" in str(caught.value)
    assert (tmp_path / ".a.partial" / "resume" / "state").is_file()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "the disk is full"),
        (OSError(122, "Disk quota exceeded"), "your share (quota) of the disk is used up"),
        (OSError(27, "File too large"), "its file system takes no file so large"),
        (SafetensorError("I/O error: File too large (os error 27)"), "its file system takes no file so large"),
    ],
)
def test_what_is_used_up_is_named(tmp_path: Path, error, said):
    assert str(full_disk(error, tmp_path)).startswith(f"{tmp_path}: {said} (")


def test_a_limit_of_the_size_of_files_is_named(tmp_path: Path):
    path = tmp_path / "a"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write_text(path, "x" * 3_000_000)
        said = str(full_disk(RuntimeError("PytorchStreamWriter failed writing file"), tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert is_full(caught.value)
    assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []
    assert said.startswith(f"{tmp_path}: no file may be larger than 2.0 MB (ulimit -f) (")


def test_a_file_elsewhere_tells_where_the_disk_is_full(tmp_path: Path):
    error = OSError(28, "No space left on device", str(tmp_path / "there" / "data.txt"))
    assert str(full_disk(error, tmp_path / "here")).startswith(f"{tmp_path / 'there'}: the disk is full (")
    assert str(full_disk(error, tmp_path)).startswith(f"{tmp_path}: the disk is full (")


def test_what_was_measured_and_cannot_be_read_is_told_in_one_line(tmp_path: Path):
    made = make(tmp_path / "a", stage="demo", version=1, config={}, inputs={}, build=lambda _: None)
    (tmp_path / "a" / "run.json").write_text("{")
    with pytest.raises(HornbookError, match=r"run\.json: missing or changed since it was made; remove"):
        _ = made.measured


@pytest.mark.parametrize(
    "error",
    [
        OSError(2, "No such file or directory"),
        RuntimeError("[enforce fail at inline_container.cc:145] . PytorchStreamReader failed reading zip archive"),
        ValueError("28"),
    ],
)
def test_what_is_wrong_otherwise_is_no_full_disk(tmp_path: Path, error):
    def fails(_):
        raise error

    with pytest.raises(type(error)) as caught:
        make(tmp_path / "a", stage="demo", version=1, config={}, inputs={}, build=fails)
    assert caught.value is error
