"""grainspec_runtime: apply mask plans inside frozen diffusion models.

    from grainspec_runtime import Editor, modulated_attention, plan_applied

All load torch when they are first asked for; the package itself does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grainspec_runtime.applied import plan_applied
    from grainspec_runtime.attention import modulated_attention
    from grainspec_runtime.editing.editor import Editor

__all__ = ["Editor", "modulated_attention", "plan_applied"]


def __getattr__(name: str) -> Any:
    if name == "Editor":
        from grainspec_runtime.editing.editor import Editor

        return Editor
    if name == "modulated_attention":
        from grainspec_runtime.attention import modulated_attention

        return modulated_attention
    if name == "plan_applied":
        from grainspec_runtime.applied import plan_applied

        return plan_applied
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
