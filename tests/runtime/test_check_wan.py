"""Faults planted in Wan and in the attention of video transformers, and what `check_family` says."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from planted import planted
from wan import tiny_wan

from grainspec.testing import Broken
from grainspec_runtime.backbones.families.wan import checkpoint, latents, prompts
from grainspec_runtime.modulation import clip, plan_tensors
from grainspec_runtime.testing import check_family
from grainspec_runtime.testing.family.subject import Subject


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_wan(tmp_path_factory.mktemp("wan") / "tiny")


FAULTS = [
    # clips
    (latents, "frames_Fchw.transpose(0, 1)[None]", "frames_Fchw.flip(0).transpose(0, 1)[None]",
     "latents", "a frame of the clip was changed"),
    (latents, "return clip_1cFhw[0].transpose(0, 1)", "return clip_1cFhw[0].transpose(0, 1).flip(-1)",
     "latents", "latents are mirrored"),
    (latents, "to_tensor(frames, device)", "to_tensor(frames, device)[:5]",
     "latents", "there are 2 latent frames"),
    # passes
    (checkpoint, "index * len(frames) :][: len(frames)]", "0:][: len(frames)]",
     "tokens", "receives other tokens in frame"),
    (checkpoint, "encoder_hidden_states=prompt.words", "encoder_hidden_states=conditioning[0].words",
     "predictions", "pass 1 of two"),
    (checkpoint, "self._attention.begin_pass(index, len(conditioning))", "pass",
     "conditional", "unconditional predictions change"),
    # words
    (prompts, "phrase.words[:, :count]", "phrase.words[:, 1 : count + 1]",
     "phrases", "has another embedding than with its phrase encoded by itself"),
    (prompts, 'plan.attention.phrases == "in_context"', "True",
     "phrases", "it is encoded within the prompt"),
    # attention
    (plan_tensors, "**self._padding,\n            **pulled", "**pulled",
     "labels", "the cause: padding is modulated as words are"),
    (plan_tensors, 'pulled["columns"] =', 'pulled_ =', "labels", "the cause: columns are not pulled"),
    (clip, "return layer.block in self._blocks", "return True", "labels", "layers 0"),
    (clip, "if len(query) == 1:\n        return last", "return last.expand_as(query)",
     "conditional", "the plan changes the unconditional pass"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "old", "new", "name", "message"), FAULTS)
def test_faults_in_wan_are_found(
    module: ModuleType, old: str, new: str, name: str, message: str, folder: Path
) -> None:
    with planted(module, old, new), pytest.raises(Broken) as raised:
        check_family(Subject(folder), properties=[name])
    assert raised.value.invariant == name
    assert message in str(raised.value)
