"""What is refused before the first costly stage: settings that do not fit together, a teacher at chance level."""

from hornbook.errors import HornbookError, Unreachable
from hornbook.recipe import Recipe
from hornbook.store import Artifact
from hornbook.tasks.kinds import KINDS


def check_trainings(recipe: Recipe) -> None:
    """Refuse what would stop a training later: sizes that do not fit together, trackers that are not installed."""
    from hornbook.training.callbacks import check_report_to
    from hornbook.training.distil import check_sizes

    for place, config in recipe.distillations().items():
        try:
            check_sizes(recipe.teacher.model, recipe.student, config, recipe.teacher.family)
        except Unreachable:
            raise
        except HornbookError as error:
            raise error if place == "distil" else HornbookError(f"{place}: {error}") from None
    for training in (*recipe.distillations().values(), recipe.adapt, recipe.teacher.finetune):
        check_report_to(training.report_to)


def check_kind(recipe: Recipe, kind: str) -> None:
    """Refuse settings that do not go with the task's kind, before anything costly runs."""
    for name, config in (("teacher.finetune", recipe.teacher.finetune), ("adapt", recipe.adapt)):
        if not KINDS[kind].has_classes and any(cell.class_weights != "none" for cell in config.cells()):
            raise HornbookError(f"{name}.class_weights: a {kind} has no classes; set it to none")


def refuse_chance_level(scored: Artifact, model: str) -> None:
    """Refuse a teacher at or below chance level on dev."""
    from hornbook.evaluation.evaluate import chance_check

    found = chance_check(scored)
    if not found.passed:
        below = found.high < found.chance
        advice = "check the labels, or fine-tune it longer or with more data"
        if found.metric == "accuracy":
            advice += "; where a label is rare, set task.metric: macro_f1"
        raise HornbookError(
            f"{model}: the teacher is {'below' if below else 'at'} chance level on dev: {found.metric} "
            f"{found.score:.3f}, 95% interval {found.low:.3f} to {found.high:.3f}, which "
            f"{'lies below' if below else 'contains'} {found.chance:.3f}; a student would learn nothing from it: "
            f"{'are its labels swapped?' if below else advice}"
        )
