"""Plans for video models: latent frames, patches, text layouts, noise levels, layers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import dense_levels, difference
from quarters import SPEC, quarters

from grainspec import GrainError, parse
from grainspec.clip.crop import NativeSize
from grainspec.diagnostics import Diagnostic
from grainspec.model.spec import EditSpec, Size
from grainspec.plan.backbone import Backbone, frame_groups, shifted_timesteps
from grainspec.plan.compile import compile_plan
from grainspec.plan.facts import facts, facts_text
from grainspec.plan.mask_plan import MaskPlan, content_digest
from grainspec.plan.save import load_plan, save_plan
from grainspec.regions.layout import Layout
from grainspec.testing import word_backbone
from grainspec.words import CharSpan

WAN = word_backbone(
    levels=1,
    frames_per_latent=4,
    patch=2,
    shift=5,
    layer_count=30,
    padding_keys="neutral",
    start_tokens=0,
)


def clip(frames: int, side: int = 64, moving: int = 0) -> Layout:
    """A region of half the frame that moves by so many pixels a frame."""
    mask = np.zeros((frames, side, side), bool)
    for frame in range(frames):
        mask[frame, :, moving * frame : moving * frame + side // 2] = True
    return Layout.of({"left": mask})


def spec(settings: str = "", video: str = "") -> EditSpec:
    text = f'grain 1\nvideo "c" {video}\ntarget "a green robot"\nregion left = all\n'
    return parse(f'{text}edit left -> "robot"\n{settings}')


def refused(edit: EditSpec, layout: Layout, backbone: Backbone) -> Diagnostic:
    with pytest.raises(GrainError) as raised:
        compile_plan(edit, layout, backbone)
    (finding,) = raised.value.diagnostics
    return finding


def warned(edit: EditSpec, layout: Layout, backbone: Backbone) -> list[Diagnostic]:
    return list(compile_plan(edit, layout, backbone).warnings)


# --- latent frames ---


@pytest.mark.parametrize(
    ("per", "first", "count", "sizes"),
    [
        (4, 1, 81, [1] + [4] * 20),  # Wan, HunyuanVideo
        (6, 1, 79, [1] + [6] * 13),  # Mochi
        (8, 5, 21, [5, 8, 8]),  # CogVideoX 1.5, whose patches join two latent frames
        (2, 2, 6, [2, 2, 2]),
        (4, 4, 8, [4, 4]),
        (1, 1, 3, [1, 1, 1]),
        (4, 1, 1, [1]),
        (4, 1, 7, [1, 4, 2]),
    ],
)
def test_frames_of_latent_frames(per: int, first: int, count: int, sizes: list[int]) -> None:
    groups = frame_groups(count, per, first)
    assert [len(group) for group in groups] == sizes
    assert [frame for group in groups for frame in group] == list(range(count))


@pytest.mark.parametrize(
    ("per", "first", "count", "cure"),
    [
        (4, 1, 8, "Use 5 or 9 frames, for example `frames 3..7`: a clip is one frame plus a "
         "multiple of 4."),
        (8, 5, 20, "Use 13 or 21 frames, for example `frames 3..15`: a clip is 5 frames plus a "
         "multiple of 8."),
        (8, 5, 3, "Use 5 or 13 frames: a clip is 5 frames plus a multiple of 8."),
        (2, 2, 5, "Use 4 or 6 frames, for example `frames 3..6`: a clip is a multiple of 2 "
         "frames."),
        (4, 4, 1, "Use 4 or 8 frames: a clip is a multiple of 4 frames."),
    ],
)  # fmt: skip
def test_other_numbers_of_frames_are_refused(per: int, first: int, count: int, cure: str) -> None:
    layout = clip(count)
    layout = Layout(layout.names, layout.bits_FHW, tuple(range(3, 3 + count)))
    backbone = word_backbone(levels=1, frames_per_latent=per, first_frames=first)
    finding = refused(spec(), layout, backbone)
    assert (finding.code, finding.cure) == ("G314", cure)
    assert finding.message == f"words does not support clips of {count} frame{'s' * (count > 1)}"


def test_norms_are_told_of_models_that_have_them() -> None:
    for noise, told in (("ddpm", True), ("flow", False)):
        plan = compile_plan(spec(), clip(5), replace(WAN, noise=noise)).plan
        shown = facts(plan, timesteps=WAN.timesteps(4))
        assert ("norm auto" in facts_text(shown)) == told
        assert (shown["schedule"]["norm"] is not None) == told


def test_more_places_than_position_embeddings_are_refused() -> None:
    backbone = replace(WAN, most_places=4)
    for fitting in (clip(13), clip(1, 64)):
        compile_plan(spec(), fitting, backbone)
    finding = refused(spec(), clip(1, 80), backbone)
    assert finding.code == "G314"
    assert finding.cure == "Each side may have up to 64 pixels, for example `size 64x64`."
    finding = refused(spec(), clip(17), backbone)
    assert finding.code == "G314"
    assert finding.message == "words does not support clips of more than 13 frames"
    assert finding.cure == "Use fewer with `frames`, or windows: `context { frames 13 }`."
    compile_plan(spec("context { frames 13 }"), clip(25), backbone)
    finding = refused(spec("context { frames 17 }"), clip(25), backbone)
    assert finding.message == "words does not support windows of more than 13 frames"
    assert finding.cure == "Write `frames` up to 13 in `context`, key frames included."
    assert finding.span is not None
    assert finding.span.line == 6


def test_the_frames_that_are_suggested_keep_the_step() -> None:
    layout = clip(6)
    layout = Layout(layout.names, layout.bits_FHW, (0, 2, 4, 6, 8, 10))
    assert "`frames 0..8`" in refused(spec(video="{ step 2 }"), layout, WAN).cure


# --- patches ---


def test_sides_are_multiples_of_a_patch() -> None:
    finding = refused(spec(), clip(1, 72), WAN)
    assert finding.code == "G314"
    assert finding.cure == ("Width and height must be multiples of 16, for example `size 64x64`.")
    assert WAN.grids(832, 480) == [(30, 52)]
    assert WAN.latent_size(832, 480) == (60, 104)


def test_what_may_change_is_in_latents_and_tokens_in_patches() -> None:
    mask = np.zeros((1, 64, 64), bool)
    mask[0, 8:, 8:] = True  # three latents of the first token, its centre among them
    mask[0, :24, 40:48] = True  # half of the columns of tokens, beside their centres: one latent
    plan = compile_plan(spec(), Layout.of({"left": mask}), WAN).plan
    (level,) = plan.levels
    assert (level.labels_FHW.shape, plan.edited_FHW.shape) == ((1, 4, 4), (1, 8, 8))
    assert plan.patch == 2
    inside = plan.members_CE[level.labels_FHW[0], 0]
    assert inside.all()  # every centre is inside
    assert plan.edited_FHW.all()  # so is every latent of their tokens
    narrow = np.zeros((1, 64, 64), bool)
    narrow[0, :, :8] = True  # a column of latents beside the centres of its tokens
    plan = compile_plan(spec(), Layout.of({"left": narrow}), WAN).plan
    assert not plan.members_CE[plan.levels[0].labels_FHW].any()
    assert plan.edited_FHW[0].any(axis=0).tolist() == [True] + [False] * 7


@pytest.mark.parametrize(
    ("native", "multiple"), [((832, 480), 16), ((1280, 704), 32), ((480, 832), 16)]
)
@given(wide=st.integers(64, 2048), high=st.integers(64, 2048))
def test_a_size_of_the_clips_aspect_and_the_native_area(
    native: tuple[int, int], multiple: int, wide: int, high: int
) -> None:
    size = NativeSize(Size(width=native[0], height=native[1]), multiple)
    width, height = size.of_aspect(wide, high)
    assert width % multiple == height % multiple == 0
    assert (width > height) == (wide > high) or max(width, height) - min(width, height) <= multiple
    if max(wide, high) <= 4 * min(wide, high):
        assert 8 / 9 - 1e-9 <= width * height / (native[0] * native[1]) <= 9 / 8 + 1e-9


def test_native_sizes_are_turned_with_the_clip() -> None:
    wan = NativeSize(Size(width=832, height=480), 16)
    assert wan.of_aspect(832, 480) == (832, 480)
    assert wan.of_aspect(480, 832) == (480, 832)
    assert wan.of_aspect(1080, 1920) == wan.of_aspect(1920, 1080)[::-1]
    assert WAN.native.multiple == WAN.size_multiple == 16


# --- text layouts ---


def cropped(backbone: Backbone, before: str, after: str) -> Backbone:
    """A backbone that puts prompts into a template, and drops the template's first tokens."""
    left_out = sum(first < last for first, last in backbone.tokenize(before))
    room = backbone.max_tokens - left_out

    def tokenize(text: str) -> list[CharSpan]:
        spans = list(backbone.tokenize(before + text + after))[left_out:]
        ends = len(before), len(before) + len(text)
        return [
            (start - ends[0], end - ends[0]) if ends[0] <= start < end <= ends[1] else (0, 0)
            for start, end in spans
        ]

    def padding(text: str) -> list[int]:
        places = backbone.padding(before + text + after) if backbone.padding else ()
        return [place - left_out for place in places]

    return replace(backbone, tokenize=tokenize, padding=padding, max_tokens=room)


