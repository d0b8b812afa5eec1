"""Attention recorded inside video transformers, whose latent frames stand for several frames."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import EXAMPLES
from command import Grain
from safetensors.numpy import load_file
from torch import Tensor
from wan import tiny_wan
from wan_runs import LATENT_FRAMES, by_definition, plan_for

from grainspec.clip.facts import probe
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.modulation.clip import ClipAttention
from grainspec_runtime.modulation.folded import FoldedAttention
from grainspec_runtime.modulation.layers import AttentionLayer
from grainspec_runtime.study import record
from grainspec_runtime.study.record import StudyRecorder
from grainspec_runtime.study.save import STUDY_FILES
from grainspec_runtime.views.levels import at_level, latent_frames, vanished_frames

HEADS, WIDTH, TOKENS, AT = 2, 16, 8, 800.0
OWN, TEXT = AttentionLayer("a", 0, "self", 1), AttentionLayer("b", 0, "cross", 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_wan(tmp_path_factory.mktemp("wan") / "tiny")


@pytest.fixture(scope="module")
def plan(folder: Path) -> MaskPlan:
    return plan_for(folder, "until 100% decay 1 unbound 0.3")


def drawn(count: int) -> list[Tensor]:
    random = torch.Generator().manual_seed(5)
    query = torch.randn(2, HEADS, LATENT_FRAMES * TOKENS, WIDTH, generator=random)
    key, value = torch.randn(2, 2, HEADS, count, WIDTH, generator=random)
    return [query, key, value]


def recorded(plan: MaskPlan, attention: type, recorder: StudyRecorder) -> StudyRecorder:
    """Two passes of a layer of each kind, folded frames or a clip as the attention has them."""
    over_clip = attention(LATENT_FRAMES, plan=plan, recorder=recorder)
    over_clip.begin_step(0, 10, AT)
    q, k, v = drawn(LATENT_FRAMES * TOKENS)
    q_text, k_text, v_text = drawn(512)
    if attention is FoldedAttention:
        q, k, v, q_text = (by_frame(tensor) for tensor in (q, k, v, q_text))
        k_text, v_text = (it.repeat_interleave(LATENT_FRAMES, 0) for it in (k_text, v_text))
    over_clip.self_attention(OWN, q, k, v)
    over_clip.cross_attention(TEXT, q_text, k_text, v_text)
    return recorder


def by_frame(tensor: Tensor) -> Tensor:
    """[P, H, F * N, d] to [P * F, H, N, d]."""
    return tensor.unflatten(2, (LATENT_FRAMES, TOKENS)).transpose(1, 2).flatten(0, 1)


def test_a_clip_is_recorded_as_folded_frames_are(plan: MaskPlan) -> None:
    clip = recorded(plan, ClipAttention, StudyRecorder(plan)).result()
    folded = recorded(plan, FoldedAttention, StudyRecorder(plan)).result()
    torch.testing.assert_close(clip.maps, folded.maps)
    torch.testing.assert_close(clip.tally, folded.tally)
    assert clip.features is not None
    assert folded.features is not None
    torch.testing.assert_close(clip.features, folded.features)
    assert clip.features.shape == (LATENT_FRAMES, TOKENS, HEADS * WIDTH)


def test_shares_are_those_of_the_definition(plan: MaskPlan) -> None:
    found = recorded(plan, ClipAttention, StudyRecorder(plan)).result().maps
    query, key, _ = (tensor[1:] for tensor in drawn(512))
    weights = by_definition(plan, "cross", query, key, torch.eye(512)[None, None], AT)
    shares = weights[0].mean(0) @ torch.from_numpy(plan.words_ET.T).double()
    expected = shares.unflatten(0, (LATENT_FRAMES, 2, 4)).permute(3, 0, 1, 2)
    torch.testing.assert_close(found[1].double(), expected, atol=1e-5, rtol=1e-4)


def test_features_of_large_clips_are_bounded(
    plan: MaskPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = recorded(plan, ClipAttention, StudyRecorder(plan)).result().features
    monkeypatch.setattr(record, "_MOST_VALUES", LATENT_FRAMES * TOKENS * HEADS * WIDTH // 2 - 1)
    thinned = recorded(plan, ClipAttention, StudyRecorder(plan)).result().features
    assert whole is not None
    assert thinned is not None
    assert torch.equal(thinned, whole[..., ::3])


def test_regions_are_shown_on_every_frame_of_their_latent_frame(plan: MaskPlan) -> None:
    assert latent_frames(plan).tolist() == [0, 1, 1, 1, 1, 2, 2, 2, 2]
    shown = at_level(plan, plan.levels[0])
    bear = shown.mask("right")
    labels = plan.members_CE[plan.levels[0].labels_FHW, 1]
    assert bear.shape == (9, 32, 64)
    assert [frame.mean() for frame in bear] == [labels[i].mean() for i in latent_frames(plan)]
    assert vanished_frames(plan, plan.levels[0], 0) == []


def test_a_run_writes_a_study(grain: Grain, folder: Path, tmp_path: Path) -> None:
    for part in ("clips", "masks"):
        shutil.copytree(EXAMPLES / part, tmp_path / part)
    text = (EXAMPLES / "instance.grain").read_text()
    video = f'two_men.mp4" {{ frames 0..4  size 64x64 }}\nmodel "{folder}"'
    path = tmp_path / "instance.grain"
    path.write_text(
        text.replace('two_men.mp4"', video).replace("steps 30", "process flow_edit skip 0% steps 3")
    )
    out = tmp_path / "out"
    said = grain("run", path, "-o", out, "--study", "--set", "attention.until=100%")
    assert said.code == 0, said.err
    assert {file.name for file in out.iterdir()} >= STUDY_FILES
    found = json.loads((out / "study.json").read_text())
    assert found["steps"] == [0, 1, 2]
    assert all(0 < edit["words_inside"]["with"] < 1 for edit in found["edits"])
    arrays = load_file(out / "attention.safetensors")
    assert arrays["with"].shape[1:] == (2, 4, 4)
    assert arrays["segments.3"].shape == (2, 4, 4)
    assert np.isfinite(arrays["with"]).all()
    assert probe(out / "attention.mp4").frames == 5
    assert "Attention maps and segments" in (out / "report.html").read_text()
