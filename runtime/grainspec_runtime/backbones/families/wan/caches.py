"""What diffusers adds to a transformer, and does not go with a plan: caches, several devices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from grainspec.diagnostics import fail

_WHY = {
    "pyramid_attention_broadcast": "it repeats the attention of an earlier step",
    "text_kv_cache": "it tells prompts apart by their place in memory",
}
"""Why a cache does not go with a plan, by its module, where it is a reason of its own."""

_REPEATS = "it repeats what earlier steps computed, where the plan had other strengths"


def check_cache(transformer: Any, part: str) -> None:
    """Raise GrainError (G550) if a cache of diffusers is enabled.

    Caches skip layers, or whole calls, if little has changed since the last step. They judge by the
    layers that they run, and not by the plan: its strengths change with every step, and at its end
    all at once.
    """
    cure = f"Disable it: `pipe.{part}.disable_cache()`."
    cache = getattr(transformer, "_cache_config", None)
    if cache is None:  # or by the function `apply_…` of its module
        cure = f"Load the {part} again, without it."
        cache = next(filter(_is_cache, _hooks(transformer)), None)
    if cache is not None:
        why = _WHY.get(type(cache).__module__.rpartition(".")[2], _REPEATS)
        message = (
            f"the pipeline's {part} has a cache ({type(cache).__name__}), "
            f"which does not go with a plan: {why}"
        )
        raise fail("G550", message, cure)


def _hooks(transformer: Any) -> Iterator[Any]:
    for module in transformer.modules():
        registry = getattr(module, "_diffusers_hook", None)
        yield from registry.hooks.values() if registry else ()


def _is_cache(hook: Any) -> bool:
    """Return whether a hook is a cache's; others are those of offloading, for example."""
    package, _, name = type(hook).__module__.rpartition(".")
    is_cache = name.endswith("_cache") or name == "pyramid_attention_broadcast"
    return is_cache and package == "diffusers.hooks"


def check_parallel(transformer: Any, part: str) -> None:
    """Raise GrainError (G551) if the tokens of a clip are divided between several devices."""
    config = getattr(transformer, "_parallel_config", None)
    if getattr(config, "context_parallel_config", None) is None:
        return
    message = f"the pipeline's {part} runs with context parallelism, which a plan does not support"
    cure = "Load the pipeline again, without `enable_parallelism`, on one device."
    raise fail("G551", message, cure)
