"""What `verify` finds, and manifests that are not as they were written."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hornbook.errors import HornbookError
from hornbook.store import Store, load, make
from hornbook.store.manifest import check, sealed
from hornbook.store.verify import verify


def build(out, stage, inputs, text="data"):
    def fill(context):
        (context.path / "data.txt").write_text(text)
        context.counts["rows"] = 5
        context.info |= {"labels": ["a", "é"], "shares": {"x": 0.1}}

    return make(out, stage=stage, version=1, config={}, inputs=inputs, build=fill)


@pytest.fixture
def chain(tmp_path):
    """A task, a textbook of it and a student of both, in a store."""
    store = Store(tmp_path / "artifacts")
    task = build(store, "task", {"source": "0" * 32})
    book = build(store, "textbook", {"task": task.key})
    return task, book, build(store, "student", {"task": task.key, "textbook": book.key})


def test_sound_artefacts_are_sound(chain):
    found = verify(chain[2].path)
    assert {path.parent.name for path in found.artifacts} == {"task", "textbook", "student"}
    assert found.files == 3
    assert found.faults == ()
    assert found.elsewhere == (f"{chain[0].path.resolve()}: source",)


def test_a_changed_and_a_missing_input_are_named(chain):
    (chain[0].path / "data.txt").write_text("dat2")
    (chain[1].path / "data.txt").unlink()
    wanted = {f"{chain[0].path.resolve()}/data.txt: changed", f"{chain[1].path.resolve()}/data.txt: missing"}
    assert set(verify(chain[2].path).faults) == wanted


def test_a_run_is_verified_by_its_links(chain, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "student").symlink_to(chain[2].path, target_is_directory=True)
    (run / "gone").symlink_to(tmp_path / "nowhere")
    found = verify(run)
    assert len(found.artifacts) == 4
    assert [fault for fault in found.faults if "nowhere" in fault] == list(found.faults)
    with pytest.raises(HornbookError, match="neither an artefact nor a run"):
        verify(tmp_path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_manifest_with_any_bit_flipped_is_refused(chain, data):
    path = chain[0].path / "manifest.json"
    sound = path.read_bytes()
    damaged = bytearray(sound)
    damaged[data.draw(st.integers(0, len(sound) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(damaged)
    try:
        found = load(chain[0].path)
    except HornbookError as error:
        one_line(error)
    else:  # only white space, or the name of the checksum: then the structure alone is compared
        wanted = load_bytes(sound)
        assert {name: found.manifest.get(name) for name in wanted} == wanted
    finally:
        path.write_bytes(sound)


def one_line(error):
    assert len(str(error).splitlines()) == 1


def load_bytes(content):
    manifest = json.loads(content)
    del manifest["checksum"]
    return manifest


@pytest.mark.parametrize("name", ["stage", "key", "config", "inputs", "counts", "info", "files"])
@pytest.mark.parametrize("value", [5, [], None, {"a": []}, ...])
def test_a_manifest_without_a_checksum_still_has_its_structure(chain, name, value):
    manifest = load_bytes((chain[0].path / "manifest.json").read_bytes())
    assert check(manifest, "m") == manifest
    changed = {k: v for k, v in manifest.items() if k != name} | ({} if value is ... else {name: value})
    if name in ("config", "info") and isinstance(value, dict):
        assert check(changed, "m") == changed
        return
    with pytest.raises(HornbookError, match=r"^m: damaged"):
        check(changed, "m")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../b", "."])
def test_names_in_a_manifest_do_not_lead_out_of_its_folder(chain, name):
    manifest = load_bytes((chain[0].path / "manifest.json").read_bytes())
    with pytest.raises(HornbookError, match="leads out of the folder"):
        check(sealed(manifest | {"files": {name: {"bytes": 1, "xxh3_128": ""}}}), "m")


def test_a_changed_setting_in_a_manifest_is_noticed(chain):
    path = chain[0].path / "manifest.json"
    path.write_text(path.read_text().replace('"rows": 5', '"rows": 6'))
    with pytest.raises(HornbookError, match=r"manifest\.json: changed since it was made"):
        load(chain[0].path)


def test_a_link_to_nowhere_is_no_place_for_an_artefact(tmp_path):
    (tmp_path / "out").symlink_to(tmp_path / "nowhere")
    with pytest.raises(HornbookError, match="out: holds something else"):
        build(tmp_path / "out", "task", {})


def test_a_folder_whose_name_is_not_utf_8_is_refused(tmp_path):
    with pytest.raises(HornbookError, match="its name is not UTF-8 text"):
        build(tmp_path / "caf\udce9", "task", {})
