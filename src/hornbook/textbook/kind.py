"""The interface of a kind of textbook: its settings, its inputs, and the function that builds its units."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import pyarrow as pa

from hornbook.corpus import Corpus, open_corpus
from hornbook.errors import HornbookError
from hornbook.recipe import CONFIGS, TEXTBOOKS, TextbookConfig
from hornbook.retrieval import LOCAL, Executor
from hornbook.store import Artifact, Destination, StageContext
from hornbook.tasks import Task, open_task
from hornbook.textbook.store import Textbook, open_textbook

Need = Literal["corpus", "task", "books"]
C = TypeVar("C", bound=TextbookConfig)


@dataclass(frozen=True)
class Materials:
    """The inputs of a textbook, opened when first used.

    Attributes:
        artifacts: the corpus, the task, a textbook whose size a sample gets (`like`), and what
            `TextbookKind.prepare` returned, by role.
        book_artifacts: the textbooks that it is made of.
        executor: runs searches of the corpus.
    """

    artifacts: Mapping[str, Artifact]
    book_artifacts: Sequence[Artifact] = ()
    executor: Executor = LOCAL

    @cached_property
    def corpus(self) -> Corpus:
        """The corpus, of a kind that needs one."""
        return open_corpus(self.artifact("corpus"))

    @cached_property
    def task(self) -> Task:
        """The task, of a kind that needs one."""
        return open_task(self.artifact("task"))

    @cached_property
    def books(self) -> list[Textbook]:
        """The textbooks that it is made of."""
        return [open_textbook(book) for book in self.book_artifacts]

    @property
    def size(self) -> int | None:
        """The number of units to sample, if the settings set no size."""
        return self.artifacts["like"].counts["units"] if "like" in self.artifacts else None

    def artifact(self, role: str) -> Artifact:
        """Return the artefact with a role.

        Args:
            role: `corpus`, `task`, `like` or a role that `TextbookKind.prepare` returned.

        Returns:
            The artefact.

        Raises:
            HornbookError: the kind does not need it, so it would be missing in the textbook's key.
        """
        if role not in self.artifacts:
            raise HornbookError(f"this kind of textbook does not name {role!r} among its needs; add it there")
        return self.artifacts[role]


@dataclass(frozen=True)
class TextbookKind(Generic[C]):
    """A kind of textbook.

    A kind whose settings derive from `SampleConfig` is sampled to a size; one whose settings derive from
    `CombinedConfig` is made of other textbooks of the recipe and needs `books`.

    Attributes:
        config: the class of its settings. The default of its field `kind` is the name of the kind.
        build: yields the units as tables of `store.SCHEMA` (`store.table_of` makes them). It may add to the counts
            and the info of the context; code after the last `yield` runs when all units are written.
        needs: `corpus`, `task`, `books`. Their keys enter the textbook's key.
        prepare: makes further artefacts first, from the settings and the needed artefacts; returns them by role.
        files: the files that its settings name, by role. Their checksums enter the textbook's key.
        finish: adds counts and info that depend on the number of units.
        version: for kinds of other packages. Raise it when equal settings give another textbook than before.
    """

    config: type[C]
    build: Callable[[C, Materials, StageContext], Iterator[pa.Table]]
    needs: tuple[Need, ...] = ()
    prepare: Callable[[C, Mapping[str, Artifact], Destination], Mapping[str, Artifact]] = field(
        default=lambda config, artifacts, out: {}
    )
    files: Callable[[C], Mapping[str, Path]] = field(default=lambda config: {})
    finish: Callable[[StageContext], None] = field(default=lambda context: None)
    version: int | None = None

    @property
    def name(self) -> str:
        """The name of the kind, as in a recipe."""
        return str(self.config.model_fields["kind"].default)


def register_textbook(kind: TextbookKind[C]) -> TextbookKind[C]:
    """Add a kind of textbook to this process.

    An installed package names its kinds in the entry-point group `hornbook.textbooks` instead: then the command line
    and other processes find them too.

    Args:
        kind: the kind; its name is the default of the field `kind` of its settings.

    Returns:
        The kind itself.

    Raises:
        HornbookError: hornbook has a kind of this name.
    """
    if kind.name in CONFIGS:
        raise HornbookError(f"textbook kind {kind.name!r}: hornbook has one of this name; choose another name")
    TEXTBOOKS.register(kind.name)(kind)
    return kind


def kind_of(config: TextbookConfig) -> TextbookKind[Any]:
    """Return the kind of textbook that these settings describe.

    Args:
        config: settings of a textbook.

    Returns:
        The kind with the name `config.kind`.

    Raises:
        HornbookError: it cannot be built (a chain, for instance), or the package that provides it is broken.
    """
    kind = TEXTBOOKS[config.kind]
    if not isinstance(kind, TextbookKind):
        raise HornbookError(f"textbook kind {config.kind!r}: its entry point must name a TextbookKind, not {kind!r}")
    return kind