T5 = word_backbone(levels=1, max_tokens=12, start_tokens=0, padding_keys="neutral")
LAYOUTS = {
    "T5": (T5, [1], [4, 5, 6, 7, 8, 9, 10, 11]),
    "CLIP": (replace(T5, **{
        name: getattr(word_backbone(levels=1, max_tokens=12, padding_keys="neutral"), name)
        for name in ("tokenize", "padding")
    }), [2], [5, 6, 7, 8, 9, 10, 11]),
    "left": (
        word_backbone(levels=1, max_tokens=12, padded="left", padding_keys="masked"),
        [9],
        [0, 1, 2, 3, 4, 5, 6],
    ),
    "template": (cropped(T5, "describe the video: ", " in detail"), [1], [6, 7]),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_words_and_padding_of_text_layouts(name: str) -> None:
    backbone, words, padding = LAYOUTS[name]
    target = "green robot walks"
    edit = spec().model_copy(update={"target": target})
    attention = edit.attention.model_copy(update={"unbound": 0.25})
    edit = edit.model_copy(update={"attention": attention})
    compiled = compile_plan(edit, clip(1), backbone)
    assert compiled.warnings == ()
    plan = compiled.plan
    assert plan.edits[0].tokens == (tuple(words),)
    kind, other = plan.neutral_T, plan.masked_T
    if backbone.padding_keys == "masked":
        kind, other = other, kind
    assert np.flatnonzero(kind).tolist() == padding
    assert not other.any()
    shares = np.full(backbone.max_tokens, 0.25)
    shares[words], shares[padding] = 1, 0
    assert plan.repel_shares_T.tolist() == shares.tolist()
    assert difference(plan, edit, dense_levels(edit, clip(1), backbone)) == ""


@pytest.mark.parametrize("name", LAYOUTS)
def test_words_beyond_a_text_layout_are_refused_and_warned_of(name: str) -> None:
    backbone, _, _ = LAYOUTS[name]
    long = "on " * 12
    after = spec().model_copy(update={"target": f"a green robot {long}grass"})
    (warning,) = warned(after, clip(1), backbone)
    assert warning.code == "G403"
    beyond = spec().model_copy(update={"target": f"a green {long}robot"})
    assert refused(beyond, clip(1), backbone).code == "G402"


def test_padding_without_a_kind_is_modulated_like_all_other_tokens() -> None:
    plan = compile_plan(spec("attention { unbound 0.5 }"), clip(1), word_backbone(levels=1)).plan
    assert not plan.neutral_T.any()
    assert not plan.masked_T.any()
    assert plan.repel_shares_T.tolist() == [0.5] * 3 + [1.0] + [0.5] * 73


def test_a_family_that_pads_with_words_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="includes words"):
        compile_plan(spec(), clip(1), replace(T5, padding=lambda text: [2]))


