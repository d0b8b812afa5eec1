"""Measure what the pull on self-attention does to attention itself, in image and video models.

    python runtime/benchmarks/self_attention_pull.py --model demo-video --strengths 0.02 0.05 0.2
    python runtime/benchmarks/self_attention_pull.py --model demo-image --strengths 0.3

Clips of the tuning split are edited. In every modulated call of self-attention, queries in edited
regions are looked at: "range" is the difference between the largest and the smallest score of a
query, "keys" the effective number of keys that it attends to (exp of its softmax's entropy),
without the pull and with it, and "moved" the share of its softmax that the pull moves to other keys
(total variation). All are medians over queries, heads, layers and steps.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path
from unittest.mock import patch

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from written import write_results

from grainspec_runtime import Editor
from grainspec_runtime.attention import operator
from grainspec_runtime.attention.call import AttentionCall
from grainspec_runtime.bench.clip_cases import make_clip_case
from grainspec_runtime.bench.clip_methods import methods_for
from grainspec_runtime.bench.clips import RenderedCase

_COLUMNS = ("range", "keys", "keys, pulled", "moved")
_QUERIES = 24
"""Queries that are looked at in a call, at most."""


def looked_at(call: AttentionCall) -> Tensor:
    """The four columns for some pulled queries and all heads of a call, ``[4, Q * H]``."""
    pulled = (call.attract[0].expand(call.queries) > 0).nonzero()[:, 0]
    rows = pulled[:: max(1, len(pulled) // _QUERIES)][:_QUERIES]
    scores = call.scale * (call.query[0, :, rows] @ call.key[0].transpose(1, 2)).double()
    query_labels, key_labels = call.labels()
    positive = call.relation[query_labels[0, rows]][:, key_labels[0]]
    attract, repel = (s[0].expand(call.queries)[rows, None] for s in (call.attract, call.repel))
    high, low = scores.amax(-1, keepdim=True), scores.amin(-1, keepdim=True)
    moved = torch.where(
        positive, scores + attract * (high - scores), scores + repel * (low - scores)
    )
    before, after = scores.softmax(-1), moved.softmax(-1)
    columns = (high - low)[..., 0], _keys(before), _keys(after), (before - after).abs().sum(-1) / 2
    return torch.stack([column.flatten() for column in columns])


def _keys(softmax: Tensor) -> Tensor:
    """The effective number of keys of each row."""
    return torch.special.entr(softmax).sum(-1).exp()


def measured(
    editor: Editor, model: str, strength: float, cases: int, steps: int
) -> dict[int, tuple[float, float, float, float]]:
    """The medians by the number of tokens that a query attends to."""
    ours = methods_for(model, "clips")[0]
    seen: dict[int, list[Tensor]] = defaultdict(list)
    plain = operator.run

    def run(call: AttentionCall, backend: str) -> Tensor:
        if call.queries == call.keys and bool((call.attract > 0).any()):
            seen[call.keys].append(looked_at(call))
        return plain(call, backend)

    for index in range(cases):
        rendered = RenderedCase(make_clip_case(index, "tuning"))
        spec = ours.spec(rendered.case, steps, model)
        attention = spec.attention.replaced({}, self_=strength)
        with tempfile.TemporaryDirectory() as place, patch.object(operator, "run", run):
            rendered.write(Path(place))
            editor.run(spec.replaced({}, attention=attention), base=Path(place))
    medians = {}
    for tokens, parts in sorted(seen.items(), reverse=True):
        spread, keys, pulled, moved = torch.cat(parts, 1).median(1).values.tolist()
        medians[tokens] = (spread, keys, pulled, moved)
    return medians


def main() -> None:
    """Measure each strength, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="demo-video")
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.02, 0.05, 0.2])
    parser.add_argument("--cases", type=int, default=2)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--json", type=Path, help="file for the results")
    arguments = parser.parse_args()
    editor = Editor(arguments.model, use_cache=False)
    table, results = Table("self", "tokens", *_COLUMNS), {}
    for strength in arguments.strengths:
        medians = measured(editor, arguments.model, strength, arguments.cases, arguments.steps)
        results[f"{strength:g}"] = {
            tokens: dict(zip(_COLUMNS, row, strict=True)) for tokens, row in medians.items()
        }
        for tokens, row in medians.items():
            table.add_row(f"{strength:g}", str(tokens), *(f"{value:.3g}" for value in row))
    Console().print(table)
    write_results(arguments, results, on_gpu=torch.cuda.is_available())


if __name__ == "__main__":
    main()
