"""A masked language model that predicts one position of each input."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.modeling_outputs import BaseModelOutput

from hornbook.models.encode import Batch, model_inputs
from hornbook.models.families import attention_end
from hornbook.models.taps import freeze
from hornbook.models.topk import topk_indices


class MaskedModel:
    """A masked language model of any family, whose head sees only the masked positions.

    The head multiplies each position by the whole vocabulary, which is more than half of the work in a small model.
    Families store the head under different names, but all pass it the output of their base model. So the base model
    is made to return the hidden state of the masked position alone. After the last layer's attention no position
    depends on another, so families built like BERT drop the other positions already there.

    Args:
        model: a model from `AutoModelForMaskedLM`; it is changed.
        device: where it computes: on a GPU the base model in bfloat16, the head in float32.
    """

    def __init__(self, model: Any, device: torch.device) -> None:
        self.device = device
        self._model: Any = freeze(model).to(device)
        self._masked = torch.empty(0, dtype=torch.long)
        self._has_base = model.base_model is not model
        self._attended = self._has_base and self._drop_after(model)
        if self._has_base:
            model.base_model.forward = self._at_masked(model.base_model.forward)

    def best(self, batch: Batch, masked: NDArray[np.int64], count: int) -> NDArray[np.int32]:
        """Return the most likely word pieces at one position of each sequence, the most likely first.

        Args:
            batch: sequences with a mask token in each, as from `Encoded.batch`.
            masked: the position of the mask, shape (sequences,).
            count: how many pieces; not more than the vocabulary has.

        Returns:
            ids of word pieces, shape (sequences, count).
        """
        inputs = {name: t.to(self.device) for name, t in model_inputs(self._model, batch).items()}
        self._masked = torch.from_numpy(masked).to(self.device)
        with torch.inference_mode():
            logits = self._model(**inputs).logits
            logits = logits[:, 0] if self._has_base else self._chosen(logits)
            best: NDArray[np.int64] = topk_indices(logits.float(), count).cpu().numpy()
        return best.astype(np.int32)

    def _at_masked(self, forward: Any) -> Any:
        def base(*args: Any, **kwargs: Any) -> BaseModelOutput:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
                hidden = forward(*args, **kwargs)[0]
            return BaseModelOutput(
                last_hidden_state=(hidden if self._attended else self._chosen(hidden)[:, None]).float()
            )

        return base

    def _drop_after(self, model: Any) -> bool:
        """Drop all but the masked positions after the last layer's attention; return whether its path is known."""
        path = attention_end(model.config)
        if path is None:
            return False
        last = model.base_model.get_submodule(path)
        last.register_forward_hook(lambda _module, _inputs, output: (self._chosen(output[0])[:, None], *output[1:]))
        return True

    def _chosen(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden[torch.arange(len(hidden), device=hidden.device), self._masked]
