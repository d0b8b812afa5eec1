"""Check a model family against the contract of families."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from grainspec.testing.broken import Broken
from grainspec_runtime.backbones.family import Family

from grainspec_runtime.testing.family import (  # isort: skip - in the order of checking
    before_loading as before_loading,
    loaded as loaded,
    layers as layers,
    attention as attention,
    limits as limits,
    words as words,
    whole as whole,
)
from grainspec_runtime.testing.family.registry import PROPERTIES
from grainspec_runtime.testing.family.subject import Subject

NAMES = tuple(PROPERTIES)
"""The properties of model families, in the order of checking."""


def check_family(
    model: str | Path | Subject,
    *,
    family: Family | None = None,
    seed: int = 0,
    properties: Collection[str] | None = None,
) -> None:
    """Check a model family on a checkpoint; raise Broken for the first property that it breaks.

    Use a tiny checkpoint with random weights, one of each pipeline class of the family: everything
    runs on the CPU, in about ten seconds. Clips are oblong, with odd grids of latent tokens; plans
    have other regions at every latent token, so that labels in another order are found out.

    The properties, by the name that Broken gives:

    - ``found``, ``light``, ``described``, ``text``, ``refused``: before a model is loaded. The
      family is found by the checkpoint's class; it describes a checkpoint without torch; text
      tokens are where the checkpoint's own tokenizers put them.
    - ``loaded``, ``latents``, ``predictions``, ``schedule``, ``facts``, ``memory``, ``features``:
      the members of :class:`grainspec_runtime.backbones.family.Checkpoint`.
    - ``layers``: layers are named as modules, and have the tokens of their level's grid.
    - ``tokens``: tokens are in the order of passes, frames, rows and columns, found by changing
      the latents in one corner of one frame.
    - ``stock``: without a plan it is the stock network.
    - ``labels``: a layer of each level and kind, given drawn queries, keys and values, computes
      the operator with the plan's classes, strengths, words and frames in scope. A message says
      which latent token is wrong, and the cause: labels transposed or mirrored, of another frame,
      the unconditional pass modulated, and so on.
    - ``conditional``, ``steps``, ``unmodulated``: a plan acts in the conditional pass alone, the
      unconditional one being bit-identical; at its steps; and not with strengths of 0.
    - ``recorder``: a recorder sees every layer, and changes nothing.
    - ``definition``: the whole denoiser under a plan predicts what it does with every layer
      computed by definition.
    - ``mismatch``, ``paths``: a plan for other frames is refused; motion paths are followed.
    - ``restored``: the denoiser is restored, whatever is raised.
    - ``phrases``: isolated phrases are encoded by themselves, at their text tokens alone.
    - ``pipelines``, ``edits``: a plan on a pipeline of the user, and a whole edit.

    Args:
        model: the folder of a checkpoint in diffusers' format.
        family: the family, if it is not registered yet; ``light``, ``pipelines`` and ``edits``
            are then left out. None finds it by the checkpoint's class.
        seed: of the clip and the regions.
        properties: names of those to check; None for all.

    Raises:
        Broken: for the first broken property; also if the family raises an error.
        ValueError: if a property's name is unknown.

    >>> check_family("demo", properties=["found", "described", "text", "labels"])
    """
    unknown = set(properties or ()) - set(NAMES)
    if unknown:
        raise ValueError(f"unknown properties {sorted(unknown)}; there are {[*NAMES]}")
    subject = model if isinstance(model, Subject) else Subject(model, family, seed=seed)
    for name, check in PROPERTIES.items():
        if properties is None or name in properties:
            try:
                check(subject)
            except Broken:
                raise
            except Exception as error:
                message = f"{type(error).__name__}: {str(error).strip() or 'without a message'}"
                raise Broken(name, f"the family raises {message}") from error
