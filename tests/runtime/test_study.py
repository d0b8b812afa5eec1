"""Attention recorded: what is recorded is what attention does, and recording changes nothing."""

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
from tiny_runs import plan_for
from torch import Tensor

from grainspec import EditSpec, GrainError, load
from grainspec.clip.facts import probe
from grainspec.model.spec import Attention, FrameRange, Size, Video
from grainspec.plan.mask_plan import MaskPlan
from grainspec.plan.windows import frame_windows
from grainspec_runtime import Editor
from grainspec_runtime.editing import resume
from grainspec_runtime.modulation.folded import FoldedAttention
from grainspec_runtime.modulation.layers import AttentionLayer
from grainspec_runtime.prepare import prepare
from grainspec_runtime.study.record import Study, StudyRecorder, study_of
from grainspec_runtime.study.save import STUDY_FILES, numbers, read_study
from grainspec_runtime.study.segments import clusters, components

HEADS, WIDTH = 2, 4
SELF, CROSS = (AttentionLayer(kind, 0, kind) for kind in ("self", "cross"))


def planted(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features in three groups of 30, 20 and 10 tokens, shuffled over two frames, and their groups."""
    generator = torch.Generator().manual_seed(seed)
    groups = torch.tensor([0] * 30 + [1] * 20 + [2] * 10)[torch.randperm(60, generator=generator)]
    centres = torch.tensor([[4.0, 0, 0, 1], [0, 4, 0, 1], [0, 0, 4, 1]])
    features = centres[groups] + 0.3 * torch.randn(60, 4, generator=generator)
    return features.reshape(2, 30, 4), groups.reshape(2, 30)


@pytest.mark.parametrize("seed", range(5))
def test_planted_clusters_are_found_the_largest_first(seed: int) -> None:
    features, groups = planted(seed)
    assert (clusters(features, 3) == groups).all()
    assert (clusters(features, 3) == clusters(features, 3)).all()


@pytest.mark.parametrize("features", [torch.zeros(1, 6, 3), torch.eye(2)[None].repeat(1, 3, 1)])
def test_fewer_kinds_of_tokens_than_clusters(features: Tensor) -> None:
    labels = clusters(features, 5)
    assert labels.shape == (1, 6)
    assert len(labels.unique()) <= 2
    assert bool(components(features).isfinite().all())
    assert components(features).shape == (1, 6, 3)


def test_principal_components_tell_groups_apart() -> None:
    features, groups = planted()
    found = components(features)
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    means = torch.stack([found[groups == group].mean(0) for group in range(3)])
    for one in range(3):
        for other in range(one):
            assert float((means[one] - means[other]).abs().max()) > 0.5


# --- against the written-out definition -----------------------------------------------------------


def softmax_shares(
    plan: MaskPlan, query: Tensor, key: Tensor, share: float, *, to_words: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Shares ``[F, N, E]`` of the softmax, mean over heads, by the equations in float64."""
    level = next(one for one in plan.levels if one.tokens == query.shape[2])
    labels = level.labels_FHW.reshape(len(level.labels_FHW), -1)
    found = []
    for modulated in (False, True):
        rows = []
        for frame in range(len(labels)):
            mine = labels[frame]
            kind = "cross" if to_words else "self"
            attract, repel = (
                np.minimum(getattr(level, f"{kind}_{sign}_FC")[frame, mine] * share, 1)[:, None]
                for sign in ("attract", "repel")
            )
            if to_words:
                keys, belongs = key[frame], plan.words_ET.T
                relation = plan.cross_relation_CT[mine]
            else:
                scope = plan.key_frames_FK[frame]
                keys = torch.cat([key[other] for other in scope], dim=1)
                others = np.concatenate([labels[other] for other in scope])
                belongs, relation = plan.members_CE[others], plan.self_relation_CC[mine][:, others]
            scores = (query[frame].double() @ keys.double().mT).numpy() / np.sqrt(WIDTH)
            if modulated:
                most, least = scores.max(-1, keepdims=True), scores.min(-1, keepdims=True)
                pulled = scores + attract * (most - scores)
                pushed = scores - repel * (scores - least)
                scores = np.where(relation, pulled, pushed)
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            weights /= weights.sum(-1, keepdims=True)
            rows.append((weights @ belongs.astype(float)).mean(0))
        found.append(np.stack(rows))
    return found[0], found[1]


@pytest.mark.parametrize("frames", ["full", "each", "sparse_causal"])
@pytest.mark.parametrize("passes", [1, 2])
def test_shares_are_those_of_the_softmax(tiny_sd: Path, frames: str, passes: int) -> None:
    plan = plan_for(tiny_sd, f"frames {frames} decay 1", frames=3)
    recorder = StudyRecorder(plan)
    control = FoldedAttention(3, plan=plan, scope=plan.attention.frames, recorder=recorder)
    plain = FoldedAttention(3, plan=plan, scope=plan.attention.frames)
    for one in (control, plain):
        one.begin_step(0, 4, 700.0)
    torch.manual_seed(0)
    tokens, words = plan.levels[0].tokens, plan.words_ET.shape[1]
    q, k, v = (2 * torch.randn(passes * 3, HEADS, tokens, WIDTH) for _ in range(3))
    text_k, text_v = (2 * torch.randn(passes * 3, HEADS, words, WIDTH) for _ in range(2))
    for kind, tensors in (("cross", (q, text_k, text_v)), ("self", (q, k, v))):
        layer = AttentionLayer("attention", 0, kind)
        found, wanted = (
            getattr(one, f"{kind}_attention")(layer, *tensors) for one in (control, plain)
        )
        assert (found == wanted).all()
    study = study_of([recorder], frame_windows(3, None), plan)
    last = slice((passes - 1) * 3, None)  # the conditional pass
    for kind, keys in enumerate((text_k, k)):
        expected = softmax_shares(plan, q[last], keys[last], 0.7, to_words=kind == 0)
        members = plan.members_CE[plan.levels[0].labels_FHW.reshape(3, -1)]
        for number, shares in enumerate(expected):
            if kind == 0:
                maps = shares.transpose(2, 0, 1).reshape(study.maps[number].shape)
                np.testing.assert_allclose(study.maps[number], maps, atol=2e-6)
            whole = shares.sum((0, 1)) if kind == 0 else members.sum((0, 1))
            inside = (shares * members).sum((0, 1)) / whole
            np.testing.assert_allclose(study.tally[0, number, kind], inside, atol=2e-6)
    assert (study.share(0)[1] > study.share(0)[0]).all()


def test_more_edits_than_a_head_is_wide(tiny_sd: Path) -> None:
    plan = plan_for(tiny_sd)
    recorder = StudyRecorder(plan)
    torch.manual_seed(0)
    keys = torch.randn(2, HEADS, 9, WIDTH)
    belongs = (torch.rand(2, 9, 11) < 0.5).float()
    found = recorder._shares(
        lambda q, k, v, *, modulated: torch.nn.functional.scaled_dot_product_attention(q, k, v),
        torch.randn(2, HEADS, 5, WIDTH),
        keys,
        belongs,
    )
    assert found.shape == (2, 2, 5, 11)
    torch.manual_seed(0)
    keys = torch.randn(2, HEADS, 9, WIDTH)
    torch.rand(2, 9, 11)
    weights = (torch.randn(2, HEADS, 5, WIDTH) @ keys.mT / WIDTH**0.5).softmax(-1)
    torch.testing.assert_close(found[1], (weights @ belongs[:, None]).mean(1))


def test_memory_does_not_grow_with_steps(tiny_sd: Path) -> None:
    plan = plan_for(tiny_sd, "until 100%")
    sizes = []
    for steps in (2, 9):
        recorder = StudyRecorder(plan)
        control = FoldedAttention(2, plan=plan, recorder=recorder)
        for step in range(steps):
            control.begin_step(step, steps, 900.0)
            for _ in range(3):  # layers
                tokens = torch.randn(4, HEADS, 64, WIDTH)
                control.self_attention(SELF, tokens, tokens, tokens)
                words = torch.randn(4, HEADS, plan.words_ET.shape[1], WIDTH)
                control.cross_attention(CROSS, tokens, words, words)
        kept = [level.maps for level in recorder._seen.values()]
        sizes.append(sum(one.nbytes for one in [*kept, recorder._features, recorder._latest]))
        assert len(recorder._tally) == steps
        assert recorder._tally[0].numel() == 2 * 2 * 2 * 2
        assert len(recorder.studied_steps) == steps
    assert sizes[0] == sizes[1]


# --- whole runs -----------------------------------------------------------------------------------


def short(model: str, steps: int, settings: dict[str, object] | None = None) -> EditSpec:
    spec = load(EXAMPLES / "instance.grain")
    size = None if model == "demo" else Size(width=64, height=64)
    video = Video(path=spec.video.path, size=size, frames=FrameRange(first=0, last=1))
    return spec.model_copy(
        update={
            "video": video,
            "model": model,
            "sampler": spec.sampler.model_copy(update={"steps": steps}),
            "attention": spec.attention.model_copy(update=settings or {}),
        }
    )


def studied(spec: EditSpec) -> Study:
    study = Editor(spec.model, device="cpu", study=True).run(spec, base=EXAMPLES).study
    assert study is not None
    return study


def test_modulation_moves_attention_into_its_regions() -> None:
    """On the demo model, whose attention means something."""
    spec = short("demo", 5, {"self_": 1.0})
    study = studied(spec)
    assert study.steps == (0, 1, 2)  # 60 % of 5
    assert study.phrases == ("green robot", "yellow bear", "cherry trees")
    for kind in (0, 1):
        without, with_it = study.share(kind)
        assert (with_it > without + 0.1).all(), (without, with_it)
    assert (study.tally[:, 1] > study.tally[:, 0]).all()  # at every step
    assert study.maps.min() >= 0
    assert study.maps.max() <= 1
    # the features tell the figures from each other and from what is behind them
    level = prepare(spec, EXAMPLES).plan.levels[0]
    labels, segments = level.labels_FHW, study.segments[4]
    assert segments.shape == labels.shape
    agreement = 0
    for segment in range(4):
        inside = labels[segments == segment]
        agreement += np.bincount(inside).max() if inside.size else 0
    assert agreement / labels.size > 0.85


@pytest.mark.parametrize("frames", ["full", "sparse_causal"])
def test_recording_changes_no_bit(tiny_model: Path, frames: str) -> None:
    spec = short(str(tiny_model), 3, {"frames": frames})
    plain, other = (
        Editor(str(tiny_model), device="cpu", study=study).run(spec, base=EXAMPLES)
        for study in (False, True)
    )
    assert plain.study is None
    assert other.study is not None
    assert (plain.edited == other.edited).all()


def test_without_it_nothing_of_it_is_made(tiny_sd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("something was recorded")

    monkeypatch.setattr(StudyRecorder, "__init__", never)
    Editor(str(tiny_sd), device="cpu").run(short(str(tiny_sd), 2), base=EXAMPLES)


def test_where_nothing_is_modulated_all_steps_are_recorded(tiny_sd: Path) -> None:
    study = studied(short(str(tiny_sd), 3, {"until": 0.0}))
    assert study.steps == (0, 1, 2)
    assert (study.maps[0] == study.maps[1]).all()
    assert (study.maps > 0).any()


def test_edits_without_words_or_tokens_have_no_share(tiny_sd: Path) -> None:
    spec = short(str(tiny_sd), 2)
    study = studied(spec)
    tally = study.tally.copy()
    tally[:, :, 0, 1] = np.nan
    broken = Study(study.regions, study.phrases, study.steps, study.maps, tally)
    found = numbers(broken)["edits"][1]
    assert found["words_inside"] == {"without": None, "with": None}
    assert found["tokens_inside"]["with"] > 0
    json.dumps(numbers(broken), allow_nan=False)


@pytest.fixture
def example(tiny_sd: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "examples"
    for part in ("clips", "masks"):
        shutil.copytree(EXAMPLES / part, folder / part)
    text = (EXAMPLES / "instance.grain").read_text()
    video = f'two_men.mp4" {{ frames 0..1  size 64x64 }}\nmodel "{tiny_sd}"\nattention demo'
    path = folder / "instance.grain"
    path.write_text(text.replace('two_men.mp4"', video).replace("steps 30", "steps 3"))
    return path


def test_the_command_writes_a_study(grain: Grain, example: Path, tmp_path: Path) -> None:
    example.write_text(example.read_text().replace("keep ground", "free ground"))
    out = tmp_path / "out"
    said = grain("run", example, "-o", out, "--study")
    assert said.code == 0, said.err
    assert {path.name for path in out.iterdir()} >= STUDY_FILES
    found = json.loads((out / "study.json").read_text())
    assert found["steps"] == [0, 1]
    assert [edit["region"] for edit in found["edits"]] == ["left", "right", "trees", "ground"]
    assert found["edits"][3]["words_inside"] == {"without": None, "with": None}
    assert found["edits"][3]["tokens_inside"]["with"] > 0
    assert len(found["edits"][0]["by_step"]["words_inside"]) == 2
    arrays = load_file(out / "attention.safetensors")
    assert arrays["with"].shape == arrays["without"].shape == (4, 2, 8, 8)
    assert arrays["segments.3"].shape == (2, 8, 8)
    assert probe(out / "attention.mp4").frames == 2
    assert read_study(out)[0]["phrase"] == "green robot"
    page = (out / "report.html").read_text()
    assert "Attention maps and segments" in page
    assert page.count("<video ") == 4
    # a run that is not studied leaves none of it behind
    assert grain("run", example, "-o", out).code == 0
    assert not STUDY_FILES & {path.name for path in out.iterdir()}
    assert "Attention maps and segments" not in (out / "report.html").read_text()


def test_a_compiled_unet_cannot_be_studied(grain: Grain, example: Path) -> None:
    said = grain("run", example, "--study", "--compile")
    assert said.code == 2
    assert "--compile" in said.err
    with pytest.raises(ValueError, match="compile"):
        Editor(study=True, compile=True).run(short("demo", 2), base=EXAMPLES)


def test_a_studied_run_sees_every_step(tiny_sd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "_SECONDS_BETWEEN", 0.0)
    spec = short(str(tiny_sd), 4).model_copy(update={"attention": Attention(profile="demo")})

    def stop(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("sample", 2):
            raise InterruptedError

    editor = Editor(str(tiny_sd), device="cpu")
    with pytest.raises(InterruptedError):
        editor.run(spec, base=EXAMPLES, progress=stop)
    result = Editor(str(tiny_sd), device="cpu", study=True).run(spec, base=EXAMPLES)
    assert result.resumed_at == 0
    assert result.study is not None
    assert result.study.steps == (0, 1)


@pytest.mark.parametrize(
    "content", ["", "[]", '{"edits": 3}', '{"edits": [{"region": "a"}]}', "[" * 100_000]
)
def test_a_study_that_was_changed_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "study.json").write_text(content)
    with pytest.raises(GrainError, match="G317"):
        read_study(tmp_path)
