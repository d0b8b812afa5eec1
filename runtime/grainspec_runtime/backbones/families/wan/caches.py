"""What diffusers adds to a transformer, and does not go with a plan: caches, several devices."""

from __future__ import annotations

from typing import Any

from grainspec.diagnostics import fail

_WHY = {
    "pyramid_attention_broadcast": "it repeats the attention of an earlier step",
    "text_kv_cache": "it tells prompts apart by their place in memory",
}
"""Why a cache does not go with a plan, by the module of its hooks, where it is a reason of its
own."""

_REPEATS = "it repeats what earlier steps computed, where the plan had other strengths"


def check_cache(transformer: Any, part: str) -> None:
    """Raise GrainError (G550) if a cache of diffusers is enabled.

    Caches skip layers, or whole calls, if little has changed since the last step. They judge by the
    layers that they run, and not by the plan: its strengths change with every step, and at its end
    all at once.
    """
    for module in transformer.modules():
        registry = getattr(module, "_diffusers_hook", None)
        for hook in registry.hooks.values() if registry else ():
            if (kind := _cache_of(hook)) is None:
                continue
            name = type(getattr(transformer, "_cache_config", None) or hook).__name__
            message = (
                f"the pipeline's {part} has a cache ({name}), which does not go with a plan: "
                f"{_WHY.get(kind, _REPEATS)}"
            )
            cure = f"Disable it: `pipe.{part}.disable_cache()`."
            if getattr(transformer, "_cache_config", None) is None:  # by `apply_…` of its module
                cure = f"Load the {part} again, without it."
            raise fail("G550", message, cure)


def _cache_of(hook: Any) -> str | None:
    """Return the module of a cache's hook; None for other hooks, such as offloading's."""
    package, _, name = type(hook).__module__.rpartition(".")
    is_cache = name.endswith("_cache") or name == "pyramid_attention_broadcast"
    return name if is_cache and package == "diffusers.hooks" else None


def check_parallel(transformer: Any, part: str) -> None:
    """Raise GrainError (G551) if the tokens of a clip are divided between several devices."""
    config = getattr(transformer, "_parallel_config", None)
    if getattr(config, "context_parallel_config", None) is None:
        return
    message = f"the pipeline's {part} runs with context parallelism, which a plan does not support"
    cure = "Load the pipeline again, without `enable_parallelism`, on one device."
    raise fail("G551", message, cure)
