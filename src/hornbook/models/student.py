"""The student: the teacher's family and tokenizer, at any size."""

from typing import Any

import torch

from hornbook.errors import HornbookError
from hornbook.models.families import family_of
from hornbook.recipe import StudentConfig

HEAD_WIDTH = 32
# A teacher saved in half precision must not make a student whose weights are in half precision.
_NOT_INHERITED = (
    *("_name_or_path", "architectures", "dtype", "torch_dtype"),
    *("id2label", "label2id", "num_labels", "problem_type"),
)


def student_config(teacher_config: Any, student: StudentConfig) -> Any:
    """Return the Hugging Face configuration of a student for this teacher.

    Heads default to one for every 32 of the width (MiniLM's habit: 384 has 12) or the next lower number that
    divides it, feed-forward to four times it.

    Raises:
        HornbookError: the heads do not divide the width, or the teacher's family is unknown.
    """
    family = family_of(teacher_config)
    heads = student.heads or _default_heads(student.hidden)
    if student.hidden % heads:
        legal = [n for n in range(1, student.hidden + 1) if student.hidden % n == 0 and student.hidden // n >= 8]
        raise HornbookError(
            f"student.heads: {heads} heads do not divide a width of {student.hidden}; legal are {_listed(legal)}"
        )
    sizes = (student.layers, student.hidden, heads, student.feed_forward or 4 * student.hidden)
    values = teacher_config.to_dict()
    for unwanted in _NOT_INHERITED:
        values.pop(unwanted, None)
    values.update(zip(family.sizes, sizes, strict=True))
    values.update(dict.fromkeys(family.dropouts, student.dropout))
    if "embedding_size" in values:  # ELECTRA's embeddings may be narrower than its layers; a student's are not
        values["embedding_size"] = student.hidden
    return type(teacher_config)(**values)


def new_student(teacher_config: Any, student: StudentConfig, seed: int) -> Any:
    """Return a student with random weights that depend on the sizes and `seed` alone.

    Raises:
        HornbookError: the sizes do not fit together.
    """
    from transformers import AutoModel

    config = student_config(teacher_config, student)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AutoModel.from_config(config)  # type: ignore[no-untyped-call]


def _default_heads(hidden: int) -> int:
    return next(n for n in range(max(1, hidden // HEAD_WIDTH), 0, -1) if hidden % n == 0)


def _listed(numbers: list[int]) -> str:
    return ", ".join(str(n) for n in numbers)
