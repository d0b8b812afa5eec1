"""Clips of the user in the layouts of published data sets: which edits are read from them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from clip_folders import PUBLISHED, write_frames, write_masks, write_published
from films import write_film
from PIL import Image

from grainspec.diagnostics import GrainError
from grainspec.model.spec import Control, Flow, FreeU, Inject
from grainspec_runtime.bench.own.davis_edit import DavisEdit, changed_words
from grainspec_runtime.bench.own.five import Five
from grainspec_runtime.bench.own.layouts import ClipEdit, find_edits
from grainspec_runtime.bench.own.methods import LAYOUTS
from grainspec_runtime.bench.own.msvbench import MsvBench
from grainspec_runtime.bench.own.videograin import VideoGrain
from grainspec_runtime.prepare import Prepared, prepare

SPEC = """grain 1
video "clip" { size 64x64 }
target "a bear"
region all_of_it = all
edit all_of_it -> "bear"
"""
CONFIG = """
dataset_config:
    path: "data/two_men/frames"
    prompt: ''
    n_sample_frame: 3
    start_sample_frame: 0
    sampling_rate: 1
    layout_mask_dir: "./data/two_men/layout_masks"
    layout_mask_order: ['left', 'right-man']
editing_config:
    editing_prompts: [
        ['Iron Man and Spiderman are jogging', 'Iron Man', 'Spiderman'],
        ['a bear', 'a', 'bear', 'bear'],
    ]
