"""The table of distillation objectives: the names that `distil.objectives` takes, and where each is written.

A new objective is a file in `training/objectives/` and a line here. One in another package is registered with
`hornbook.training.objectives.register`, or named in the package's entry points under `hornbook.objectives`.
"""

from typing import Any

from hornbook.registry import Registry

OBJECTIVES: Registry[Any] = Registry(  # of classes `hornbook.training.objectives.Objective`
    "objective",
    group="hornbook.objectives",
    builtin={
        "relations": "hornbook.training.objectives.relations:Relations",
        "logits": "hornbook.training.objectives.logits:Logits",
        "attention": "hornbook.training.objectives.attention:Attention",
        "hidden_states": "hornbook.training.objectives.hidden_states:HiddenStates",
    },
)
