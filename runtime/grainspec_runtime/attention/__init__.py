"""The modulated attention operator and its backends."""

from grainspec_runtime.attention.backends import BACKENDS
from grainspec_runtime.attention.class_order import ClassOrder
from grainspec_runtime.attention.dispatch import NAMES, Choice, choose
from grainspec_runtime.attention.operator import modulated_attention

__all__ = ["BACKENDS", "NAMES", "Choice", "ClassOrder", "choose", "modulated_attention"]
