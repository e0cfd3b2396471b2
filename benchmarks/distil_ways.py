"""What distil_step.py compares: an optimiser step ours, the obvious way, and as minilmv2.bb does it."""

import copy
import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hornbook.training.objectives.relations import relation_heads
from obvious_minilmv2 import obvious_loss

MOST_TOKENS = 16_384  # of a micro-batch: the default of `micro_batch_tokens`
Step = NDArray[np.int64]  # the indices of an optimiser step's sequences
StageContext = Callable[[Step], None]


@dataclass(frozen=True)
class Setting:
    """What all ways share."""

    teacher: Any
    layer: int
    dropout: float
    device: torch.device
    bfloat16: bool
    peer: Path | None

    def heads(self, hidden: int) -> int:
        """Return the default number of relation heads for a student's width."""
        return relation_heads(None, self.teacher.config.hidden_size, hidden)

    def student(self, layers: int, hidden: int) -> Any:
        """Return a new student; always the same weights, and not a random teacher's."""
        from hornbook.models.student import new_student
        from hornbook.recipe import StudentConfig

        size = StudentConfig(layers=layers, hidden=hidden, dropout=self.dropout)
        return new_student(self.teacher.config, size, seed=1).to(self.device).train()

    def autocast(self) -> Any:
        """Return the precision that everything is computed in."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)

    def to_device(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return a batch where the models are."""
        return {name: tensor.to(self.device) for name, tensor in batch.items()}


def ours(setting: Setting, size: tuple[int, int], encoded: Any) -> StageContext:
    """Return hornbook's way."""
    student, loss = our_loss(setting, size)
    optimizer = new_optimizer(student)

    def work(step: Step) -> None:
        ours_step(setting, loss, cut(encoded, step))
        finish(student, optimizer)

    return work


def cut(encoded: Any, step: Step, max_tokens: int = MOST_TOKENS, columns: Any = None) -> list[Any]:
    """Return the micro-batches of a step, as StepDataset does."""
    from hornbook.training.steps import MicroBatch, micro_batches

    made = []
    for part in micro_batches(step, encoded.lengths, max_tokens):
        more = {name: torch.from_numpy(rows[part]) for name, rows in (columns or {}).items()}
        made.append(MicroBatch(len(part) / len(step), encoded.batch(part) | more))
    return made


def our_loss(setting: Setting, size: tuple[int, int], recorded: Any = None) -> tuple[Any, Callable[[Any], Any]]:
    """Return a new student and the losses of a batch; `recorded` takes the teacher's place."""
    from hornbook.training.distillation import Distillation, Learner

    student = setting.student(*size)
    objectives, teacher = asked(setting, size, student)
    tapped = Learner(student, objectives)
    for parameter in tapped.unreached():
        parameter.requires_grad_(False)
    distillation = Distillation(recorded or teacher, objectives, {"relations": 1.0}, setting.bfloat16)
    return student, lambda batch: distillation(tapped, batch)


def asked(setting: Setting, size: tuple[int, int], student: Any) -> tuple[Any, Any]:
    """Return the objectives, and the tapped teacher in the setting's precision."""
    from hornbook.models.taps import Tapped, freeze, multiply_in_bfloat16
    from hornbook.recipe import DistilConfig
    from hornbook.training.distillation import all_taps, create_objectives
    from hornbook.training.objectives import Pair

    model = freeze(setting.teacher)
    if setting.bfloat16:
        model = copy.deepcopy(model)  # the other ways go on with the teacher as it is
        multiply_in_bfloat16(model)
    config = DistilConfig(teacher_layer=setting.layer, relation_heads=setting.heads(size[1]))
    objectives = create_objectives(Pair(model.config, student.config, config))
    return objectives, Tapped(model, all_taps(objectives)[0])


def from_disk(
    setting: Setting, size: tuple[int, int], encoded: Any, folder: Path, dtype: str
) -> tuple[StageContext, float, int]:
    """Ask the teacher once; return our way from the disk, the seconds that asking took, and the bytes of a token."""
    from hornbook.models.taps import Tapped
    from hornbook.training.activations.layout import layout_of
    from hornbook.training.activations.record import Recorded, asked_taps, write_parts

    teacher = asked(setting, size, setting.student(*size))[1]
    layout = layout_of(teacher.taps, teacher.model.config, dtype)
    start = time.perf_counter()
    write_parts(folder, Tapped(teacher.model, asked_taps(layout)), encoded, layout, setting.bfloat16)
    seconds = time.perf_counter() - start
    recorded = Recorded(lambda name: folder / name, layout, encoded.lengths, teacher.taps, teacher.model)
    student, loss = our_loss(setting, size, recorded)
    optimizer = new_optimizer(student)

    def work(step: Step) -> None:
        ours_step(setting, loss, cut(encoded, step, columns=recorded.columns))
        finish(student, optimizer)

    return work, seconds, layout.row.itemsize


def ours_step(setting: Setting, loss: Callable[[Any], Any], micro_batches: Any) -> float:
    """Add up the gradients of a step; return its loss."""
    total = 0.0
    for weight, batch in micro_batches:
        with setting.autocast():
            losses = loss(setting.to_device(batch))
        of_step = torch.stack(list(losses.values())).sum() * weight
        of_step.backward()
        total += of_step.detach()
    return float(total)


def plain(setting: Setting, size: tuple[int, int], encoded: Any, *, peer: bool = False) -> StageContext:
    """Return the obvious way, or the peer's own."""
    student, loss = plain_loss(setting, size, peer)
    optimizer = new_optimizer(student)

    def work(step: Step) -> None:
        with setting.autocast():
            of_batch = loss(setting.to_device(encoded.batch(step)))
        of_batch.backward()
        finish(student, optimizer)

    return work


def plain_loss(setting: Setting, size: tuple[int, int], peer: bool) -> tuple[Any, Callable[[Any], Any]]:
    """Return a new student and the loss of a batch, of the obvious way or the peer's."""
    from hornbook.models.encode import model_inputs

    student, heads = setting.student(*size), setting.heads(size[1])
    teacher = copy.deepcopy(setting.teacher)
    for model in (student, teacher):
        model.set_attn_implementation("eager")  # the only one that hands out attentions
    if peer:
        return student, peer_loss(setting, teacher, student, heads)
    return student, lambda b: obvious_loss(teacher, student, model_inputs(teacher, b), setting.layer, heads)


def peer_loss(setting: Setting, teacher: Any, student: Any, heads: int) -> Callable[[Any], Any]:
    """Return minilmv2.bb's loss; its module is loaded by path, since its package asks for more than it needs."""
    assert setting.peer is not None
    spec = importlib.util.spec_from_file_location("peer", setting.peer / "minilmv2" / "minilmv2.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    weights = {(i, i): 1.0 for i in (1, 2, 3)}
    layers = student.config.num_hidden_layers
    distiller = module.MiniLM(teacher, student, L=setting.layer, M=layers, relations=weights, A_r=heads)
    return lambda batch: distiller(**batch)[0]


def new_optimizer(student: Any) -> Any:
    """Return the optimiser that all ways use."""
    learning = [p for p in student.parameters() if p.requires_grad]
    return torch.optim.AdamW(learning, lr=6e-4, eps=1e-6, weight_decay=0.01, fused=True)


def finish(student: Any, optimizer: Any) -> None:
    """End an optimiser step."""
    torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
