"""Charts of runs and experiments (Altair) for the report's page."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from hornbook.report.charts import HEIGHT, WIDTH, chart, colour
from hornbook.report.facts import Grid, Run
from hornbook.report.grid import scores
from hornbook.report.summary import summarise

Row = dict[str, Any]


def size_chart(rows: Sequence[Row], metric: str) -> Any:
    """Return the dev score of every model against its parameters, the size of a point being its speed."""
    points = [
        {
            "model": row["name"],
            "parameters": row["parameters"] / 1e6,
            "dev": 100 * row["dev"]["mean"],
            "sentences a second": round(row["sentences_per_second"]),
        }
        for row in summarise(rows)
        if row["parameters"]
    ]
    base = chart(points).encode(
        alt.X("parameters:Q", title="parameters, millions", scale=alt.Scale(type="log", nice=True, padding=20)),
        alt.Y("dev:Q", title=f"{metric} on dev, %", scale=alt.Scale(zero=False, padding=12)),
        tooltip=[
            alt.Tooltip("model:N"),
            alt.Tooltip("parameters:Q", format=".1f"),
            alt.Tooltip("dev:Q", format=".1f"),
            alt.Tooltip("sentences a second:Q", format=","),
        ],
    )
    marks = base.mark_point(filled=True, opacity=0.85).encode(
        colour("model", [point["model"] for point in points]),
        alt.Size("sentences a second:Q", scale=alt.Scale(range=[80, 700]), legend=None),
    )
    return marks.properties(width=WIDTH, height=HEIGHT, title="Score, size and speed")


def loss_chart(curves: Sequence[Row], models: Sequence[str]) -> Any:
    """Return the losses of the distillations over their steps, a line for each seed."""
    rows = [row for row in curves if row["stage"] == "distil"]
    return _curves(rows, models, "loss", "Distillation", "relation loss")


def dev_chart(curves: Sequence[Row], models: Sequence[str], metric: str) -> Any:
    """Return dev scores over the steps of fine-tuning, teacher and students, a line for each seed."""
    rows = [{**row, "score": 100 * row["score"]} for row in curves if row["stage"] == "adapt" and "score" in row]
    return _curves(rows, models, "score", "Fine-tuning and adaptation", f"{metric} on dev, %")


def _curves(rows: Sequence[Row], models: Sequence[str], measure: str, title: str, unit: str) -> Any:
    points = [
        {name: row[name] for name in ("model", "seed", "step", measure)} for row in _thinned(rows) if measure in row
    ]
    return (
        chart(points)
        .mark_line(strokeWidth=1.5, point={"size": 14, "filled": True})
        .encode(
            alt.X("step:Q", title="step"),
            alt.Y(f"{measure}:Q", title=unit, scale=alt.Scale(zero=False)),
            _model_colour(models, points),
            alt.Detail("seed:N"),
            [alt.Tooltip("model:N"), alt.Tooltip("seed:N"), alt.Tooltip("step:Q"), alt.Tooltip(f"{measure}:Q")],
        )
        .properties(width=WIDTH, height=HEIGHT, title=title)
    )


_POINTS = 60


def _thinned(rows: Sequence[Row]) -> list[Row]:
    """Return about `_POINTS` points of each line, the last of them always."""
    lines: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        lines.setdefault((row["model"], row["seed"]), []).append(row)
    kept = []
    for line in lines.values():
        every = -(-len(line) // _POINTS)
        kept += [row for number, row in enumerate(reversed(line)) if number % every == 0][::-1]
    return kept


def calibration_chart(bins: Sequence[Row], models: Sequence[str]) -> Any:
    """Return how often models are right against how sure they are; on the diagonal they are as right as sure."""
    points = [{**one, "share": 100 * one["share"]} for one in bins]
    lines = (
        chart(points)
        .mark_line(point={"filled": True, "size": 40})
        .encode(
            alt.X("confidence:Q", title="how sure", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%")),
            alt.Y("accuracy:Q", title="how often right", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%")),
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
        chart([{"at": 0}, {"at": 1}])
        .mark_line(strokeDash=[4, 4], color="#888888")
        .encode(alt.X("at:Q"), alt.Y("at:Q"))
    )
    return alt.layer(ideal, lines).properties(width=HEIGHT + 60, height=HEIGHT + 60, title="Calibration on dev")


def _model_colour(models: Sequence[str], points: Sequence[Row]) -> alt.Color:
    """Return the same colour for a model in every chart of a run."""
    present = {point["model"] for point in points}
    return colour("model", models, [model for model in models if model in present])


def run_charts(run: Run) -> dict[str, Any]:
    """Return the charts of a run that have something to show, by name."""
    metric, models = str(run.task["metric"]), [row["name"] for row in summarise(run.rows)]
    charts: dict[str, Any] = {"size": size_chart(run.rows, metric)}
    if any(row["stage"] == "distil" for row in run.curves):
        charts["loss"] = loss_chart(run.curves, models)
    if any("score" in row for row in run.curves):
        charts["dev"] = dev_chart(run.curves, models, metric)
    if run.calibration:
        charts["calibration"] = calibration_chart(run.calibration, models)
    return charts


def grid_chart(grid: Grid) -> Any:
    """Return the scores of an experiment's cells: every seed a tick, means as points, a row for each combination.

    Where an axis has numbers (steps, a proportion), lines over that axis instead.
    """
    found = scores(grid.rows, grid.axes)
    metric = "score on dev, %"
    numeric = [axis for axis in grid.axes if axis != "seed" and _is_numeric(found, axis)]
    if numeric:
        return _lines(found, grid.axes, numeric[-1], metric)
    points = [
        {"cell": _name(row["at"], grid.axes), "seed": seed, "score": 100 * score, "mean": 100 * row["dev"]["mean"]}
        for row in found
        for seed, score in zip(row["seeds"], row["by_seed"], strict=True)
    ]
    names = [_name(row["at"], grid.axes) for row in found]
    base = chart(points).encode(alt.Y("cell:N", title=None, sort=names))
    ticks = base.mark_tick(thickness=2, opacity=0.55, size=12, color="#56B4E9").encode(
        alt.X("score:Q", title=metric, scale=alt.Scale(zero=False)),
        tooltip=[alt.Tooltip("cell:N"), alt.Tooltip("seed:N"), alt.Tooltip("score:Q", format=".1f")],
    )
    means = base.mark_point(filled=True, size=70, color="#0072B2").encode(
        alt.X("mean:Q"), tooltip=[alt.Tooltip("cell:N"), alt.Tooltip("mean:Q", format=".1f")]
    )
    return alt.layer(ticks, means).properties(width=WIDTH, height=alt.Step(18), title="Scores of all cells")


def _lines(found: Sequence[Row], axes: Sequence[str], over: str, metric: str) -> Any:
    others = [axis for axis in axes if axis != over]
    # Vega takes a dot in a field's name for a way into another field.
    field = over.replace(".", " ")
    points = [
        {"line": _name(row["at"], others) or "all", field: row["at"][over], "score": 100 * row["dev"]["mean"]}
        for row in found
    ]
    return (
        chart(points)
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


def _is_numeric(found: Sequence[Row], axis: str) -> bool:
    values = {row["at"][axis] for row in found}
    return len(values) > 1 and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _name(at: Mapping[str, Any], axes: Sequence[str]) -> str:
    # A number says nothing without its axis.
    named = {axis: at[axis] for axis in axes if axis in at and axis != "seed"}
    return ", ".join(str(value) if isinstance(value, str) else f"{axis} {value}" for axis, value in named.items())
