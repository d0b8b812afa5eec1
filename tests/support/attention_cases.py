"""Random inputs of the attention operator, and its error against the reference."""

from __future__ import annotations

import torch
from torch import Tensor

from grainspec_runtime.attention import modulated_attention

Case = dict[str, Tensor]


def case(
    batch: int = 1,
    heads: int = 2,
    queries: int = 60,
    keys: int = 50,
    width: int = 16,
    classes: int = 4,
) -> Case:
    generator = torch.Generator().manual_seed(batch * 1000 + queries + keys + classes)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return {
        "query": normal(batch, heads, queries, width) * 2,
        "key": normal(batch, heads, keys, width),
        "value": normal(batch, heads, keys, width),
        "query_labels": torch.randint(classes, (batch, queries), generator=generator),
        "key_labels": torch.randint(classes, (batch, keys), generator=generator),
        "relation": torch.rand(classes, classes, generator=generator) < 0.5,
        "attract": torch.rand(batch, queries, generator=generator),
        "repel": torch.rand(batch, queries, generator=generator),
    }


def error(
    inputs: Case,
    dtype: torch.dtype = torch.float32,
    backend: str = "rows",
    soft_share: float = 0.0,
) -> float:
    """‖out − ref‖ / ‖ref‖ of a backend against dense, both on the inputs rounded to ``dtype``."""
    rounded = {k: v.to(dtype) if k in {"query", "key", "value"} else v for k, v in inputs.items()}
    exact = {k: v.double() if k in {"query", "key", "value"} else v for k, v in rounded.items()}
    reference = modulated_attention(**exact, soft_share=soft_share, backend="dense")
    out = modulated_attention(**rounded, soft_share=soft_share, backend=backend)
    assert out.dtype == dtype
    assert out.isfinite().all()
    return float((out.double() - reference).norm() / reference.norm())


def balanced() -> Case:
    """Rows whose positive and negative masses are about equal show errors that others hide."""
    inputs = case(queries=200, keys=200)
    inputs["relation"] = torch.eye(4, dtype=torch.bool)
    low, high = torch.zeros(1, 200), torch.ones(1, 200)
    positive = inputs["relation"][inputs["query_labels"][:, :, None], inputs["key_labels"][:, None]]
    scores = (inputs["query"].double() @ inputs["key"].double().mT) / 4
    mx, mn = scores.amax(-1, keepdim=True), scores.amin(-1, keepdim=True)
    for _ in range(40):
        middle = (low + high) / 2
        pull = middle[:, None, :, None]
        moved = torch.where(
            positive[:, None], scores + pull * (mx - scores), scores + pull * (mn - scores)
        )
        mass = (moved.softmax(-1) * positive[:, None]).sum(-1).mean(1)
        low, high = torch.where(mass < 0.5, middle, low), torch.where(mass < 0.5, high, middle)
    inputs["attract"] = inputs["repel"] = ((low + high) / 2).float()
    assert (mass - 0.5).abs().median() < 0.05
    return inputs
