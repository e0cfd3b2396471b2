"""Write the page and the Markdown."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from hornbook.errors import HornbookError
from hornbook.report.page.grids import experiment_report
from hornbook.report.page.parts import Anchors, Plots, Report, markdown
from hornbook.report.page.runs import runs_report
from hornbook.results import ExperimentResult, RunResult, read_results
from hornbook.store import write_text

_HERE = Path(__file__).parent
_PAGE = "report.html"


Place = Path | str | RunResult | ExperimentResult


def write_report(places: Place | Sequence[Place], out: Path | str | None = None) -> tuple[Path, Path]:
    """Write the report of runs of one task, or of an experiment.

    The page contains everything it needs and allows no network access: its policy names its scripts by their hashes.
    Text of the data is shown as text.

    Args:
        places: folders of finished runs, or their results; or one experiment: its folder, its file of results, or
            its results.
        out: the page (.html); the Markdown is beside it with the same name. Default: `report.html` in the first
            folder, `report-NAME.html` beside a file.

    Returns:
        the paths of both.

    Raises:
        HornbookError: a run is not finished or from an earlier version, or the runs have different tasks.
    """
    given = [places] if isinstance(places, Path | str | RunResult | ExperimentResult) else list(places)
    page = Path(out or _beside(given[0])).with_suffix(".html")
    report = _report([_read(place) for place in _distinct(given)])
    twin = page.with_suffix(".md")
    page.parent.mkdir(parents=True, exist_ok=True)
    write_text(page, html(report))
    write_text(twin, markdown(report))
    return page, twin


def _beside(place: Place) -> Path:
    if isinstance(place, RunResult | ExperimentResult):
        return place.folder / _PAGE
    place = Path(place)
    return place / _PAGE if place.is_dir() else place.with_name(f"report-{place.stem}.html")


def _read(place: Place) -> RunResult | ExperimentResult:
    return place if isinstance(place, RunResult | ExperimentResult) else read_results(Path(place))


def _distinct(places: Sequence[Place]) -> list[Place]:
    found: list[Place] = []
    for place in places:
        if place not in found:
            found.append(place)
    return found


def _report(found: Sequence[RunResult | ExperimentResult]) -> Report:
    """Return the report of runs or of one experiment."""
    runs = [one for one in found if isinstance(one, RunResult)]
    experiments = [one for one in found if isinstance(one, ExperimentResult)]
    if experiments and len(found) > 1:
        raise HornbookError(f"{experiments[0].name}: is an experiment; make its report alone")
    if experiments:
        return experiment_report(experiments[0])
    if others := [run for run in runs if run.task.key != runs[0].task.key]:
        first, other = runs[0], others[0]
        raise HornbookError(
            f"{first.folder} has the task {first.task.name}, {other.folder} the task {other.task.name} or other "
            "examples; one report shows runs of one task"
        )
    several = len({run.name for run in runs}) < len(runs)
    return runs_report({str(run.folder) if several else run.name: run for run in runs})


def html(report: Report) -> str:
    """Return the page."""
    parts = [part for section in report.sections for part in section.parts]
    charts = {plot.name: plot.spec for part in parts if isinstance(part, Plots) for plot in part.plots}
    anchors = {part.id: [asdict(anchor) for anchor in part.anchors] for part in parts if isinstance(part, Anchors)}
    data = {"chart-data": charts, **anchors}
    scripts = [*([_vega()] if charts else []), _own_script()]
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts)
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("page.html.jinja").render(
        title=report.title,
        about=report.about,
        verdicts=report.verdicts,
        sections=report.sections,
        policy=f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {hashes}",
        # Our own files, and JSON in which no character begins a tag.
        style=Markup((_HERE / "page.css").read_text("utf-8")),  # noqa: S704
        data={id: Markup(_json(value)) for id, value in data.items()},  # noqa: S704
        scripts=[Markup(script) for script in scripts],  # noqa: S704
    )


def _vega() -> str:
    import vl_convert

    # Within a page a script ends at the first such tag, wherever it stands.
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")


def _own_script() -> str:
    return (_HERE / "page.js").read_text("utf-8")


def _json(value: Any) -> str:
    """Return JSON that cannot end the script element around it."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c").replace("\u2028", "\\u2028")


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