# --- noise levels ---


def test_timesteps_are_noise_levels() -> None:
    times = WAN.timesteps(50, "unipc")
    assert times == shifted_timesteps(50, 1000, 5)
    assert times[0] == 1000
    assert sum(time >= 600 for time in times) == 39
    assert sum(time >= 600 for time in WAN.timesteps(25)) == 20
    plan = compile_plan(spec("attention { decay 2 until_timestep 600 until 100% }"), clip(1), WAN)
    assert plan.plan.schedule(times[15]) == pytest.approx((times[15] / 1000) ** 2)
    active = [plan.plan.is_active(step, 50, time) for step, time in enumerate(times)]
    assert active == [time >= 600 for time in times]


def of_until(settings: str, backbone: Backbone = WAN) -> list[Diagnostic]:
    found = warned(spec(settings), clip(1), backbone)
    assert {finding.code for finding in found} <= {"G417"}
    return found


def test_a_share_that_ends_at_another_noise_level_is_warned_about() -> None:
    (finding,) = of_until("attention { until 30% }\nsampler { process invert_and_sample }")
    assert finding.message == (
        "`until 30%` modulates the noise levels σ 1.00 to 0.93: the first 15 of 50 steps"
    )
    assert finding.cure == (
        "Name the noise level: `until 100%  until_timestep 700` modulates down to σ 0.70, "
        "`until 100%  until_timestep 927` as many steps as now."
    )
    assert not finding.is_error
    assert finding.span is not None
    assert finding.span.line == 6


