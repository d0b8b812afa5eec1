"""Compute the attention of Wan's stock transformers in another way inside a block.

The stock processors stay at work: :mod:`grainspec_runtime.modulation.intercept` says how.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from grainspec_runtime.backbones.families.wan.caches import check_cache, check_parallel
from grainspec_runtime.backbones.families.wan.configs import EXPERTS
from grainspec_runtime.backbones.families.wan.layers import attention_layers, attentions_before
from grainspec_runtime.backbones.families.wan.processors import check_processor
from grainspec_runtime.modulation.intercept import Intercepted
from grainspec_runtime.modulation.layers import Attention


class Installation:
    """An attention for a transformer, to be put in place and taken out any number of times.

    ``name`` is that of the transformer in its pipeline, for messages.
    """

    def __init__(
        self, transformer: Any, attention: Attention, *, name: str = "transformer"
    ) -> None:
        self._transformer = transformer
        self._name = name
        self._places: list[tuple[str, Any, Intercepted]] = []
        for place, layer in attention_layers(transformer).items():
            if attention.reaches(layer):
                module = transformer.get_submodule(place)
                before = attentions_before(module)
                self._places.append((place, module, Intercepted(attention, layer, before=before)))

    def check(self) -> None:
        """Raise GrainError for what does not go with a plan's attention.

        G410: processors that compute something else. G550: caches. G551: context parallelism.
        """
        check_cache(self._transformer, self._name)
        check_parallel(self._transformer, self._name)
        for layer, module, _ in self._places:
            check_processor(layer, module, self._name)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Compute the attention of the layers with the given one inside the block.

        At the end each layer has the processor that it had before, whatever is raised inside.
        """
        before = [module.processor for _, module, _ in self._places]
        try:
            for (_, module, intercepted), stock in zip(self._places, before, strict=True):
                intercepted.follow(stock)
                module.processor = intercepted
            yield
        finally:
            for (_, module, _), stock in zip(self._places, before, strict=True):
                module.processor = stock


@contextmanager
def installed(transformers: Sequence[Any], attention: Attention) -> Iterator[None]:
    """Compute the attention of transformers (one, or two experts) with ``attention`` in a block.

    Layers whose attention is plain (:meth:`.layers.Attention.is_plain`) are computed by their own
    processors, with the attention backend that these were set to. At the end the processors are
    restored, whatever is raised inside.

    Raises GrainError as :meth:`Installation.check` does.
    """
    installations = [
        Installation(transformer, attention, name=name)
        for name, transformer in zip(EXPERTS, transformers, strict=False)
    ]
    for installation in installations:
        installation.check()
    with ExitStack() as stack:
        for installation in installations:
            stack.enter_context(installation.in_place())
        yield
