"""Flow-guided attention: who attends to whom, and what must stay the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from clips import EXAMPLES
from command import Grain
from diffusers import UNet2DConditionModel
from moving import Motion, card, moving, translation, zoom
from torch import Tensor

from grainspec import GrainError, load, override, parse
from grainspec.model.spec import Flow
from grainspec.plan.compile import compile_plan
from grainspec.plan.mask_plan import MaskPlan
from grainspec.regions.layout import Layout
from grainspec_runtime.backbones.registry import describe, load_checkpoint
from grainspec_runtime.backbones.unets.install import installed
from grainspec_runtime.editing.editor import Editor
from grainspec_runtime.flow.guide import guiding_paths
from grainspec_runtime.flow.trajectories import Trajectories, trajectories
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.modulation import paths as paths_module
from grainspec_runtime.modulation.folded import FoldedAttention
from grainspec_runtime.modulation.paths import attend_along_paths
from grainspec_runtime.prepare import prepare

FRAMES = 4


def tables(found: Trajectories) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(table) for table in found.by_length_TL)


def random_inputs(frames: int, tokens: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(frames, 2, tokens, 8, generator=generator) for _ in range(3))  # type: ignore[return-value]


def masked(query: Tensor, key: Tensor, value: Tensor, found: Trajectories) -> Tensor:
    """The same by one mask over all pairs of tokens: those of one path."""
    names = torch.from_numpy(found.path_FN.ravel())
    long = [t.transpose(0, 1).flatten(1, 2) for t in (query, key, value)]  # [H, F * N, d]
    out = F.scaled_dot_product_attention(*long, attn_mask=names[:, None] == names)
    return out.unflatten(1, (found.frames, -1)).transpose(0, 1)


@pytest.mark.parametrize(
    "motion", [translation(3, 1), translation(0, 0), zoom(1.1, 64)], ids=["move", "rest", "zoom"]
)
def test_tokens_of_a_path_attend_to_each_other_and_no_others(motion: Motion) -> None:
    found = trajectories(moving(motion, FRAMES).flow, (8, 8))
    inputs = random_inputs(FRAMES, 64)
    out = attend_along_paths(*inputs, tables(found))
    torch.testing.assert_close(out, masked(*inputs, found), atol=1e-6, rtol=1e-5)
    assert not torch.allclose(out, inputs[2], atol=1e-2)


def test_what_is_gathered_is_what_the_true_motion_carries() -> None:
    """Values that mark their token come back as those of the tokens that the card was on."""
    clip = card(speed=8, frames=FRAMES)  # one token of 16 a frame
    found = trajectories(clip.flow, (16, 16))
    flat = torch.zeros(FRAMES, 1, 256, 1)  # equal scores: every token of a path has an equal say
    marks = torch.arange(FRAMES * 256.0).view(FRAMES, 1, 256, 1)
    out = attend_along_paths(flat, flat, marks, tables(found))
    row, column = 7, 4  # on the card, rows 44..83 and columns 16..55 of frame 0
    on_card = [f * 256 + row * 16 + column + f for f in range(FRAMES)]
    for f in range(FRAMES):
        assert out[f, 0, row * 16 + column + f, 0] == pytest.approx(np.mean(on_card))
    beside = [f * 256 + 1 * 16 + 4 for f in range(FRAMES)]  # above the card, at rest
    assert out[2, 0, 1 * 16 + 4, 0] == pytest.approx(np.mean(beside))


def test_paths_go_through_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    found = trajectories(moving(translation(3, 1), FRAMES).flow, (8, 8))
    inputs = random_inputs(FRAMES, 64)
    whole = attend_along_paths(*inputs, tables(found))
    monkeypatch.setattr(paths_module, "_PATHS", 7)
    torch.testing.assert_close(attend_along_paths(*inputs, tables(found)), whole)


def test_without_paths_nothing_changes() -> None:
    query, key, value = random_inputs(1, 64)
    assert torch.equal(attend_along_paths(query, key, value, ()), value)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_numbers(dtype: torch.dtype) -> None:
    found = trajectories(moving(zoom(1.1, 64), FRAMES).flow, (8, 8))
    inputs = tuple((20 * tensor).to(dtype) for tensor in random_inputs(FRAMES, 64))
    out = attend_along_paths(*inputs, tables(found))  # type: ignore[arg-type]
    assert out.dtype == dtype
    assert out.isfinite().all()


# --- in a UNet -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unet(tiny_sd: Path) -> UNet2DConditionModel:
    return load_checkpoint(str(tiny_sd), Path(), LoadOptions(device="cpu")).unet


def flow_of(frames: int) -> Any:
    return moving(translation(8, 4), frames, size=128).flow


@torch.inference_mode()
def output(unet: UNet2DConditionModel, control: FoldedAttention, frames: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(2 * frames, 4, 16, 16, generator=generator)
    words = torch.randn(2, 48, 16, generator=generator).repeat_interleave(frames, 0)
    with installed(unet, control):
        control.begin_step(0, 10, 900.0)
        return unet(latents, 900, words).sample


def test_off_is_bit_identical(unet: UNet2DConditionModel) -> None:
    plain = output(unet, FoldedAttention(FRAMES), FRAMES)
    assert torch.equal(output(unet, FoldedAttention(FRAMES, paths={}), FRAMES), plain)


@pytest.mark.parametrize("scope", ["each", "full", "sparse_causal"])
def test_on_changes_both_passes_and_gives_numbers(unet: UNet2DConditionModel, scope: Any) -> None:
    found = {0: trajectories(flow_of(FRAMES), (16, 16))}
    assert found[0].share_on_paths > 0.5
    plain = output(unet, FoldedAttention(FRAMES, scope=scope), FRAMES)
    guided = output(unet, FoldedAttention(FRAMES, scope=scope, paths=found), FRAMES)
    assert guided.isfinite().all()
    for part in (slice(0, FRAMES), slice(FRAMES, None)):
        assert not torch.allclose(guided[part], plain[part], atol=1e-4)


def test_one_frame_is_as_without(unet: UNet2DConditionModel) -> None:
    found = {0: trajectories(flow_of(1), (16, 16))}
    plain = output(unet, FoldedAttention(1), 1)
    assert torch.equal(output(unet, FoldedAttention(1, paths=found), 1), plain)


def test_frames_that_are_equal_stay_equal(unet: UNet2DConditionModel) -> None:
    """Of a clip that stands still every frame says the same, along its paths as well."""
    still = trajectories(moving(translation(0, 0), FRAMES).flow, (16, 16))
    control = FoldedAttention(FRAMES, scope="each", paths={0: still})
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(1, 4, 16, 16, generator=generator).expand(FRAMES, -1, -1, -1)
    words = torch.randn(1, 48, 16, generator=generator).expand(FRAMES, -1, -1)
    with installed(unet, control), torch.inference_mode():
        control.begin_step(0, 10, 900.0)
        guided = unet(latents, 900, words).sample
    with installed(unet, FoldedAttention(FRAMES, scope="each")), torch.inference_mode():
        plain = unet(latents, 900, words).sample
    torch.testing.assert_close(guided, plain, atol=1e-5, rtol=1e-5)


# --- asked for by a spec -------------------------------------------------------------------------

TEXT = """
grain 1
video "c"
model "tiny"
target "a green robot and a yellow bear on grass"
region left = all
region right = all
edit left -> "green robot"
edit right -> "yellow bear"
"""


def plan_for(folder: Path) -> MaskPlan:
    masks = {name: np.zeros((FRAMES, 128, 128), bool) for name in ("left", "right")}
    masks["left"][:, :, :64], masks["right"][:, :, 64:] = True, True
    return compile_plan(parse(TEXT), Layout.of(masks), describe(str(folder), Path())).plan


def test_paths_stay_inside_their_region(tiny_sd: Path) -> None:
    plan = plan_for(tiny_sd)
    found = guiding_paths(Flow(levels="all"), flow_of(FRAMES), plan)
    assert {level: paths.tokens for level, paths in found.items()} == {0: 256, 1: 64, 2: 16, 3: 4}
    assert list(guiding_paths(Flow(), flow_of(FRAMES), plan)) == [0]
    crossing = trajectories(flow_of(FRAMES), (16, 16))
    labels = plan.levels[0].labels_FHW.reshape(FRAMES, -1)

    def mixed(paths: Trajectories) -> int:
        flat = labels.ravel()
        return sum(int((flat[t] != flat[t][:, :1]).any(1).sum()) for t in paths.by_length_TL)

    assert mixed(crossing) > 10
    assert mixed(found[0]) == 0
    assert found[0].share_on_paths > 0.5


def short(**changes: Any) -> Any:
    spec = load(EXAMPLES / "instance.grain")
    return override(spec, ["sampler.steps=2", "video.frames=0..2", *changes.get("sets", [])])


def test_a_spec_turns_it_on() -> None:
    editor = Editor()
    told: list[str] = []
    plain = editor.run(short(), base=EXAMPLES)
    guided = editor.run(
        short(sets=["flow.levels=0"]), base=EXAMPLES, progress=lambda name, *_: told.append(name)
    )
    again = editor.run(short(sets=["flow.levels=0"]), base=EXAMPLES)
    assert "flow" in told
    assert guided.inversion_cached  # sampling alone is guided
    assert "flow" in guided.seconds
    assert "flow" not in plain.seconds
    assert not np.array_equal(plain.edited, guided.edited)
    np.testing.assert_array_equal(guided.edited, again.edited)


@pytest.mark.parametrize(
    ("flow", "words"),
    [
        ("flow { levels 3 }", "G404.*no level 3"),
        (
            'flow { method raft weights "none.safetensors" }',
            "G50[12].*(torchvision|none.safetensors)",
        ),
    ],
)
def test_what_cannot_be_is_said_before_a_model_loads(flow: str, words: str) -> None:
    text = (EXAMPLES / "instance.grain").read_text() + flow
    with pytest.raises(GrainError, match=words):
        prepare(parse(text), EXAMPLES)


def test_without_opencv_a_spec_with_flow_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grainspec_runtime.flow.guide.find_spec", lambda module: None)
    with pytest.raises(GrainError, match=r"G501.*opencv-python-headless"):
        prepare(short(sets=["flow.levels=0"]), EXAMPLES)
    prepare(short(), EXAMPLES)


def test_the_command_takes_it(grain: Grain, tmp_path: Path) -> None:
    said = grain(
        *("run", EXAMPLES / "instance.grain", "-o", tmp_path / "out", "--format", "json"),
        *("--set", "sampler.steps=2", "--set", "video.frames=0..1", "--set", "flow.method=dis"),
    )
    assert said.code == 0, said.err
    assert said.json["spec"]["flow"] == {"levels": [0], "method": "dis", "weights": None}
    assert "flow" in said.json["seconds"]
