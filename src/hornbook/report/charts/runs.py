"""Charts of runs and experiments for the report's page."""

from collections.abc import Iterator, Mapping, Sequence

import altair as alt

from hornbook.report.charts.base import HEIGHT, WIDTH, Chart, Points, chart_of, colour
from hornbook.results import ModelResult, RunResult
from hornbook.results.cells import CellSummary
from hornbook.results.differences import SEED
from hornbook.results.inspection import CalibrationBin, CurvePoint, Inspection
from hornbook.results.rows import AxisValue
from hornbook.results.summary import summarise


def run_charts(run: RunResult) -> Iterator[Chart]:
    """Yield the charts of a run that have something to show."""
    found = run.inspection or Inspection()
    metric, models = run.task.metric, [model.name for model in summarise(run.rows)]
    yield size_chart(run.rows, metric)
    if any(point.stage == "distil" for point in found.curves):
        yield loss_chart(found.curves, models)
    if any(point.score is not None for point in found.curves):
        yield dev_chart(found.curves, models, metric)
    if found.calibration:
        yield calibration_chart(found.calibration, models)


def size_chart(rows: Sequence[ModelResult], metric: str) -> Chart:
    """Return the dev score of each model by its number of parameters; the size of a point is its speed."""
    points: Points = [
        {
            "model": model.name,
            "parameters": model.parameters / 1e6,
            "dev": 100 * model.dev.mean,
            "sentences per second": round(model.sentences_per_second),
        }
        for model in summarise(rows)
        if model.parameters
    ]
    base = chart_of(points).encode(
        alt.X("parameters:Q", title="parameters, millions", scale=alt.Scale(type="log", nice=True, padding=20)),
        alt.Y("dev:Q", title=f"{metric} on dev, %", scale=alt.Scale(zero=False, padding=12)),
        tooltip=[
            alt.Tooltip("model:N"),
            alt.Tooltip("parameters:Q", format=".1f"),
            alt.Tooltip("dev:Q", format=".1f"),
            alt.Tooltip("sentences per second:Q", format=","),
        ],
    )
    marks = base.mark_point(filled=True, opacity=0.85).encode(
        colour("model", [point["model"] for point in points]),
        alt.Size("sentences per second:Q", scale=alt.Scale(range=[80, 700]), legend=None),
    )
    spec = marks.properties(width=WIDTH, height=HEIGHT, title="Score, size and speed")
    return Chart("size", spec, "Dev score by number of parameters. A larger point is a faster model.")


def loss_chart(curves: Sequence[CurvePoint], models: Sequence[str]) -> Chart:
    """Return the distillation losses by step, a line for each seed and link of a chain."""
    losses = _in_a_row([point for point in curves if point.stage == "distil" and point.loss is not None])
    points = [{**_where(point), "step": step, "loss": point.loss} for step, point in losses]
    return Chart(
        "loss",
        _lines_over_steps(points, models, "loss", "training loss", "Distillation"),
        "Distillation loss by step, a line for each seed. The links of a chain follow one another.",
    )


def _in_a_row(curves: Sequence[CurvePoint]) -> list[tuple[int, CurvePoint]]:
    """Return points with their steps counted from the beginning of the first link of a chain."""
    lasts: dict[tuple[str, int, int], int] = {}
    for point in curves:
        where = (point.model, point.seed, point.link)
        lasts[where] = max(lasts.get(where, 0), point.step)

    def before(point: CurvePoint) -> int:
        return sum(lasts.get((point.model, point.seed, link), 0) for link in range(1, point.link))

    return [(before(point) + point.step, point) for point in _thinned(curves)]


def dev_chart(curves: Sequence[CurvePoint], models: Sequence[str], metric: str) -> Chart:
    """Return the dev scores of teacher and students by step of fine-tuning, a line for each seed."""
    scored = _thinned([point for point in curves if point.stage == "adapt" and point.score is not None])
    points = [
        {**_where(point), "step": point.step, "score": 100 * point.score}
        for point in scored
        if point.score is not None
    ]
    return Chart(
        "dev",
        _lines_over_steps(points, models, "score", f"{metric} on dev, %", "Fine-tuning and adaptation"),
        "Dev score by step of fine-tuning, a line for each seed of the teacher and the students.",
    )


def _where(point: CurvePoint) -> dict[str, str | int]:
    return {"model": point.model, "seed": point.seed, "link": point.link}


def _lines_over_steps(points: Points, models: Sequence[str], measure: str, unit: str, title: str) -> alt.Chart:
    lines: alt.Chart = (
        chart_of(points)
        .mark_line(strokeWidth=1.5, point={"size": 14, "filled": True})
        .encode(
            alt.X("step:Q", title="step"),
            alt.Y(f"{measure}:Q", title=unit, scale=alt.Scale(zero=False)),
            _model_colour(models, points),
            alt.Detail(["seed:N", "link:N"]),
            [alt.Tooltip("model:N"), alt.Tooltip("seed:N"), alt.Tooltip("step:Q"), alt.Tooltip(f"{measure}:Q")],
        )
        .properties(width=WIDTH, height=HEIGHT, title=title)
    )
    return lines


_POINTS = 60


