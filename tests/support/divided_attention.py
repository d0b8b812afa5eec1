"""A program that compares attention of 3 and 4 processes, divided in every way, with that of one.

    python divided_attention.py PLAN…

Prints a line of JSON for each number of processes, plan and division: these numbers, and the
largest differences of plain and modulated self-attention, and of modulated cross-attention.
"""

from __future__ import annotations

import json
import sys
from functools import partial

import torch
from forked import in_forks
from torch import Tensor

from grainspec.plan.mask_plan import MaskPlan
from grainspec.plan.save import load_plan
from grainspec_runtime.modulation.clip import ClipAttention
from grainspec_runtime.modulation.divided import DividedAttention
from grainspec_runtime.modulation.layers import AttentionLayer
from grainspec_runtime.modulation.part import Division
from grainspec_runtime.modulation.parts import Parts

HEADS, WIDTH = 12, 8
OWN, TEXT = AttentionLayer("a", 0, "self", 0), AttentionLayer("b", 0, "cross", 0)
CALLS = ((OWN, 9), (OWN, 0), (TEXT, 0))
"""Layers and steps: the last step is plain."""


def begun(plan: MaskPlan, step: int) -> ClipAttention:
    attention = ClipAttention(len(plan.groups), plan=plan)
    attention.begin_step(step, 10, 900.0 if step == 0 else 100.0)
    return attention


def drawn(plan: MaskPlan) -> tuple[Tensor, Tensor]:
    """Queries, keys and values of the clip, and keys and values of the text."""
    tokens, words = len(plan.groups) * plan.levels[0].tokens, plan.words_ET.shape[1]
    random = torch.Generator().manual_seed(tokens)
    qkv = torch.randn(3, 1, HEADS, tokens, WIDTH, generator=random)
    return qkv, torch.randn(2, 1, HEADS, words, WIDTH, generator=random)


def whole(plan: MaskPlan) -> list[Tensor]:
    (q, k, v), text = drawn(plan)
    return [
        begun(plan, step).self_attention(layer, q, k, v)
        if layer is OWN
        else begun(plan, step).cross_attention(layer, q, *text)
        for layer, step in CALLS
    ]


def differences(plans: list[MaskPlan], expected: list[list[Tensor]]) -> list[list[float]]:
    found = []
    for plan, outs in zip(plans, expected, strict=True):
        qkv, text = drawn(plan)
        for ulysses in (1, 2, 3, 4):
            ranks = torch.distributed.get_world_size()
            if ranks % ulysses:
                continue
            parts = Parts(Division(ulysses, ranks // ulysses), {HEADS})
            part = parts.now
            part.tokens = qkv.shape[3]
            q, k, v = (part.of(it, 2) for it in qkv)
            line = [float(ranks), float(ulysses)]
            for (layer, step), out in zip(CALLS, outs, strict=True):
                divided = DividedAttention(begun(plan, step), parts)
                if layer is OWN:
                    own = divided.self_attention(layer, q, k, v)
                else:
                    own = divided.cross_attention(layer, q, *text)
                line.append(float((part.gathered(own, 2) - out).abs().max()))
            found.append(line)
    return found


if __name__ == "__main__":
    plans = [load_plan(path) for path in sys.argv[1:]]
    work = partial(differences, plans, [whole(plan) for plan in plans])
    for processes in (3, 4):
        for lines in in_forks(processes, work):
            for line in lines:
                print(json.dumps(line))
