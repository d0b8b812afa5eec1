"""Test an attention backend or a model family of your own against its contract.

:func:`check_attention` compares a backend with the operator's definition, and
:func:`check_family` a model family with what every family promises. Both raise
:class:`grainspec.testing.Broken`, with the property's name, the place and the values. Neither
needs Hypothesis or pytest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grainspec_runtime.testing.attention.check import check_attention
    from grainspec_runtime.testing.family.check import check_family

__all__ = ["check_attention", "check_family"]

_HOMES = {
    "check_attention": "grainspec_runtime.testing.attention.check",
    "check_family": "grainspec_runtime.testing.family.check",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
