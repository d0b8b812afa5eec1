"""Faults planted in a model family and in modulation, and what `check_family` says of them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from planted import planted
from tiny_models import save_sd15

from grainspec.testing import Broken
from grainspec_runtime.backbones import registry
from grainspec_runtime.models import tokenize
from grainspec_runtime.modulation import folded, plan_tensors, planned
from grainspec_runtime.testing import check_family
from grainspec_runtime.testing.family.check import NAMES
from grainspec_runtime.testing.family.subject import Subject

FAMILY = registry.pipelines()["StableDiffusionPipeline"]


def of_family(name: str) -> ModuleType:
    """A module of what the families of image UNets share."""
    from importlib import import_module

    return import_module(f"grainspec_runtime.backbones.unets.{name}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_sd15(tmp_path_factory.mktemp("family") / "tiny")


@pytest.fixture(scope="module")
def subject(folder: Path) -> Subject:
    whole = Subject(folder)
    check_family(whole, properties=["loaded", "labels", "stock", "unmodulated"])
    return whole


def broken(model: Any, name: str, module: ModuleType, old: str, new: str) -> Broken:
    """What `check_family` says of a model with this fault."""
    assert name in NAMES
    with planted(module, old, new), pytest.raises(Broken) as raised:
        check_family(model, properties=[name])
    assert raised.value.invariant == name
    return raised.value


LABELS = "level.labels_FHW.reshape(frames, -1)"

SELF_STRENGTHS = """self._strength(level.self_attract_FC, level.labels_FN).view_as(labels)
        repel = self._strength(level.self_repel_FC"""
SWAPPED_STRENGTHS = """self._strength(level.self_repel_FC, level.labels_FN).view_as(labels)
        repel = self._strength(level.self_attract_FC"""

MODULATION_FAULTS = [
    # labels
    (plan_tensors, LABELS, "level.labels_FHW.transpose(0, 2, 1).reshape(frames, -1)",
     "labels", "the cause: labels are transposed: columns are taken for rows"),
    (plan_tensors, LABELS, "level.labels_FHW[:, :, ::-1].reshape(frames, -1)",
     "labels", "the cause: labels are mirrored: left and right are swapped"),
    (plan_tensors, LABELS, "level.labels_FHW[:, ::-1].reshape(frames, -1)",
     "labels", "the cause: labels are mirrored: top and bottom are swapped"),
    (plan_tensors, LABELS, "level.labels_FHW[[1, 2, 0]].reshape(frames, -1)",
     "labels", "the cause: labels are those of the next frame"),
    (plan_tensors, LABELS, "level.labels_FHW[[0, 0, 0]].reshape(frames, -1)",
     "labels", "the cause: labels are those of the first frame"),
    (plan_tensors, "labels_FN[self._key_frames_FK].flatten(1)",
     "labels_FN.repeat(1, self._key_frames_FK.shape[1])", "labels", "by definition it is"),
    # passes
    (folded, "conditional = index == len(q) - 1", "conditional = True",
     "labels", "the cause: the unconditional pass is modulated, too"),
    (folded, "conditional = index == len(q) - 1", "conditional = True",
     "conditional", "the plan changes the unconditional pass"),
    (folded, "conditional = index == len(q) - 1", "conditional = index == 0",
     "labels", "the unconditional pass is modulated, and the conditional one is not"),
    (folded, "conditional = index == len(q) - 1", "conditional = index == 1",
     "conditional", "without guidance, the only pass is not modulated"),
    (folded, "torch.cat([plain, part])", "torch.cat([part, plain])",
     "conditional", "the plan changes the unconditional pass"),
    (folded, "first = len(query) - self.frames", "first = 0", "labels", "the family raises "),
    # strengths
    (plan_tensors, SELF_STRENGTHS, SWAPPED_STRENGTHS,
     "labels", "the cause: attraction and repulsion are swapped"),
    (plan_tensors, "torch.from_numpy(level.self_attract_FC)", "torch.from_numpy(level.cross_attract_FC)",
     "labels", "by definition it is"),
    (plan_tensors, "labels_FN) * self.share).clamp_(max=1.0)", "labels_FN) * self.share)", "labels", "attract must lie in 0 to 1"),
    (plan_tensors, "table_FC.gather(1, labels_FN)", "table_FC[:1].expand_as(table_FC).gather(1, labels_FN)",
     "labels", "the cause: the strengths are those of the first frame"),
    (plan_tensors, "self.share.fill_(share if", "self.share.fill_(1.0 if",
     "labels", "the cause: the schedule's factor ξ is missing"),
    # steps and levels
    (plan_tensors, "self.plan.is_active(step, steps, timestep) and", "True and",
     "steps", "the cause: the modulation does not end"),
    (plan_tensors, "self.plan.is_active(step, steps, timestep)", "self.plan.is_active(step + 1, steps, timestep)",
     "steps", "the cause: nothing is modulated"),
    (plan_tensors, "if level.modulated:", "if True:",
     "labels", "the cause: levels that the plan leaves alone are modulated"),
    (planned, "self._plan.level(layer.level)", "self._plan.level(0)",
     "labels", "the family raises GrainError: G404: the plan has 60 latent tokens a frame"),
    # keys and words
    (folded, "key_frames(scope, frames)", "key_frames('each', frames)",
     "labels", "the cause: every frame attends to itself only"),
    (folded, "self.full = scope ==", "self.full = 'full' ==",
     "labels", "the cause: every frame attends to all frames"),
    (folded, "tensor[self.key_frames_FK].", "tensor[self.key_frames_FK.flip(1)].",
     "labels", "by definition it is"),
    (plan_tensors, "torch.arange(plan.words_ET.shape[1], device=device)", "torch.arange(plan.words_ET.shape[1]).roll(1)",
     "labels", "the cause: words are one text token too late"),
    (plan_tensors, '"soft": self.soft_T', '"soft": None',
     "labels", "the cause: words of no edit repel in full"),
    (plan_tensors, "plan.repel_shares_T < 1", "plan.repel_shares_T == 1", "labels", "by definition it is"),
    (planned, "self._plan.begin_step(step, steps, timestep)", "self._plan.begin_step(step, steps + 1, timestep)",
     "steps", "by definition it is"),
    (planned, "len(plan.groups) != frames", "False",
     "mismatch", "a clip of one more latent frame than the plan's: is not refused"),
    (planned, "level.labels_FN.shape[1] * frames != tokens", "False",
     "mismatch", "frames of twice the plan's height: raises ValueError, not a GrainError"),
    (folded, "if layer.level in self._paths", "if False",
     "paths", "away from attention along the motion paths, for a token of a path"),
    (folded, "attend_along_paths(q[index], k[index], part,", "attend_along_paths(k[index], q[index], part,",
     "paths", "for a token of a path"),
    (planned, "self.recorder.record(layer, attend, query, key, out)", "pass",
     "recorder", "is not recorded"),
]  # fmt: skip


@pytest.mark.parametrize(
    "fault", MODULATION_FAULTS, ids=lambda fault: f"{fault[2][:40]}-{fault[3]}"
)
def test_a_fault_of_modulation_is_found_and_named(subject: Subject, fault: Any) -> None:
    module, old, new, name, words = fault
    assert words in str(broken(subject, name, module, old, new))


FAMILY_FAULTS = [
    ("prompts", "[:, 1 : 1 + count]", "[:, 0:count]", "phrases", "has another embedding"),
    ("prompts", "[:, 1 : 1 + count]", "[:, 2 : 2 + count]", "phrases", "has another embedding"),
    ("prompts", "words_1TC[:, list(positions)]", "words_1TC[:, [p + 1 for p in positions]]",
     "phrases", ": it is encoded within the prompt"),
    ("prompts", "zip(edit.spans, edit.tokens, strict=True)", "[(edit.spans[0], edit.tokens[0])]",
     "phrases", ": it is encoded within the prompt"),
    ("prompts", 'phrases == "in_context"', 'phrases != "in_context"',
     "phrases", "with `phrases in_context` the target is not encoded as its whole prompt is"),
    ("prompts", "value.repeat_interleave(frames, 0)", "torch.cat([value] * frames)",
     "predictions", "passes or frames of inputs are in another order"),
    ("install", "            for (_, module, _), processor in zip(self._places, before, strict=True):\n"
     "                module.set_processor(processor)", "            pass",
     "restored", "the attention processor of `down_blocks.0.attentions.0"),
    ("norms", "setattr(owner, name, over_clip.norm)", "pass",
     "restored", "the module `down_blocks.0.resnets.0.norm1"),
    ("layers", "block if place[\"side\"] == \"down_blocks\" else coarsest - block", "block",
     "layers", "latent tokens, but its level"),
    ("layers", "block if place[\"side\"] == \"down_blocks\" else coarsest - block", "0",
     "layers", "layers attend at levels [0, 3], but described are"),
    ("layers", "\"cross\" if module.is_cross_attention else \"self\"",
     "\"self\" if module.is_cross_attention else \"cross\"", "layers", "is of the kind cross, but has 60 keys, where there are 48 text tokens"),
    ("install", ".unflatten(-1, (attn.heads, -1)).transpose(1, 2)",
     ".unflatten(-1, (attn.heads, -1)).transpose(1, 2).flip(2)", "tokens", "they are in another order"),
    ("install", ".unflatten(-1, (attn.heads, -1)).transpose(1, 2)",
     ".unflatten(-1, (attn.heads, -1)).transpose(1, 2).roll(1, 0)", "tokens", "receives other tokens in frame"),
    ("install", "self.attend(self.layer, query, key, value)", "self.attend(self.layer, query, key, key)",
     "stock", "without a plan, predictions are"),
    ("checkpoint", "return scaled.to(self.dtype).contiguous()", "return scaled.to(self.dtype).flip(0).contiguous()",
     "latents", "a frame of the clip was changed"),
    ("checkpoint", "return scaled.to(self.dtype).contiguous()", "return scaled.to(self.dtype).flip(3).contiguous()",
     "latents", "latents are mirrored, left and right: pixels change"),
    ("checkpoint", "return torch.cat(frames)", "return torch.cat(frames).flip(0)",
     "latents", "latent frame 0 was changed, but pixels change most in the frames of"),
    ("checkpoint", "scope=settings.frames,", "scope='each',", "labels", "every frame attends to itself only"),
    ("checkpoint", "plan=plan,", "plan=None,", "labels", "the cause: nothing is modulated"),
    ("checkpoint", "recorder=recorder,", "", "recorder", "the steps are told as modulated: []"),
    ("apply", "self._in_place.enter_context(self._installation.in_place())", "pass",
     "pipelines", "a pipeline does the same under the plan"),
    ("memory", "int(passes * most", "int(most", "memory", "bytes, two take"),
]  # fmt: skip


@pytest.mark.parametrize("fault", FAMILY_FAULTS, ids=lambda fault: f"{fault[0]}-{fault[2][:40]}")
def test_a_fault_of_a_family_is_found_and_named(subject: Subject, folder: Path, fault: Any) -> None:
    module, old, new, name, words = fault
    model = folder if name == "restored" else subject  # it stays as it is
    assert words in str(broken(model, name, of_family(module), old, new))


DESCRIBED = [
    (tokenize, "(starts[first], ends[last - 1]) if", "(starts[first] + 1, ends[last - 1]) if",
     "text", "text token 1 of “a green robot and a yellow bear on grass” has the characters"),
    (of_family("describe"), "max_tokens=lengths[0]", "max_tokens=lengths[0] + 1",
     "described", "text tokens, and `max_tokens` is"),
    (of_family("describe"), 'number_in(scheduler, "steps_offset", 1)', "3",
     "schedule", "5 steps of `ddim` are at"),
    (of_family("describe"), "attended=attended_levels(unet, model.name, span)", "attended=(0, 1)",
     "layers", "layers attend at levels [0, 1, 2, 3], but described are [0, 1]"),
    (of_family("describe"), "pixels_per_latent=per_latent", "pixels_per_latent=2 * per_latent",
     "latents", "rows and columns, described"),
]  # fmt: skip


@pytest.mark.parametrize("fault", DESCRIBED, ids=lambda fault: f"{fault[2][:40]}-{fault[3]}")
def test_a_fault_of_a_description_is_found_and_named(folder: Path, fault: Any) -> None:
    module, old, new, name, words = fault
    assert words in str(broken(folder, name, module, old, new))


def test_a_family_need_not_be_registered(folder: Path) -> None:
    check_family(folder, family=FAMILY, properties=["found", "described", "light", "edits"])
    assert not Subject(folder, FAMILY).registered


def test_restored_runs_the_network_that_it_interrupts(subject: Subject) -> None:
    layer = subject.checkpoint.denoiser
    before = [*layer._forward_pre_hooks]
    check_family(subject, properties=["restored"])
    assert [*layer._forward_pre_hooks] == before
    assert not torch.is_inference_mode_enabled()
