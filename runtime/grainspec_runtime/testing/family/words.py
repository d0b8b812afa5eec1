"""What a family promises of the target prompt's embeddings.

A layer of cross-attention projects every text token's embedding by itself to a key, so the keys
tell which embeddings are where, whatever the family's encoded prompts are.

Dimensions: F frames, H heads, T text tokens, d head size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from grainspec_runtime.testing.family.observe import Probe
from grainspec_runtime.testing.family.registry import family_property, require
from grainspec_runtime.testing.family.subject import REPEATED, Subject

CLOSE = 1e-4


@family_property("phrases")
def phrases(subject: Subject) -> None:
    """Isolated phrases are encoded by themselves, at their own text tokens and nowhere else."""
    name, checkpoint = "phrases", subject.checkpoint
    plan = subject.plan("until 100% decay 1 phrases isolated", REPEATED)
    in_context = subject.plan("until 100% decay 1 phrases in_context", REPEATED)
    if not _keys(subject, checkpoint.encode_prompt(REPEATED)):
        return  # without cross-attention there are no keys of text tokens alone
    whole = _keys(subject, checkpoint.encode_prompt(REPEATED))
    same = _keys(subject, checkpoint.encode_target(in_context))
    isolated = _keys(subject, checkpoint.encode_target(plan))
    for layer, keys in whole.items():
        require(
            torch.allclose(same[layer], keys, atol=CLOSE),
            name,
            "with `phrases in_context` the target is not encoded as its whole prompt is",
            layer=layer,
        )
        expected = keys.clone()
        for edit in plan.edits:
            for (start, end), places in zip(edit.spans, edit.tokens, strict=True):
                phrase = REPEATED[start:end]
                alone = _keys(subject, checkpoint.encode_prompt(phrase))[layer]
                spans = subject.backbone.tokenize(phrase)
                own = [place for place, (a, b) in enumerate(spans) if a < b]
                if len(own) == len(places):  # else it stays in context
                    expected[:, :, list(places)] = alone[:, :, own]
        require(
            (expected - keys).abs().max() > CLOSE,
            name,
            f"phrases of “{REPEATED}” are encoded by themselves as within the prompt, so that this "
            "cannot be checked: use a checkpoint with another text encoder",
        )
        _compare(subject, layer, isolated[layer], expected, keys)


def _compare(subject: Subject, layer: str, found: Tensor, expected: Tensor, whole: Tensor) -> None:
    away_T = (found - expected).abs().amax((0, 1, 3))
    if away_T.max() <= CLOSE:
        return
    place = int(away_T.argmax())
    spans = subject.backbone.tokenize(REPEATED)
    word = REPEATED[slice(*spans[place])]
    token = found[:, :, place]
    plain = (token - whole[:, :, place]).abs().max() <= CLOSE
    other = [
        index
        for index in range(found.shape[2])
        if index != place and (token - expected[:, :, index]).abs().max() <= CLOSE
    ]
    cause = ""
    if plain:
        cause = ": it is encoded within the prompt"
    elif other:
        cause = f": it is the embedding that belongs to text token {other[0]}"
    raise_where: dict[str, Any] = {"token": place, "layer": layer}
    require(
        False,
        "phrases",
        f"text token {place} (“{word}”) of “{REPEATED}” has another embedding than with its phrase "
        f"encoded by itself{cause}",
        **raise_where,
    )


def _keys(subject: Subject, encoded: Any) -> dict[str, Tensor]:
    """The keys of every layer of cross-attention by its name, ``[F, H, T, d]``."""
    probe = Probe(subject.latent_frames)
    subject.prediction(probe, encoded=[encoded])
    return {
        layer.name: received.key for layer, received in probe.seen.items() if layer.kind == "cross"
    }