"""


PROMPTS = {
    "bear": {
        "original": "a bear walking on rocks in a zoo",
        "similar": "A panda walking on rocks in a zoo",
        "changing": "A rabbit walking on rocks in a zoo",
    }
}
TABLE = """video,source,prompt,words
two-men,two men run,"Two Iron Men, running",Iron Men
"""


def ready(edit: ClipEdit) -> Prepared:
    """The edit as a method gets it; raises GrainError for what cannot be edited."""
    return prepare(edit.spec.replaced({}, model="demo-image"), edit.base)


@pytest.fixture
def five(tmp_path: Path) -> Path:
    folder = tmp_path / "five"
    write_frames(folder / "images/0001_bus", suffix="jpg", first=1)
    write_masks(folder / "bmasks/0001_bus", 10, 40, suffix="jpg", first=1)
    entry = {"video_name": "0001_bus", "source_prompt": "a [bus]", "target_prompt": "a [red bus]"}
    entries = [
        entry,
        {**entry, "target_prompt": "a road"},
        {**entry, "video_name": "0002_gone"},
        {**entry, "video_name": "../0001_bus"},
        "not an entry",
        {**entry, "target_prompt": "a [red] or [blue] bus"},
        {**entry, "target_prompt": 7},
    ]
    (folder / "edit_prompt").mkdir()
    (folder / "edit_prompt/edit1_FiVE.json").write_text(json.dumps(entries))
    return folder


@pytest.fixture
def videograin(tmp_path: Path) -> Path:
    folder = tmp_path / "videograin"
    write_frames(folder / "data/two_men/frames")
    write_masks(folder / "data/two_men/layout_masks/left", 4, 28)
    write_masks(folder / "data/two_men/layout_masks/right-man", 36, 60)
    config = folder / "config/instance_level/two_men"
    config.mkdir(parents=True)
    (config / "iron.yaml").write_text(CONFIG)
    (config / "other.yaml").write_text("a: [1, 2]")
    (config / "evil.yaml").write_text("!!python/object/apply:os.system ['true']")
    return folder


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    folder = tmp_path / "davis"
    write_frames(folder / "JPEGImages/bear", suffix="jpg")
    write_objects(folder / "Annotations/bear")
    (folder / "edited_video_caption_dict_text.json").write_text(json.dumps(PROMPTS))
    return folder


def write_objects(folder: Path, objects: int = 2, frames: int = 3, size: int = 64) -> None:
    """Write masks as in DAVIS: palette images, in which each object has an index from 1."""
    folder.mkdir(parents=True)
    palette = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]
    for number in range(frames):
        values = np.zeros((size, size), np.uint8)
        for index in range(objects):
            values[size // 4 : size // 2, index * size // 4 : (index + 1) * size // 4] = index + 1
        picture = Image.fromarray(values, mode="P")
        picture.putpalette(palette)
        picture.save(folder / f"{number:05}.png")


def write_clip(path: Path, shade: int | None = None, frames: int = 20, size: int = 64) -> None:
    """Write a video: noise, or a white square on black as a mask."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(frames):
        picture = rng.integers(0, 256, (size, size, 3), np.uint8)
        if shade is not None:
            picture[:] = 0
            picture[size // 4 : size // 2, size // 4 : size // 2] = shade
        pictures.append(picture)
    write_film(path, pictures)


@pytest.fixture
def msvbench(tmp_path: Path) -> Path:
    folder = tmp_path / "msv"
    write_clip(folder / "source/two-men.mp4")
    write_clip(folder / "mask/two-men.mp4", 255)
    (folder / "info.xlsx").write_bytes(b"PK")
    (folder / "info.csv").write_text(TABLE)
    return folder


def test_five_binds_the_words_in_brackets_to_its_masks(five: Path) -> None:
    found = Five().find(five)
    assert found is not None
    [edit] = found.edits
    assert edit.name == "edit1_FiVE-000"
    assert (edit.spec.source, edit.spec.target) == ("a bus", "a red bus")
    prepared = prepare(edit.spec.replaced({}, model="demo-image"), five)
    [one] = prepared.plan.edits
    assert one.phrase == "red bus"
    assert len(prepared.plan.frames) == 3
    mask = prepared.bound.shown.mask("edited")
    assert mask.any((1, 2)).all()
    assert set(found.left_out) == {f"edit1_FiVE-00{number}" for number in (1, 2, 3, 4, 5, 6)}
    assert found.left_out["edit1_FiVE-002"].startswith("G301: the video ")
    brackets = "in brackets in its target prompt, and one mask"
    assert found.left_out["edit1_FiVE-001"] == f"unusable entry: no words {brackets}"
    assert found.left_out["edit1_FiVE-005"] == f"unusable entry: `red`, `blue` {brackets}"
    assert found.left_out["edit1_FiVE-006"] == "unusable entry: `target_prompt` must be text"


def test_videograin_binds_words_to_masks_in_order(videograin: Path) -> None:
    found = VideoGrain().find(videograin)
    assert found is not None
    [edit] = found.edits
    assert edit.base == videograin
    prepared = prepare(edit.spec.replaced({}, model="demo-image"), edit.base)
    planned = [(it.region, it.phrase, it.grain) for it in prepared.plan.edits]
    assert planned == [
        ("left", "Iron Man", "instance"),
        ("right_man", "Spiderman", "instance"),
    ]
    [(name, reason)] = found.left_out.items()
    assert name.endswith("iron-1")
    assert reason == "unusable configuration: 3 phrases for 2 masks"


def test_videograin_keeps_regions_without_words(videograin: Path) -> None:
    config = videograin / "config/part_level/adding/two_men"
    config.mkdir(parents=True)
    prompts = "['Iron Man and a man', 'Iron Man', '']", "['Iron Man and a man', 'Iron Man']"
    for number, prompt in enumerate(prompts):
        text = CONFIG[: CONFIG.index("        [")] + f"        {prompt}\n    ]\n"
        (config / f"left{number}.yaml").write_text(text)
    found = VideoGrain().find(videograin)
    assert found is not None
    edits = {edit.name.rsplit("/")[-1]: edit for edit in found.edits}
    assert set(edits) == {"iron-0", "left0", "left1"}
    for number in range(2):
        plan = ready(edits[f"left{number}"]).plan
        assert [(it.region, it.phrase, it.grain) for it in plan.edits] == [
            ("left", "Iron Man", None)
        ]
        assert [it.region for it in edits[f"left{number}"].spec.edits] == ["left", "right_man"]


def test_videograin_takes_every_pixel_of_a_mask_that_is_not_black(videograin: Path) -> None:
    """As its code does: `mask > 0`."""
    for path in (videograin / "data/two_men/layout_masks/left").iterdir():
        Image.fromarray(np.array(Image.open(path)) // 8).save(path)
    found = VideoGrain().find(videograin)
    assert found is not None
    assert ready(found.edits[0]).bound.shown.mask("left").any((1, 2)).all()


def published(folder: Path, **changed: str) -> ClipEdit:
    """The edit of a configuration in the published form, with other values of some settings."""
    found = VideoGrain().find(write_published(folder, **changed))
    assert found is not None
    assert not found.left_out
    return found.edits[0]


def test_videograin_reads_the_settings_of_published_configurations(tmp_path: Path) -> None:
    edit = published(tmp_path / "vg")
    spec = edit.spec
    assert (spec.model, spec.negative) == ("ckpt/stable-diffusion-v1-5", "ugly, blurry")
    assert (spec.sampler.steps, spec.sampler.guidance, spec.sampler.seed) == (50, 7.5, 3)
    assert spec.controls == (
        Control(
            kind="zoe",
            net="lllyasviel/control_v11f1p_sd15_depth",
            annotator="Intel/zoedepth-nyu",
            scale=0.7,
        ),
    )
    assert (spec.inject, spec.flow, spec.freeu) == (None, None, None)  # the row VideoGrain's
    own = edit.own["videograin"]
    assert own["inject"] == Inject(features=0.2, self=0.2, layers="videograin")
    assert own["flow"].levels == (0,)
    assert own["freeu"] == FreeU(b1=1.2, b2=1.5, s1=1.0, s2=1.0)
    assert any(reason.startswith("`use_freeu: true` (") for reason in edit.unfollowed)


@pytest.mark.parametrize(
    ("control", "hand", "face", "kind", "keypoints"),
    [
        ("dwpose", "True", "False", "pose", "hands"),
        ("openpose", "false", "false", "pose", "body"),
        ("openpose", "true", "true", "pose", "full"),
        ("dwpose", "", "on", "pose", "face"),
        ("depth", "True", "True", "depth", "body"),
        ("hed", "False", "False", "softedge", "body"),
    ],
)
def test_videograin_reads_controls(
    tmp_path: Path, control: str, hand: str, face: str, kind: str, keypoints: str
) -> None:
    edit = published(tmp_path / "vg", control_type=control, hand=hand, face=face)
    (read,) = edit.spec.controls
    assert (read.kind, read.keypoints) == (kind, keypoints)
    assert any("dwpose" in reason for reason in edit.unfollowed) == (control == "dwpose")


def test_videograin_takes_the_controlnet_of_the_data_set_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "vg/ckpt/control_v11f1p_sd15_depth").mkdir(parents=True)
    (read,) = published(tmp_path / "vg").spec.controls
    assert read.net == "ckpt/control_v11f1p_sd15_depth"


def test_videograin_injects_in_the_steps_that_its_code_makes(tmp_path: Path) -> None:
    """`use_pnp` switches injection, and `blending_percentage` leaves out the first steps."""
    half = published(tmp_path / "half", num_inference_steps="20", blending_percentage="0.25")
    assert half.own["videograin"]["inject"].features == pytest.approx(10 / 15)
    said = " ".join(half.unfollowed)
    assert "`blending_percentage: 0.25` (VideoGrain's code leaves out the first 25% of" in said
    assert "`num_inference_steps: 20` (VideoGrain's code inverts in 50 steps" in said
    off = published(tmp_path / "off", use_pnp="false", use_freeu="False", flatten_res="[1,2,4]")
    own = off.own["videograin"]
    assert (own["inject"], own["freeu"], own["flow"].levels) == (None, None, (0, 1, 2))
    none = published(tmp_path / "none", inject_step="0", flatten_res="[]")
    assert none.own["videograin"]["inject"] == none.own["videograin"]["flow"] is None
    all_steps = published(tmp_path / "all", inject_step="80")
    assert all_steps.own["videograin"]["inject"].self_ == 1


@pytest.mark.parametrize("has_raft", [True, False])
def test_videograins_optical_flow_is_rafts_where_torchvision_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_raft: bool
) -> None:
    module = "grainspec_runtime.bench.own.videograin_settings.find_spec"
    monkeypatch.setattr(module, lambda name: name if has_raft else None)
    edit = published(tmp_path / "vg")
    expected = Flow(levels=(0,), method="raft") if has_raft else Flow(levels=(0,))
    assert edit.own["videograin"]["flow"] == expected
    assert any("RAFT" in reason for reason in edit.unfollowed) != has_raft


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("sample_seeds", "[3, 4]", "`sample_seeds: [3, 4]` (the first alone)"),
        ("old_qk", "0", "`old_qk: 0` (queries and keys are always"),
        ("control_type", "seg", "`control_type: seg` (no `control` is of this kind"),
        ("control_type", "canny\n    low_threshold: 50", "`low_threshold` and `high_threshold` ("),
        ("hand", "True\n    blur: 3", "`control_config.blur` (it is not read)"),
        ("old_qk", "1\n    strength: 0.5", "`editing_config.strength` (it is not read)"),
        ("sampling_rate", "1\n    image_size: 256", "`dataset_config.image_size` (it is not read)"),
        ("model_config", "{least_sc_channel: 640}", "`model_config.least_sc_channel` (it is"),
        ("pretrained_model_path", "../ckpt/sd", "`pretrained_model_path: ../ckpt/sd` (it leads"),
        ("pretrained_model_path", "/ckpt/sd", "`pretrained_model_path: /ckpt/sd` (it leads out"),
    ],
)
def test_videograin_says_what_it_does_not_follow(
    tmp_path: Path, key: str, value: str, reason: str
) -> None:
    usual = published(tmp_path / "usual").unfollowed
    said = published(tmp_path / "vg", **{key: value}).unfollowed
    (new,) = set(said) - set(usual)
    assert new.startswith(reason)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("depth_zoe", "depht", "invalid value `depht` for `control_type`: one of `canny`, "),
        ("use_pnp: true", "use_pnp: maybe", "invalid value `maybe` for `use_pnp`: `true` or"),
        ("inject_step: 10", "inject_step: ten", "invalid value `ten` for `inject_step`: a whole"),
        ("guidance_scale: 7.5", "guidance_scale: .inf", "invalid value `.inf` for `guidance_sc"),
        ("flatten_res: [1]", "flatten_res: [3]", "invalid value `3` for `flatten_res`: 1, 2, 4"),
        ("_sd15_depth", "_sd15_depth/mine", "its ControlNet is not here: ./ckpt/control_v11f1p_"),
        ("./ckpt/control_v11f1p_sd15_depth", "/mine", "its ControlNet is not here: /mine"),
        ("./ckpt/control_v11f1p_sd15_depth", "x" * 5000, "its ControlNet is not here: xxx"),
        ("control_config:", "control_config: [1]\nother:", "`control_config` must have settings"),
    ],
)
def test_videograins_odd_settings_are_left_out_by_name(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    folder = write_published(tmp_path / "vg")
    assert old in PUBLISHED
    (folder / "config/two_men.yaml").write_text(PUBLISHED.replace(old, new))
    found = VideoGrain().find(folder)
    assert found is not None
    assert found.left_out["config/two_men"].startswith(f"unusable configuration: {reason}")


def test_davis_edit_binds_the_words_that_differ_to_all_objects(davis: Path) -> None:
    found = DavisEdit().find(davis)
    assert found is not None
    assert not found.left_out
    assert [edit.name for edit in found.edits] == ["bear-similar", "bear-changing"]
    for edit, words in zip(found.edits, ("panda", "rabbit"), strict=True):
        prepared = ready(edit)
        assert [(it.phrase, it.grain) for it in prepared.plan.edits] == [(words, "instance")]
        assert prepared.spec.source == "a bear walking on rocks in a zoo"
    mask = prepared.bound.shown.mask("object")
    assert mask.mean() == pytest.approx(1 / 8, abs=0.02)  # both objects


@pytest.mark.parametrize(
    ("original", "target", "words"),
    [
        ("a bear walks", "An elephant walks.", "elephant"),
        ("a black swan on a river", "a pink flamingo on a river", "pink flamingo"),
        ("a man", "a man in a red hat", "in a red hat"),
        ("a dog, running", "the cat, running", "cat"),
    ],
)
def test_words_that_differ(original: str, target: str, words: str) -> None:
    assert changed_words(original, target) == words


@pytest.mark.parametrize(
    ("original", "target", "reason"),
    [
        (
            "a boy on a bike",
            "a girl on a horse",
            "differ in 2 places, and one object is edited: `girl`, `horse`",
        ),
        ("a boy on a bike", "A boy on a bike.", "its target prompt has no new words"),
        ("a boy on a bike", "a boy", "its target prompt has no new words"),
    ],
)
def test_words_that_do_not_say_what_changes(original: str, target: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        changed_words(original, target)


@pytest.mark.parametrize(
    ("video", "entry", "reason"),
    [
        ("bear", [1], "not an object with `original`"),
        ("bear", {"original": "a bear"}, "`similar` must be text"),
        ("bear", {"original": {}, "similar": "x"}, "`original` must be text"),
        ("../bear", PROMPTS["bear"], "not a name of a video: `../bear`"),
        ("x" * 5000, PROMPTS["bear"], "G30"),
        (
            "bear",
            {"original": "a bear", "similar": "a \x1b[2J"},
            "`similar` has control characters",
        ),
        ("/etc", PROMPTS["bear"], "not a name of a video: `/etc`"),
        ("..", PROMPTS["bear"], "not a name of a video: `..`"),
        ("gone", PROMPTS["bear"], "G301: the video"),
    ],
)
def test_davis_edit_leaves_out_what_it_cannot_read(
    davis: Path, video: str, entry: object, reason: str
) -> None:
    prompts = {"good": PROMPTS["bear"], video: entry}
    for folder in ("JPEGImages", "Annotations"):
        (davis / folder / "bear").rename(davis / folder / "good")
    (davis / "edited_video_caption_dict_text.json").write_text(json.dumps(prompts))
    found = DavisEdit().find(davis)
    assert found is not None
    assert [edit.name for edit in found.edits] == ["good-similar", "good-changing"]
    assert set(found.left_out) == {f"{video}-similar", f"{video}-changing"}
    assert reason in found.left_out[f"{video}-similar"]


@pytest.mark.parametrize("content", ["[]", "{", "7", "[" * 20_000])
def test_prompts_that_are_no_object_are_refused(davis: Path, content: str) -> None:
    (davis / "edited_video_caption_dict_text.json").write_text(content)
    with pytest.raises(GrainError, match=r"G580.*no edit: edited_video.*unreadable prompts: "):
        find_edits(davis, LAYOUTS)


def test_names_that_cannot_be_written_are_escaped(davis: Path) -> None:
    prompts = json.dumps({"bear": PROMPTS["bear"], "\ud800\x1b": {}})
    (davis / "edited_video_caption_dict_text.json").write_text(prompts)
    found = find_edits(davis, LAYOUTS)
    assert len(found.edits) == 2
    assert "\x1b" not in "".join(found.left_out)
    assert "".join(found.left_out).encode()


def test_msvbench_binds_the_words_of_its_table_to_its_mask(msvbench: Path) -> None:
    for folder in (msvbench, msvbench.parent / "above"):
        found = MsvBench().find(folder)
        assert found is not None
        [edit] = found.edits
        assert edit.name == "two-men"
        assert (edit.spec.source, edit.spec.target) == ("two men run", "Two Iron Men, running")
        prepared = ready(edit)
        assert [(it.phrase, it.grain) for it in prepared.plan.edits] == [("Iron Men", "class")]
        assert len(prepared.plan.frames) == 16
        assert prepared.bound.shown.mask("subjects").mean() == pytest.approx(1 / 16, abs=0.02)
        if folder == msvbench:  # as it is cloned
            (msvbench.parent / "above").mkdir()
            msvbench.rename(msvbench.parent / "above/MSVBench")


def test_msvbench_takes_masks_frame_by_frame_whatever_their_rate(msvbench: Path) -> None:
    pictures = np.zeros((24, 64, 64, 3), np.uint8)  # four more than the clip has
    for number, picture in enumerate(pictures):
        picture[16:32, 2 * number : 2 * number + 16] = 255
        picture[48:, :] = 60  # what compression leaves of a background
    write_film(msvbench / "mask/two-men.mp4", list(pictures), rate=24)
    found = MsvBench().find(msvbench)
    assert found is not None
    mask_FHW = ready(found.edits[0]).bound.shown.mask("subjects")
    height, width = mask_FHW.shape[1:]
    assert not mask_FHW[:, height * 3 // 4 :].any()
    centres = [np.nonzero(mask)[1].mean() / width * 64 for mask in mask_FHW]
    assert centres == pytest.approx([2 * number + 8 for number in range(16)], abs=1)


def test_msvbench_reads_the_folders_of_its_code_and_tables_of_spreadsheets(msvbench: Path) -> None:
    (msvbench / "source").rename(msvbench / "ori_video")
    (msvbench / "mask").rename(msvbench / "mask_video")
    lines = [
        "\ufeffVideo; Words ;PROMPT",
        "two-men.mp4;Iron Men;Iron Men run",
        "two-men;bears;bears run",
    ]
    (msvbench / "info.csv").write_text("\r\n".join([*lines, ";;", ""]), "utf-8")
    found = MsvBench().find(msvbench)
    assert found is not None
    assert not found.left_out
    assert [edit.name for edit in found.edits] == ["two-men.mp4", "two-men"]
    assert [edit.spec.target for edit in found.edits] == ["Iron Men run", "bears run"]
    assert len(ready(found.edits[1]).plan.frames) == 16


@pytest.mark.parametrize(
    ("row", "name", "reason"),
    [
        (",x,x,x", "line 3", "unusable row: `video` must be text"),
        ("two-men,x", "two-men-2", "unusable row: `prompt` must be text"),
        ("gone,x,a bear,bear", "gone", "unusable row: its clip is not here"),
        (
            "../two-men,x,a bear,bear",
            "../two-men",
            "unusable row: not a name of a video: `../two-men`",
        ),
        ("unmasked,x,a bear,bear", "unmasked", "unusable row: its mask is not here"),
        ("damaged,x,a bear,bear", "damaged", "G302: "),
    ],
)
def test_msvbench_leaves_out_rows_that_it_cannot_use(
    msvbench: Path, row: str, name: str, reason: str
) -> None:
    write_clip(msvbench / "source/unmasked.mp4", frames=1)
    for folder in ("source", "mask"):
        (msvbench / folder / "damaged.mp4").write_bytes(b"no video")
    (msvbench / "info.csv").write_text(TABLE + row + "\n")
    found = MsvBench().find(msvbench)
    assert found is not None
    assert [edit.name for edit in found.edits] == ["two-men"]
    [(left_out, why)] = found.left_out.items()
    assert left_out == name
    assert why.startswith(reason)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (None, "info.csv: No such file or directory"),
        (b"", "info.csv: it has no column `video` and no `prompt` and no `words`"),
        (b"name,prompt,words\n", "info.csv: it has no column `video`"),
        ("video,prompt,words\n".encode("utf-16"), "info.csv: it is not UTF-8"),
        (b'video,prompt,words\n"', "info.csv: unexpected end of data"),
        (b"video,prompt,words\n" + b"x" * 200_000, "info.csv: field larger than"),
    ],
)
def test_msvbench_says_how_to_give_its_prompts(
    msvbench: Path, table: bytes | None, reason: str
) -> None:
    path = msvbench / "info.csv"
    path.unlink()
    if table is not None:
        path.write_bytes(table)
    with pytest.raises(GrainError, match="G586") as refused:
        find_edits(msvbench, LAYOUTS)
    [finding] = refused.value.diagnostics
    assert reason in finding.message
    assert "with the first line `video,prompt,words`" in finding.cure


def test_folders_like_those_of_msvbench_are_not_taken_for_it(msvbench: Path) -> None:
    for path in msvbench.glob("info.*"):
        path.unlink()
    assert MsvBench().find(msvbench) is None


def test_each_folder_is_read_by_its_own_layout(
    tmp_path: Path, five: Path, davis: Path, msvbench: Path, videograin: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/edit.grain").write_text(SPEC)
    folders = (five, davis, tmp_path / "mine", msvbench, videograin)
    names = [find_edits(folder, LAYOUTS).layout.split()[0] for folder in folders]
    assert names == ["FiVE-Bench", "DAVIS-Edit", "specs", "MSVBench", "VideoGrain"]
    (msvbench / "edit.grain").write_text(SPEC)  # specs for the clips of a data set
    assert find_edits(msvbench, LAYOUTS).layout.split()[0] == "specs"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("data/two_men/frames", "../two_men/frames", "`path` leads out of the data set: `../two"),
        ("data/two_men/frames", "/etc", "`path` leads out of the data set: `/etc`"),
        ("./data/two_men/layout", "../layout", "`layout_mask_dir` leads out of the data set"),
        ("'left'", "'../left'", "a mask leads out of the data set: `../left`"),
        ("data/two_men/frames", "data/gone", "its clip is not here: data/gone"),
    ],
)
def test_videograin_stays_in_the_data_set(
    videograin: Path, old: str, new: str, reason: str
) -> None:
    assert old in CONFIG
    (videograin / "config/instance_level/two_men/iron.yaml").write_text(CONFIG.replace(old, new))
    with pytest.raises(GrainError, match="G580") as refused:
        find_edits(videograin, LAYOUTS)
    assert reason in refused.value.diagnostics[0].message


