"""The modulated attention operator and its backends."""

from grainspec_runtime.attention.operator import BACKENDS, modulated_attention

__all__ = ["BACKENDS", "modulated_attention"]
