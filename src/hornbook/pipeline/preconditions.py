"""What is refused before the first costly stage: settings that do not fit together, a teacher at chance level."""

import logging

from hornbook.errors import HornbookError, Unreachable
from hornbook.recipe import WHOLE_VOCABULARY, Recipe
from hornbook.results import LOGITS, RANDOM_UNDISTILLED, UNDISTILLED, Difference
from hornbook.store import Artifact
from hornbook.tasks.kinds import KINDS

logger = logging.getLogger("hornbook")

MOST_LOST = 0.003
"""How much of its score on dev a teacher may lose with a trimmed vocabulary: 0.3 points."""


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
    _check_vocabulary(recipe)
    for training in (*recipe.distillations().values(), recipe.adapt, recipe.teacher.finetune):
        check_report_to(training.report_to)


def _check_vocabulary(recipe: Recipe) -> None:
    """Refuse a vocabulary that cannot be made, or that would not be the student's."""
    from hornbook.models.student import STARTS
    from hornbook.training.vocabulary import check_vocabulary

    student = recipe.student
    if student.vocabulary == WHOLE_VOCABULARY:
        return
    if student.init not in STARTS:
        raise HornbookError(
            f"student.vocabulary: {student.init}, named in student.init, keeps the word pieces that it has; set "
            f"student.vocabulary to {WHOLE_VOCABULARY}"
        )
    check_vocabulary(recipe.teacher.model, student.vocabulary)


def check_kind(recipe: Recipe, kind: str) -> None:
    """Refuse settings that do not go with the task's kind, before anything costly runs."""
    for name, config in (("teacher.finetune", recipe.teacher.finetune), ("adapt", recipe.adapt)):
        if not KINDS[kind].has_classes and any(cell.class_weights != "none" for cell in config.cells()):
            raise HornbookError(f"{name}.class_weights: a {kind} has no classes; set it to none")


def refuse_unlabelled(recipe: Recipe, split: str, labelled: int) -> None:
    """Refuse a teacher's file that labels no text of a split from which a student needs labels.

    Args:
        recipe: tells what students are fitted to and compared with.
        split: the split.
        labelled: how many of its texts the file labels.

    Raises:
        HornbookError: none, and a student learns from these labels alone or is compared with them.
    """
    if labelled or split not in ("train", "dev"):
        return
    advice = "label the task's texts too"
    if not recipe.task.is_labelled:
        raise HornbookError(f"{recipe.teacher.file}: labels no text of {split}; the task has no labels; {advice}")
    if split == "train" and (who := _taught_alone(recipe)):
        raise HornbookError(f"{recipe.teacher.file}: labels no text of train, but {who}; {advice}, or change that")


def _taught_alone(recipe: Recipe) -> str:
    """Return which students are fitted to nothing but the teacher's outputs on the task's texts; empty for none."""
    if LOGITS in recipe.baselines:
        return f"the baseline {LOGITS} learns from such labels alone"
    if recipe.adapt.labels != "teacher":
        return ""
    if recipe.adapt.textbook_units == 0:
        return "students learn from such labels alone (adapt.labels: teacher, adapt.textbook_units: 0)"
    without = [name for name in recipe.baselines if name in (UNDISTILLED, RANDOM_UNDISTILLED)]
    return f"the baseline {without[0]} learns from such labels alone (adapt.labels: teacher)" if without else ""


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


def refuse_lost_score(whole: Artifact, trimmed: Artifact, vocabulary: Artifact, lost: Difference) -> None:
    """Refuse a vocabulary with which the teacher clearly loses more than 0.3 points of its headline score on dev.

    On 1,000 dev texts a harmless vocabulary changes the score by half a point by chance. So a loss that is not clear
    is only warned about.

    Args:
        whole: the evaluation of the teacher.
        trimmed: the evaluation of the same teacher with the trimmed vocabulary.
        vocabulary: the trimmed vocabulary.
        lost: how much more the whole teacher scores on the same dev texts.

    Raises:
        HornbookError: it loses more than that, and the 95% interval of the loss leaves out zero.
    """
    if lost.mean <= MOST_LOST + 1e-9:  # rounding
        return
    metric = whole.info["metric"]
    before, after = (scored.info["scores"]["dev"][metric] for scored in (whole, trimmed))
    pieces, most = vocabulary.counts["pieces"], vocabulary.counts["pieces_before"]
    what = (
        f"student.vocabulary: with {pieces:,} of its {most:,} word pieces the teacher has {metric} {after:.4f} on "
        f"dev instead of {before:.4f} (95% interval of the loss {lost.low:.4f} to {lost.high:.4f})"
    )
    if not lost.clear:
        logger.warning("%s; this may be chance", what)
        return
    more = round(1.5 * pieces / 100) * 100
    raise HornbookError(f"{what}; set it to {f'more, such as {more}, or ' if more < most else ''}{WHOLE_VOCABULARY}")