def test_another_layout_is_refused_with_what_is_there(tmp_path: Path, five: Path) -> None:
    (tmp_path / "odd/videos").mkdir(parents=True)
    for name in ("a.mp4", "b.mp4", "captions.csv"):
        (tmp_path / "odd" / name).touch()
    with pytest.raises(GrainError, match="G580") as refused:
        find_edits(tmp_path / "odd", LAYOUTS)
    [finding] = refused.value.diagnostics
    assert "it contains videos/, 2 × .mp4, 1 × .csv" in finding.message
    assert "FiVE-Bench (`edit_prompt/*.json`" in finding.cure
    with pytest.raises(GrainError, match="is not a folder"):
        find_edits(tmp_path / "gone", LAYOUTS)
    (five / "edit_prompt/edit1_FiVE.json").write_text("[1]")
    with pytest.raises(GrainError, match=r"G580.*but no edit: edit1_FiVE-000"):
        find_edits(five, LAYOUTS)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("n_sample_frame: 3", "n_sample_frame: .inf", "invalid value `.inf` for `n_sample_frame`"),
        ("n_sample_frame: 3", f"n_sample_frame: {'9' * 5000}", "invalid value `9999"),
        ("n_sample_frame: 3", "n_sample_frame: [3]", "`n_sample_frame` must be text"),
        ("['left', 'right-man']", "{left: 1}", "`layout_mask_order` must be a list"),
        (
            "'Iron Man', 'Spiderman'",
            "['Iron Man'], 'Spiderman'",
            "an item of a prompt must be text",
        ),
        ("prompt: ''", "prompt: &a [1]\n    other: [*a, *a]", "aliases (`*name`) are not"),
        ("prompt: ''", "prompt: " + "[" * 20_000, "it is nested too deeply"),
        ("prompt: ''", "prompt: ]", "expected"),
    ],
)
def test_odd_configurations_are_left_out_by_name(
    videograin: Path, old: str, new: str, reason: str
) -> None:
    assert old in CONFIG
    odd = videograin / "config/instance_level/two_men/odd.yaml"
    odd.write_text(CONFIG.replace(old, new))
    found = VideoGrain().find(videograin)
    assert found is not None
    assert [edit.name.rsplit("/")[-1] for edit in found.edits] == ["iron-0"]
    reasons = [why for name, why in found.left_out.items() if "/odd" in name]
    assert reasons
    assert reason in reasons[0]
    assert all(why.startswith("unusable configuration: ") for why in reasons)


