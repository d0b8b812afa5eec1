"""grainspec_runtime: apply mask plans inside frozen diffusion models.

    from grainspec_runtime import Editor

    result = Editor().run(grainspec.load("edit.grain"))

:class:`Editor` runs a spec from its clip to the edited frames. :func:`plan_applied` installs a plan
in a diffusers pipeline of your own, and :func:`modulated_attention` is the operator itself.

Each name is loaded when it is first used, and torch with it; the package alone does not load torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grainspec_runtime.applied import plan_applied
    from grainspec_runtime.attention import modulated_attention
    from grainspec_runtime.editing.editor import Editor

__all__ = ["Editor", "modulated_attention", "plan_applied"]

_HOMES = {
    "Editor": "grainspec_runtime.editing.editor",
    "modulated_attention": "grainspec_runtime.attention",
    "plan_applied": "grainspec_runtime.applied",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
