"""A student that begins as a projection of its teacher."""

import pytest
import torch
from tiny_encoders import ALL

from hornbook.models.families import sizes_of
from hornbook.models.projection import project
from hornbook.models.student import block_ends, student_config
from hornbook.recipe import StudentConfig


def batches(count=6, rows=8):
    draw = torch.Generator().manual_seed(0)
    made = []
    for length in range(4, 4 + count):
        ids = torch.randint(5, 50, (rows, length), generator=draw)
        made.append(
            {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
        )
    return made


def projected(kind, refit=True, **sizes):
    encoder = ALL[kind]
    teacher = encoder.model().eval()
    config = student_config(teacher.config, StudentConfig(**{"init": "projected", **sizes}), encoder.family)
    layers = block_ends(sizes["layers"], 3)
    return teacher, project(teacher, config, layers, batches(), encoder.family, refit=refit)


@pytest.mark.parametrize("kind", ALL)
def test_a_teacher_of_each_family_is_projected(kind):
    _, student = projected(kind, layers=2, hidden=12)
    sizes = sizes_of(student.config, ALL[kind].family)
    assert (sizes.layers, sizes.hidden, sizes.heads) == (2, 12, 2)
    assert all(torch.isfinite(p).all() for p in student.parameters())
    assert torch.isfinite(student(**ALL[kind].batch()).last_hidden_state).all()