def test_aliases_that_multiply_are_not_expanded(videograin: Path) -> None:
    """Without a limit, the prompt would be text of a terabyte."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    bomb = "\n".join(lines) + CONFIG.replace("prompt: ''", "prompt: *a11")
    (videograin / "bomb.yaml").write_text(bomb)
    found = VideoGrain().find(videograin)
    assert found is not None
    assert "aliases" in found.left_out["bomb"]


def test_five_says_what_it_cannot_read(five: Path) -> None:
    (five / "edit_prompt/edit2_FiVE.json").write_text("[{")
    (five / "edit_prompt/edit3_FiVE.json").write_text("{}")
    entry = {"source_prompt": "a [bus]", "target_prompt": "a [red bus]"}
    entries = [{**entry, "video_name": name} for name in ("..", ".", "a/b")]
    (five / "edit_prompt/edit4_FiVE.json").write_text(json.dumps(entries))
    found = Five().find(five)
    assert found is not None
    assert found.left_out["edit2_FiVE"].startswith("unreadable prompts: ")
    assert found.left_out["edit3_FiVE"] == "unreadable prompts: not a list of entries"
    for number, name in enumerate(("..", ".", "a/b")):
        reason = found.left_out[f"edit4_FiVE-00{number}"]
        assert reason == f"unusable entry: not a name of a video: `{name}`"


def test_a_folder_of_too_many_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grainspec_runtime.bench.own.layouts._MOST_FILES", 2)
    for name in "abc":
        (tmp_path / name).touch()
    with pytest.raises(GrainError, match="it contains more than 2 files"):
        find_edits(tmp_path, LAYOUTS)