def _thinned(curves: Sequence[CurvePoint]) -> list[CurvePoint]:
    """Return about `_POINTS` points of each line, always with the last one."""
    lines: dict[tuple[str, int, int], list[CurvePoint]] = {}
    for point in curves:
        lines.setdefault((point.model, point.seed, point.link), []).append(point)
    kept = []
    for line in lines.values():
        every = -(-len(line) // _POINTS)
        kept += [point for number, point in enumerate(reversed(line)) if number % every == 0][::-1]
    return kept


def calibration_chart(bins: Sequence[CalibrationBin], models: Sequence[str]) -> Chart:
    """Return the reliability diagram: accuracy by confidence; a calibrated model follows the diagonal."""
    points: Points = [
        {"model": one.model, "confidence": one.confidence, "accuracy": one.accuracy, "share": 100 * one.share}
        for one in bins
    ]
    lines = (
        chart_of(points)
        .mark_line(point={"filled": True, "size": 40})
        .encode(
            alt.X("confidence:Q", title="confidence", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%")),
            alt.Y("accuracy:Q", title="accuracy", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%")),
            _model_colour(models, points),
            tooltip=[
                alt.Tooltip("model:N"),
                alt.Tooltip("confidence:Q", format=".0%"),
                alt.Tooltip("accuracy:Q", format=".0%"),
                alt.Tooltip("share:Q", format=".1f", title="share of dev, %"),
            ],
        )
    )
    ideal = (
        chart_of([{"at": 0}, {"at": 1}])
        .mark_line(strokeDash=[4, 4], color="#888888")
        .encode(alt.X("at:Q"), alt.Y("at:Q"))
    )
    size = HEIGHT + 60
    spec = alt.layer(ideal, lines).properties(width=size, height=size, title="Calibration on dev")
    return Chart(
        "calibration",
        spec,
        "Accuracy by confidence. On the dashed line both are equal, as for a perfectly calibrated model.",
    )


def _model_colour(models: Sequence[str], points: Points) -> alt.Color:
    """Return the same colour for a model in every chart of a run."""
    present = {point["model"] for point in points}
    return colour("model", models, [model for model in models if model in present])


def grid_chart(cells: Sequence[CellSummary], axes: Sequence[str]) -> Chart:
    """Return a chart of the scores of an experiment's cells.

    Args:
        cells: one summary for each combination of the axes but the seed.
        axes: those that vary.

    Returns:
        lines over the last axis of numbers (steps, a proportion). If there is none, a row for each combination
        with a tick for each seed and a point for the mean.
    """
    metric = "score on dev, %"
    numeric = [axis for axis in axes if axis != SEED and _is_numeric(cells, axis)]
    if numeric:
        return Chart("scores", _lines_over(cells, axes, numeric[-1], metric), "Dev score, mean over seeds.")
    names = [_name(cell.at, axes) for cell in cells]
    points: Points = [
        {"cell": name, "seed": seed, "score": 100 * score, "mean": 100 * cell.dev.mean}
        for name, cell in zip(names, cells, strict=True)
        for seed, score in zip(cell.seeds, cell.by_seed, strict=True)
    ]
    base = chart_of(points).encode(alt.Y("cell:N", title=None, sort=names, axis=alt.Axis(labelLimit=320)))
    ticks = base.mark_tick(thickness=2, opacity=0.55, size=12, color="#56B4E9").encode(
        alt.X("score:Q", title=metric, scale=alt.Scale(zero=False)),
        tooltip=[alt.Tooltip("cell:N"), alt.Tooltip("seed:N"), alt.Tooltip("score:Q", format=".1f")],
    )
    means = base.mark_point(filled=True, size=70, color="#0072B2").encode(
        alt.X("mean:Q"), tooltip=[alt.Tooltip("cell:N"), alt.Tooltip("mean:Q", format=".1f")]
    )
    spec = alt.layer(ticks, means).properties(width=WIDTH, height=alt.Step(18), title="Scores of all cells")
    return Chart("scores", spec, "Dev score of each cell: the mean as a point, the seeds as ticks.")


def _lines_over(cells: Sequence[CellSummary], axes: Sequence[str], over: str, metric: str) -> alt.Chart:
    others = [axis for axis in axes if axis != over]
    # Vega reads a dot in a field's name as a path into another field.
    field = over.replace(".", " ")
    points: Points = [
        {"line": _name(cell.at, others) or "all", field: cell.at[over], "score": 100 * cell.dev.mean}
        for cell in cells
    ]
    lines: alt.Chart = (
        chart_of(points)
        .mark_line(point={"filled": True, "size": 40})
        .encode(
            alt.X(f"{field}:Q", title=over),
            alt.Y("score:Q", title=metric, scale=alt.Scale(zero=False)),
            colour("line", list(dict.fromkeys(point["line"] for point in points))),
            tooltip=[
                alt.Tooltip("line:N"),
                alt.Tooltip(f"{field}:Q", title=over),
                alt.Tooltip("score:Q", format=".1f"),
            ],
        )
        .properties(width=WIDTH, height=HEIGHT, title=f"Scores over {over}")
    )
    return lines


def _is_numeric(cells: Sequence[CellSummary], axis: str) -> bool:
    values = {cell.at[axis] for cell in cells}
    return len(values) > 1 and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _name(at: Mapping[str, AxisValue], axes: Sequence[str]) -> str:
    # A number says nothing without its axis.
    named = {axis: at[axis] for axis in axes if axis in at and axis != SEED}
    return ", ".join(str(value) if isinstance(value, str) else f"{axis} {value}" for axis, value in named.items())
