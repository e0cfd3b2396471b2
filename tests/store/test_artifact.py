"""How an artefact is shown in a notebook."""

import xml.etree.ElementTree as ET
from pathlib import Path

from hornbook.store import Artifact, Store, load, make


def demo(out) -> Artifact:
    def build(context):
        (context.path / "data.txt").write_text("text")
        context.counts["kept_units"] = 12_345

    return make(out, stage="demo", version=1, config={}, inputs={}, build=build)


def shown(artifact: Artifact) -> dict[str, str]:
    table = ET.fromstring(artifact._repr_html_())
    return {row.find("th").text: row.find("td").text for row in table.iter("tr")}


def test_a_notebook_shows_stage_key_counts_and_folder(tmp_path: Path):
    made = demo(tmp_path / "<b>a & b</b>")
    assert shown(made) == {
        "stage": "demo",
        "key": made.key,
        "kept units": "12,345",
        "folder": str(tmp_path / "<b>a & b</b>"),
    }
    assert shown(load(made.path)) == shown(made)


def test_a_notebook_shows_what_is_only_planned(tmp_path: Path):
    planned = demo(Store(tmp_path, dry=True))
    assert shown(planned)["state"] == "planned: not built yet"


def test_a_notebook_shows_an_address():
    far = Artifact(Path("s3:/x"), {"stage": "demo", "key": "0", "counts": {}, "files": {}}, address="s3://bucket/x")
    assert shown(far)["folder"] == "s3://bucket/x"
