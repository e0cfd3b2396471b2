"""Write the page and the Markdown."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from hornbook.errors import HornbookError
from hornbook.report.facts import Grid, Run, read
from hornbook.report.page.grids import grid_report
from hornbook.report.page.parts import Anchors, Plots, Report, markdown
from hornbook.report.page.runs import runs_report
from hornbook.store import write_text

_HERE = Path(__file__).parent


def write_report(places: Sequence[Path], out: Path) -> tuple[Path, Path]:
    """Write the report of runs of one task, or of an experiment.

    The page holds everything it needs, opens without a network and allows none: its policy names the scripts in it
    by their hashes. Text of the data is shown as text.

    Args:
        places: folders of finished runs; or one experiment's folder or file of results.
        out: the page (.html); the Markdown stands beside it under the same name.

    Returns:
        the paths of both.

    Raises:
        HornbookError: a run is not finished or of an earlier version, or the runs are of different tasks.
    """
    found = [read(place) for place in dict.fromkeys(places)]
    runs = [one for one in found if isinstance(one, Run)]
    grids = [one for one in found if isinstance(one, Grid)]
    if grids and len(found) > 1:
        raise HornbookError(f"{grids[0].name}: is an experiment; report it alone")
    if others := [run for run in runs if run.task["key"] != runs[0].task["key"]]:
        first, other = runs[0], others[0]
        raise HornbookError(
            f"{first.folder} is of the task {first.task['name']}, {other.folder} of {other.task['name']} or of other "
            "examples of it; report runs of one task together"
        )
    if len({run.name for run in runs}) < len(runs):
        runs = [replace(run, name=str(run.folder)) for run in runs]
    report = grid_report(grids[0]) if grids else runs_report(runs)
    page, twin = out.with_suffix(".html"), out.with_suffix(".md")
    page.parent.mkdir(parents=True, exist_ok=True)
    write_text(page, html(report))
    write_text(twin, markdown(report))
    return page, twin


def html(report: Report) -> str:
    """Return the page."""
    parts = [part for section in report.sections for part in section.parts]
    charts = {plot.name: plot.spec for part in parts if isinstance(part, Plots) for plot in part.plots}
    data = {"chart-data": charts, **{part.id: part.anchors for part in parts if isinstance(part, Anchors)}}
    scripts = [*([_vega()] if charts else []), _own_script()]
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts)
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("page.html.jinja").render(
        title=report.title,
        about=report.about,
        verdicts=report.verdicts,
        sections=report.sections,
        policy=f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {hashes}",
        style=Markup((_HERE / "page.css").read_text("utf-8")),
        data={id: Markup(_json(value)) for id, value in data.items()},
        scripts=[Markup(script) for script in scripts],
    )


def _vega() -> str:
    import vl_convert

    # Within a page a script ends at the first such tag, wherever it stands.
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")


def _own_script() -> str:
    return (_HERE / "page.js").read_text("utf-8")


def _json(value: Any) -> str:
    """Return JSON in which nothing can end the element that holds it."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c").replace("\u2028", "\\u2028")


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
