"""Tell the text tokens of prompts: a program that the language server starts, and asks.

Each line of standard input is a JSON object with the `model` and `motion_adapter` of a spec, its
folder `base`, and a `text`; each line of standard output answers one of them, with the model's
`name` and the `places` of all tokens in the text (start and end; those of special tokens and
padding are empty), or says `why` they are not known. Nothing is downloaded, no weights are loaded.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from grainspec.diagnostics import GrainError
from grainspec.diagnostics.diagnostic import reason_of
from grainspec.plan.backbone import Backbone
from grainspec_runtime.backbones.registry import find_model
from grainspec_runtime.models.hub import NotCached, is_remote


def answers(lines: Iterable[str]) -> Iterator[str]:
    """The answers to requests, one a line."""
    for line in lines:
        asked = json.loads(line)
        try:
            answer = _answer(**asked)
        except (GrainError, NotCached) as error:
            answer = {"why": _reason(asked["model"], asked["base"], error)}
        except Exception as error:  # one model's fault must not end the program
            answer = {"why": reason_of(error)}
        yield json.dumps(answer)


def _answer(model: str, motion_adapter: str, base: str, text: str) -> dict[str, Any]:
    backbone = _described(model, motion_adapter, base)
    return {"name": backbone.name, "places": list(backbone.tokenize(text))}


def _reason(model: str, base: str, error: GrainError | NotCached) -> str:
    """Why a model's tokenizer is not known; of one on the hub, only that it is not here."""
    if isinstance(error, NotCached) or (
        error.diagnostics[0].code == "G502" and is_remote(model, Path(base))
    ):
        return f"{model} is not on this machine"
    return error.diagnostics[0].message


@lru_cache(maxsize=4)
def _described(model: str, motion_adapter: str, base: str) -> Backbone:
    folder, family = find_model(model, Path(base), motion_adapter=motion_adapter, online=False)
    return family.describe(folder)


def main() -> None:
    """Answer until standard input ends. What libraries print goes to standard error."""
    out, sys.stdout = sys.stdout, sys.stderr
    for answer in answers(sys.stdin):
        print(answer, file=out, flush=True)


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    main()