def test_the_cure_of_a_share_is_what_it_says() -> None:
    times = WAN.timesteps(50)
    settings = "attention { until 100%  until_timestep 927 }\n"
    settings += "sampler { process invert_and_sample }"
    plan = compile_plan(spec(settings), clip(1), WAN).plan
    assert sum(plan.is_active(step, 50, time) for step, time in enumerate(times)) == 15
    assert of_until(settings) == []


def test_steps_that_flow_edit_skips_do_not_count() -> None:
    (finding,) = of_until("attention { until 30% }\nsampler { skip 40% }")
    assert finding.message.endswith("the first 9 of 30 steps")
    assert "σ 0.88 to" in finding.message


def test_a_run_without_a_modulated_step_is_warned_about() -> None:
    (finding,) = warned(spec("attention flow_matching\nsampler { skip 80% }"), clip(1), WAN)
    assert (finding.code, finding.is_error) == ("G421", False)
    assert finding.message == (
        "no step is modulated: the first has timestep 555.6 (σ 0.56), below `until_timestep 600`"
    )
    assert finding.cure == "Write `until_timestep 333` in `attention`, or `skip 33%` in `sampler`."
    assert finding.span is not None
    assert finding.span.line == 7
    for end, skip in ((333, 80), (600, 33)):
        mended = f"attention flow_matching {{ until_timestep {end} }}\nsampler {{ skip {skip}% }}"
        assert warned(spec(mended), clip(1), WAN) == []


def test_a_high_end_of_modulation_is_warned_about() -> None:
    (finding,) = warned(spec("attention { until_timestep 1000 }"), clip(1), WAN)
    assert finding.cure == "Write `until_timestep 543` in `attention`, or `skip 0%` in `sampler`."
    settings = "attention { until_timestep 1200 }\nsampler { process invert_and_sample }"
    (finding,) = warned(spec(settings), clip(1), WAN)
    assert "first has timestep 1000 (σ 1.00), below `until_timestep 1200`" in finding.message
    assert finding.cure == "Write `until_timestep 600` in `attention`."
    (finding,) = warned(spec("attention { until_timestep 1200 }"), clip(1), word_backbone(levels=1))
    assert (finding.code, "σ" in finding.message) == ("G421", False)


def test_a_method_without_modulation_has_no_end_of_it() -> None:
    settings = "attention { until_timestep 1200 }\nmethod "
    backbone = word_backbone(levels=1)
    for method, codes in {"dmt": ["G421"], "fatezero": [], "ground_a_video": []}.items():
        found = warned(spec(settings + method), clip(1), backbone)
        assert [finding.code for finding in found] == codes, method


