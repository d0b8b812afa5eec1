"""Which pass of guidance a call of a Wan transformer is.

Diffusers' pipelines run the conditional pass first and then, with guidance, the unconditional one.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from grainspec_runtime.backbones.families.wan.target_words import WanWords


class Passes:
    """Tells the passes of a pipeline's run apart, by their order and their embeddings.

    In a call of the pipeline, its order tells; the embeddings of the conditional pass have to be
    the target's. In a loop of the user the embeddings tell: a pass with those of the target is
    conditional. If they are taken on trust there, the first pass at a timestep is conditional.
    """

    def __init__(self, pipe: Any, words: WanWords) -> None:
        self._pipe = pipe
        self._words = words
        self._unconditional_is_next = False
        self._last: float | None = None

    def begin_run(self) -> None:
        """Begin a run: its first pass is conditional."""
        self._unconditional_is_next = False
        self._last = None

    def is_conditional(self, words: Tensor, timestep: float, *, in_call: bool) -> bool:
        """Return whether the pass with these embeddings is conditional.

        Raises GrainError (G404, G411) if embeddings that have to be the target's are not.
        """
        last, self._last = self._last, timestep
        if in_call:
            conditional = not self._unconditional_is_next
            self._unconditional_is_next = conditional and self._pipe.do_classifier_free_guidance
            if conditional:
                self._words.check(words)
            return conditional
        if self._words.trusted:
            return timestep != last
        return self._words.are_target(words)
