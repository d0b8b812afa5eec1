"""The modulated attention operator and its backends."""

from grainspec_runtime.attention.backends import BACKENDS
from grainspec_runtime.attention.class_order import ClassOrder
from grainspec_runtime.attention.dispatch import NAMES, Choice, choose
from grainspec_runtime.attention.operator import modulated_attention
from grainspec_runtime.attention.partial_result import Partials
from grainspec_runtime.attention.partials import KeyBlock, attention_partials, joint_attention

__all__ = [
    "BACKENDS",
    "NAMES",
    "Choice",
    "ClassOrder",
    "KeyBlock",
    "Partials",
    "attention_partials",
    "choose",
    "joint_attention",
    "modulated_attention",
]