@pytest.mark.parametrize("off", ["until 0%", "cross 0  self 0  columns 0"])
def test_modulation_that_is_off_on_purpose_is_not_warned_about(off: str) -> None:
    settings = f"attention flow_matching {{ {off} }}\nsampler {{ skip 80% }}"
    assert warned(spec(settings), clip(1), WAN) == []


@pytest.mark.parametrize(
    ("settings", "backbone"),
    [
        ("", WAN),
        ("attention videograin", WAN),
        ("attention flowanchor", WAN),
        ("attention demo { frames full }", WAN),
        ("attention { until 100% }", WAN),
        ("attention { until 0% }", WAN),
        ("attention { until 30%  until_timestep 0 }", WAN),
        ("attention { until 30% }", replace(WAN, schedule=word_backbone(shift=1).schedule)),
        ("attention { until 30% }", word_backbone(levels=1)),
        ("attention flow_matching", WAN),
        ("attention flow_matching { until 95% }", WAN),  # `until_timestep` ends it before
    ],
)
def test_shares_that_are_not_surprising(settings: str, backbone: Backbone) -> None:
    assert of_until(settings, backbone) == []


def test_the_facts_show_the_noise_level_of_every_step() -> None:
    times = WAN.timesteps(8)
    edit = spec("attention { until 50%  layers 0..2 5  columns 0.25 }")
    found = facts(compile_plan(edit, clip(1), WAN).plan, timesteps=times)
    assert [step["sigma"] for step in found["run"]] == [round(time / 1000, 4) for time in times]
    assert [step["modulated"] for step in found["run"]] == [True] * 4 + [False] * 4
    assert found["schedule"]["modulated_sigmas"] == [1.0, 0.8929]
    assert found["schedule"]["layers"] == [0, 1, 2, 5]
    text = facts_text(found)
    assert "timesteps 1000 to 892.857, σ 1.00 to 0.89, strengths" in text
    assert "layers 0..2 5, columns 0.25" in text
    assert "    4  σ 0.893  t 892.9*" in text
    assert "    5  σ 0.833  t 833.3\n" in text
    assert "`until_timestep` ends modulation" in text
    json.dumps(found)
    other = facts(compile_plan(SPEC, quarters(), word_backbone(levels=2)).plan, timesteps=[9.0])
    assert other["run"] == [{"timestep": 9.0, "sigma": None, "modulated": True}]
    assert "σ" not in facts_text(other)


# --- regions that change within a latent frame ---


def test_a_region_that_changes_within_a_latent_frame_is_warned_about() -> None:
    assert warned(spec(), clip(9, moving=2), WAN) == []
    assert warned(spec(), clip(5, moving=0), WAN) == []
    (finding,) = warned(spec(), clip(5, side=128, moving=14), WAN)
    assert finding.code == "G418"
    assert finding.message == (
        "`left` changes within a latent frame: of its 48 latent tokens on the frames 1 to 4, 16 "
        "are left out"
    )
    assert finding.cure.startswith("`resize nearest` looks at frame 3 only. `attention { resize ")
    assert finding.span is not None
    for rule in ("any", "area"):
        settings = f"attention {{ resize {rule} }}"
        assert warned(spec(settings), clip(5, side=128, moving=14), WAN) == []
    single = word_backbone(levels=1)
    assert warned(spec(), clip(5, side=128, moving=14), single) == []


@pytest.mark.parametrize(
    ("line", "cure", "place"),
    [
        ("attention videograin", "`attention videograin { resize any }` takes", "videograin"),
        ("attention { resize nearest }", "`resize any`, in place of it, takes", "nearest"),
        (
            "attention videograin { layers 0 }",
            "`resize any`, in the braces of `attention`, takes",
            "videograin",
        ),
    ],
)
def test_the_cure_of_a_changing_region_keeps_the_statement(
    line: str, cure: str, place: str
) -> None:
    (finding,) = warned(spec(line), clip(5, side=128, moving=14), WAN)
    assert finding.cure is not None
    assert cure in finding.cure
    assert finding.span is not None
    assert finding.span.line == 6
    assert line[finding.span.column - 1 :].startswith(place)


