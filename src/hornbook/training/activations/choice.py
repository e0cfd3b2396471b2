"""Whether a distillation reads its teacher's activations from the disk: the setting `distil.cache`."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from hornbook.errors import HornbookError
from hornbook.machine import disk
from hornbook.models.source import Model
from hornbook.models.student import RANDOM
from hornbook.recipe import DistilConfig, FamilyConfig, StudentConfig
from hornbook.store import Artifact, Destination, is_finished, partial_path
from hornbook.store.keys import content_key
from hornbook.store.publish import place
from hornbook.training.activations.layout import FLOAT16, Layout, layout_of
from hornbook.training.activations.record import fill, identity
from hornbook.training.activations.sampling import tokens_read
from hornbook.training.distillation import all_taps, create_objectives
from hornbook.training.objectives import Pair
from hornbook.training.processes import agreed, make_together, process, wait_for_all
from hornbook.training.teaching import configs

logger = logging.getLogger("hornbook")

NONE, AUTO = "none", "auto"
_LEAST_ASKED = 2.0
_MOST_OF_FREE = 0.5


@dataclass(frozen=True)
class Sharing:
    """Who else reads the same activations.

    Attributes:
        students: how many students, this one included, learn the same units from the same teacher.
        architecture: a model of the teacher's sizes, for a teacher that is only planned.
    """

    students: int = 1
    architecture: Model | None = None


ALONE = Sharing()


@dataclass(frozen=True)
class Asked:
    """A teacher, what it is asked, and where the answers are kept.

    Attributes:
        teacher: the teacher.
        student: the student's size, on which the layers that are tapped may depend.
        tokens: the textbook's token ids.
        out: the artefact's folder, or a store.
        family: where the teacher keeps its projections, for a family that is not in the table.
        sharing: who else reads it.
    """

    teacher: Model
    student: StudentConfig
    tokens: Artifact
    out: Destination
    family: FamilyConfig | None
    sharing: Sharing

    def settled(self, config: DistilConfig) -> DistilConfig:
        """Return the settings with `auto` decided.

        Args:
            config: the settings.

        Returns:
            the same, or a copy with "float16" or "none".

        Raises:
            HornbookError: an objective taps what cannot be kept, and `cache` is not `auto`.
        """
        if config.cache != AUTO:
            self._layout(config)
            return config
        float16 = config.model_copy(update={"cache": FLOAT16})
        return float16 if agreed(self._pays(float16)) else config.model_copy(update={"cache": NONE})

    def kept(self, config: DistilConfig, finished: bool) -> Artifact | None:
        """Return the activations that a student reads.

        Args:
            config: settled.
            finished: whether the student is there already. Then they may have been removed, to make room.

        Returns:
            see `made`; None where none are read or, for a finished student, there.
        """
        if config.cache == NONE:
            return None
        if not finished:
            return self.made(config)
        layout = self._layout(config)
        there = agreed(is_finished(self.out, **identity(self.teacher, self.tokens, layout, config)))
        return self._making(layout, config)() if there else None

    def made(self, config: DistilConfig) -> Artifact:
        """Return the activations; what is damaged is made again.

        Args:
            config: settled, and not "none".

        Returns:
            the artefact, stage "activations"; from a dry store it may only be planned.
        """
        make = self._making(self._layout(config), config)
        made = make()
        if made.planned or not agreed(_is_damaged(made)):
            return made
        if process()[0] == 0:
            logger.warning("%s: damaged; it is made again", made.path)
            shutil.rmtree(made.path)
        wait_for_all()
        return make()

    def _making(self, layout: Layout | None, config: DistilConfig) -> Callable[[], Artifact]:
        """Return what makes the activations, or takes those that are finished."""

        def build(context: Any) -> None:
            assert layout is not None
            fill(context, self.teacher, self.tokens, layout, config)

        about = identity(self.teacher, self.tokens, layout, config)
        return partial(make_together, self.out, build=build, **about)

    def _layout(self, config: DistilConfig) -> Layout | None:
        """Return what is stored; None where no model shows the teacher's sizes yet."""
        teacher: Model | None = self.teacher
        if isinstance(teacher, Artifact) and teacher.planned:
            teacher = self.sharing.architecture
        if teacher is None or config.cache == NONE:
            return None
        pair = Pair(
            *configs(teacher, self.student.model_copy(update={"init": RANDOM}), self.family), config, self.family
        )
        return layout_of(all_taps(create_objectives(pair))[0], pair.teacher, config.cache, self.family)

    def _pays(self, config: DistilConfig) -> bool:
        """Return whether it saves time here and fits."""
        if torch.cuda.is_available() or self.sharing.students * _passes(config, self.tokens) < _LEAST_ASKED:
            return False
        try:
            layout = self._layout(config)
        except HornbookError:  # an objective taps what cannot be kept
            return False
        if layout is None or self.tokens.planned:
            return True
        about = identity(self.teacher, self.tokens, layout, config)
        if is_finished(self.out, **about):
            return True
        folder = place(self.out, about["stage"], content_key(**about))
        room = _MOST_OF_FREE * (disk.free(folder) + disk.size_of(partial_path(folder)))
        needed = layout.size(
            tokens_read(self.tokens.counts, about["config"]["sample"]), self.tokens.counts["sequences"]
        )
        if needed > room:
            logger.info(
                "%s: what the teacher computes would take %s, more than half of the free space; it is not kept",
                folder.parent,
                disk.megabytes(needed),
            )
        return needed <= room


def _passes(config: DistilConfig, tokens: Artifact) -> float:
    """Return how often a distillation reads its part of the textbook; 1 where that is not known yet."""
    if config.epochs is not None:
        return config.epochs
    if tokens.planned:
        return 1.0
    if config.steps is not None:
        return max(1.0, config.steps * config.batch / tokens.counts["sequences"])
    return max(1.0, (config.tokens or 0) / tokens.counts["tokens"])


def _is_damaged(artifact: Artifact) -> bool:
    try:
        for name in artifact.manifest["files"]:
            artifact.file(name)
    except HornbookError:
        return True
    return False