def test_profiles_of_flow_matching_lose_no_frame() -> None:
    for line in ("", "attention flow_matching", "attention flowanchor"):
        assert warned(spec(f'model "a/b"\n{line}'), clip(5, side=128, moving=14), WAN) == []


def test_the_demos_video_model_warns_about_a_rule_that_the_spec_names() -> None:
    layout = clip(5, side=128, moving=14)
    assert warned(spec('model "demo-video"\nattention { cross 0.5 }'), layout, WAN) == []
    for line in ("attention { resize nearest }", "attention videograin"):
        (finding,) = warned(spec(f'model "demo-video"\n{line}'), layout, WAN)
        assert finding.code == "G418"


def test_a_region_that_is_on_other_frames_only_is_warned_about() -> None:
    mask = np.zeros((5, 64, 64), bool)
    mask[2, :, :32] = True
    found = warned(spec("attention { resize nearest }"), Layout.of({"left": mask}), WAN)
    assert [finding.code for finding in found] == ["G401", "G418"]
    assert "of its 8 latent tokens on the frames 1 to 4, 8 are left out" in found[1].message


# --- layers and columns ---


def test_layers_and_columns_that_a_model_lacks() -> None:
    unet = word_backbone(levels=3, attended=(0, 2))
    finding = refused(spec("attention { layers 0..9 }"), clip(1), unet)
    assert (finding.code, finding.span and finding.span.line) == ("G404", 6)
    assert finding.message == "`layers` is for transformers, and words is a UNet"
    assert finding.cure == "Choose among its levels: `levels 0 2` or `levels all`."
    finding = refused(spec("attention { columns 0.3 }"), clip(1), unet)
    assert (finding.code, finding.cure) == ("G404", "Leave `columns` out.")
    finding = refused(spec("attention flowanchor"), clip(1), unet)
    assert finding.cure == "Choose another profile than `flowanchor`, or write `columns 0`."
    assert finding.span is not None
    finding = refused(spec("attention { layers 3 30 }"), clip(1), WAN)
    assert finding.message == "words has no layer 30"
    assert finding.cure == "Its layers are 0 (the first) to 29. Write `layers 0..29`."
    plan = compile_plan(spec("attention { layers 3..5  columns 0.3 }"), clip(1), WAN).plan
    assert (plan.attention.layers, plan.attention.columns) == ((3, 4, 5), 0.3)


# --- files ---


def as_the_last_release(plan: MaskPlan, path: Path) -> None:
    """Write a plan as the fourth format: without all that is new."""
    from safetensors.numpy import save_file

    header = plan.header()
    for name in ("first_frames", "noise"):
        del header[name]
    for name in ("layers", "columns"):
        del header["attention"][name]
    arrays = {name: np.ascontiguousarray(array) for name, array in plan.arrays().items()}
    del arrays["neutral"], arrays["masked"]
    digest = content_digest(header, arrays)
    metadata = {"format": "grainspec.plan.4", "plan": json.dumps(header), "digest": digest}
    save_file(arrays, path, metadata)


def test_plans_of_the_last_release_are_loaded(tmp_path: Path) -> None:
    plan = compile_plan(SPEC, quarters(), word_backbone(levels=2)).plan
    path = tmp_path / "old.safetensors"
    as_the_last_release(plan, path)
    assert load_plan(path) == plan
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(GrainError, match="checksum"):
        load_plan(path)


def test_plans_of_video_models_are_saved_whole(tmp_path: Path) -> None:
    plan = compile_plan(spec("attention { layers 1 4 }"), clip(5), WAN).plan
    save_plan(plan, tmp_path / "plan.safetensors")
    loaded = load_plan(tmp_path / "plan.safetensors")
    assert loaded == plan
    assert (loaded.first_frames, loaded.noise, loaded.patch) == (1, "flow", 2)
    assert loaded.neutral_T.sum() == 77 - 4
