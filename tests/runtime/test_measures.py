"""Measures against values that are known, and `grain measure` as users call it."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from clips import EXAMPLES
from command import Grain
from moving import card, moving, translation
from PIL import Image
from transformers import CLIPConfig, CLIPModel, CLIPTokenizerFast

from grainspec import GrainError
from grainspec_runtime.flow.clip_flow import ClipFlow
from grainspec_runtime.flow.estimate import estimate_flow
from grainspec_runtime.measures.clip_model import load_clip
from grainspec_runtime.measures.clip_similarity import clip_f, clip_t
from grainspec_runtime.measures.fidelity import psnr, ssim
from grainspec_runtime.measures.instances import Instance, instance_scores, square_crop
from grainspec_runtime.measures.perceptual import feature_distance
from grainspec_runtime.measures.run_measures import TITLES, instances_of, measure_run
from grainspec_runtime.measures.warping import q_edit, warp_error
from grainspec_runtime.media.encode import encode_lossless
from grainspec_runtime.models import locate
from grainspec_runtime.models.locate import DEMO_FOLDER
from grainspec_runtime.runs.read import read_run

# --- the functions -------------------------------------------------------------------------------


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def test_clip_f_and_t_are_mean_cosines() -> None:
    angles = np.radians([0, 60, 60])
    frames = np.stack([np.cos(angles), np.sin(angles)], -1) * np.array([[3.0], [0.1], [1]])
    assert clip_f(frames) == pytest.approx((50 + 100) / 2)
    assert clip_t(frames, np.array([5.0, 0])) == pytest.approx((100 + 50 + 50) / 3)
    assert clip_f(frames[:1]) is None


def test_a_still_clip_has_no_warp_error() -> None:
    still = np.repeat(noise(1, 48, 64, 3), 4, 0)
    assert warp_error(still, estimate_flow(still)) == 0
    assert q_edit(30.0, 0.0) is None


def test_what_moves_as_its_source_has_no_warp_error() -> None:
    clip = moving(translation(3, -2))  # whole pixels: nothing is read in between
    assert warp_error(clip.frames, clip.flow) == pytest.approx(0, abs=1e-9)
    clip = card()
    assert warp_error(clip.frames, clip.flow) == pytest.approx(0, abs=1e-9)
    recoloured = 255 - clip.frames
    assert warp_error(recoloured, clip.flow) == pytest.approx(0, abs=1e-9)


def test_warp_error_of_the_estimated_flow_is_small() -> None:
    clip = moving(translation(2.6, -1.3))
    error = warp_error(clip.frames, estimate_flow(clip.frames))
    unmoved = warp_error(
        clip.frames, ClipFlow(0 * clip.flow.forward_PHW2, 0 * clip.flow.forward_PHW2)
    )
    assert error is not None
    assert unmoved is not None
    assert error < 0.04  # measured: 0.020, as with the true flow; 8.8 without motion
    assert unmoved > 5


def test_warp_error_of_known_noise() -> None:
    """Two frames with independent noise of deviation s differ by a mean square of 2 s²."""
    rng = np.random.default_rng(0)
    grey = 127 + rng.normal(0, 10, (6, 64, 64, 3))
    still = np.zeros((5, 64, 64, 2), np.float32)
    error = warp_error(grey.round().astype(np.uint8), ClipFlow(still, still))
    assert error == pytest.approx(2 * (100 + 1 / 12) / 255**2 * 1e3, rel=0.02)


def test_warp_error_leaves_out_what_was_hidden() -> None:
    clip = card(frames=2)
    edited = clip.frames.copy()
    edited[1][~clip.flow.seen_before_PHW[0]] = 0  # an edit may put there what it likes
    assert warp_error(edited, clip.flow) == pytest.approx(0, abs=1e-9)
    edited[1, 0, 0] = ~edited[1, 0, 0]
    assert warp_error(edited, clip.flow) > 0  # type: ignore[operator]
    blind = np.full((1, 128, 128, 2), 500, np.float32)
    assert warp_error(edited, ClipFlow(blind, blind)) is None


def test_psnr_of_known_noise() -> None:
    rng = np.random.default_rng(1)
    source = np.full((3, 64, 64, 3), 120, np.uint8)
    spoiled = (source + rng.normal(0, 8, source.shape)).round().astype(np.uint8)
    assert psnr(source, spoiled) == pytest.approx(10 * math.log10(255**2 / (64 + 1 / 12)), abs=0.1)
    assert psnr(source, source) == math.inf


def test_psnr_sees_only_where_it_is_told_to() -> None:
    source = noise(2, 32, 32, 3)
    edited = source.copy()
    edited[:, :16] = 0
    edited[:, 16:] = edited[:, 16:] ^ 1
    below = np.zeros((2, 32, 32), bool)
    below[:, 16:] = True
    assert psnr(source, edited, below) == pytest.approx(20 * math.log10(255))
    assert psnr(source, edited, np.zeros_like(below)) is None


def slow_ssim(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The paper's formula, window by window."""
    offsets = np.arange(-5, 6)
    weights = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    weights /= weights.sum()
    height, width = x.shape
    found = np.empty((height - 10, width - 10))
    for row in range(height - 10):
        for column in range(width - 10):
            a = x[row : row + 11, column : column + 11].astype(float)
            b = y[row : row + 11, column : column + 11].astype(float)
            ma, mb = (weights * a).sum(), (weights * b).sum()
            va, vb = (weights * (a - ma) ** 2).sum(), (weights * (b - mb) ** 2).sum()
            vab = (weights * (a - ma) * (b - mb)).sum()
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            found[row, column] = ((2 * ma * mb + c1) * (2 * vab + c2)) / (
                (ma**2 + mb**2 + c1) * (va + vb + c2)
            )
    return found


def test_ssim_is_the_papers_formula() -> None:
    source = moving(translation(1, 0), frames=2, size=24).frames[:, :, :20]
    spoiled = (source.astype(int) + noise(*source.shape) % 40).clip(0, 255).astype(np.uint8)
    wanted = [slow_ssim(source[f, ..., c], spoiled[f, ..., c]) for f in (0, 1) for c in range(3)]
    assert ssim(source, spoiled) == pytest.approx(np.mean(wanted), abs=1e-9)
    assert 0.3 < np.mean(wanted) < 0.95
    assert ssim(source, source) == pytest.approx(1)


def test_ssim_of_flat_pictures_is_that_of_their_brightness() -> None:
    source, lighter = (np.full((1, 16, 16, 3), level, np.uint8) for level in (100, 150))
    c1 = (0.01 * 255) ** 2
    assert ssim(source, lighter) == pytest.approx((2 * 15_000 + c1) / (100**2 + 150**2 + c1))


def test_ssim_sees_nothing_of_what_was_edited() -> None:
    source = noise(1, 40, 40, 3)
    edited = source.copy()
    edited[:, :15] = 0
    kept = np.ones((1, 40, 40), bool)
    kept[:, :15] = False
    assert ssim(source, edited, kept) == pytest.approx(1)
    assert ssim(source, edited) < 0.8  # type: ignore[operator]
    kept[:, 5::8] = False
    assert ssim(source, edited, kept) is None
    assert ssim(source[:, :10], edited[:, :10]) is None


# --- CLIP ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CLIP's true architecture with random weights, saved as on the hub."""
    folder = tmp_path_factory.mktemp("models") / "tiny-clip"
    torch.manual_seed(0)
    tokenizer = CLIPTokenizerFast.from_pretrained(DEMO_FOLDER / "tokenizer")
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    config = CLIPConfig(
        text_config={
            **small,
            "num_attention_heads": 2,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 12,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={**small, "num_attention_heads": 2, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    kind = getattr(transformers, "CLIPImageProcessorPil", transformers.CLIPImageProcessor)
    kind(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def test_embeddings_are_those_that_clip_compares(tiny_clip: Path) -> None:
    """The model's own scores are the cosines of the embeddings, times its learnt factor."""
    clip = load_clip(str(tiny_clip), device="cpu")
    frames, text = noise(10, 48, 64, 3), "a green robot on grass"
    pixels = clip.image_processor(images=[Image.fromarray(f) for f in frames], return_tensors="pt")
    words = clip.tokenizer([text], return_tensors="pt")
    with torch.inference_mode():
        scores = clip.model(**words, **pixels).logits_per_image / clip.model.logit_scale.exp()
    embedded = clip.of_frames(frames)
    assert embedded.shape == (10, 16)
    assert clip_t(embedded, clip.of_text(text)) == pytest.approx(
        scores.mean().item() * 100, abs=1e-3
    )
    assert clip_t(embedded, clip.of_text("snow")) != pytest.approx(
        scores.mean().item() * 100, abs=1e-3
    )


def test_a_long_prompt_is_cut_to_clips_window(tiny_clip: Path) -> None:
    clip = load_clip(str(tiny_clip), device="cpu")
    assert np.isfinite(clip.of_text("robot " * 50)).all()


@pytest.mark.parametrize(
    ("name", "code"),
    [("nowhere/at/all", "G502"), ("./gone", "G502"), ("owner/no-such-clip", "G503")],
)
def test_a_clip_that_is_not_there(name: str, code: str) -> None:
    with pytest.raises(GrainError, match=rf"{code}.*CLIP(.|\n)*--clip none"):
        load_clip(name)


def test_a_clip_that_is_broken(tiny_clip: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_clip, broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(GrainError, match="G502"):
        load_clip(str(broken))
    with pytest.raises(GrainError, match="G502"):
        load_clip(str(DEMO_FOLDER / "text_encoder"))  # half of a CLIP, and no way to read pictures


# --- what CLIP's features tell ---------------------------------------------------------------------


class Painted:
    """A stand-in for CLIP that sees the mean colour, and reads names of colours."""

    def of_frames(self, frames: np.ndarray) -> np.ndarray:
        return np.asarray(frames.reshape(len(frames), -1, 3).mean(1), np.float32)

    def of_text(self, text: str) -> np.ndarray:
        return np.eye(3, dtype=np.float32)[["red", "green", "blue"].index(text)] * 7


def boxes(*sides: tuple[int, int]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Two frames with two squares, red and green, and their masks."""
    frames, masks = np.zeros((2, 16, 24, 3), np.uint8), []
    for channel, (left, right) in enumerate(sides):
        mask = np.zeros((2, 16, 24), bool)
        mask[:, 4:10, left:right] = True
        frames[mask, channel] = 200
        masks.append(mask)
    return frames, masks


def test_cross_instance_accuracy_counts_crops_nearest_to_their_own_caption() -> None:
    frames, masks = boxes((1, 7), (12, 18))
    clip = Painted()

    def scores(*captions: str) -> object:
        instances = [Instance(c, m) for c, m in zip(captions, masks, strict=True)]
        return instance_scores(clip, frames, instances)  # type: ignore[arg-type]

    right = scores("red", "green")
    assert (right.accuracy, right.similarity) == (100, 100)  # type: ignore[attr-defined]
    swapped = scores("green", "red")
    assert (swapped.accuracy, swapped.similarity) == (0, 0)  # type: ignore[attr-defined]
    half = scores("red", "blue")
    assert half.accuracy == 50  # type: ignore[attr-defined]
    alike = scores("red", "red")
    assert (alike.accuracy, alike.similarity) == (None, 50)  # type: ignore[attr-defined]
    masks[1][1] = False  # hidden in one of two frames: three crops remain
    assert scores("red", "blue").accuracy == pytest.approx(200 / 3)  # type: ignore[attr-defined]
    assert instance_scores(clip, frames, [Instance("red", masks[0] & False)]) is None  # type: ignore[arg-type]


def test_cross_instance_accuracy_is_the_mean_of_the_diagonal_of_mives_matrix() -> None:
    """Figure 11 of MIVE: 1 at the largest of each row of crops by captions, 0 elsewhere."""
    random = np.random.default_rng(0)
    of_text = {name: random.normal(size=8) for name in ("cat", "dog", "car")}
    colours = random.integers(0, 256, (4, 1, 3, 3), dtype=np.uint8)
    frames = colours.repeat(12, 1).repeat(12, 2)
    masks = np.zeros((3, 4, 12, 36), bool)
    for instance in range(3):
        masks[instance, :, 2:10, 12 * instance + 2 : 12 * instance + 10] = True

    class Random:
        """Embeds a crop by its mean colour."""

        projection = random.normal(size=(3, 8))

        def of_frames(self, crops: np.ndarray) -> np.ndarray:
            return (crops.mean((1, 2)) - 128) @ self.projection

        def of_text(self, caption: str) -> np.ndarray:
            return of_text[caption]

    clip, diagonals = Random(), []
    for frame in range(4):
        crops = [frames[frame, 2:10, 12 * it + 2 : 12 * it + 10] for it in range(3)]
        rows = np.concatenate([clip.of_frames(crop[None]) for crop in crops])
        columns = np.stack(list(of_text.values()))
        lengths = np.linalg.norm(rows, axis=1)[:, None] * np.linalg.norm(columns, axis=1)
        matrix = rows @ columns.T / lengths
        diagonals.append(np.diag(matrix == matrix.max(1, keepdims=True)).mean())
    instances = [Instance(name, mask) for name, mask in zip(of_text, masks, strict=True)]
    scores = instance_scores(clip, frames, instances)  # type: ignore[arg-type]
    assert scores is not None
    assert scores.accuracy == pytest.approx(100 * np.mean(diagonals))
    assert len(set(diagonals)) > 1


def test_a_crop_is_a_square_inside_the_frame() -> None:
    frame, mask = (
        np.arange(16 * 24 * 3, dtype=np.uint8).reshape(16, 24, 3),
        np.zeros((16, 24), bool),
    )
    mask[2:14, 20:23] = True
    assert np.array_equal(square_crop(frame, mask), frame[2:14, 12:24])
    mask[:] = True
    assert square_crop(frame, mask).shape == (16, 24, 3)


def test_the_feature_distance_sees_what_changed_outside_alone(tiny_clip: Path) -> None:
    clip = load_clip(str(tiny_clip), device="cpu")
    source, kept = noise(2, 64, 64, 3), np.ones((2, 64, 64), bool)
    kept[:, :20, :20] = False
    edited = source.copy()
    edited[:, :20, :20] = 0
    assert feature_distance(clip, source, edited, kept) == 0
    edited[:, 40:, 40:] ^= 1
    slightly = feature_distance(clip, source, edited, kept)
    edited[:, 40:, 40:] ^= 128
    strongly = feature_distance(clip, source, edited, kept)
    assert slightly is not None
    assert strongly is not None
    assert 0 < slightly < strongly <= 4
    assert feature_distance(clip, source, edited, kept & False) is None
    features = clip.patch_features(source)
    assert [layer.shape for layer in features] == [(2, 16, 32)] * 2
    np.testing.assert_allclose(np.linalg.norm(features[0], axis=-1), 1, atol=1e-5)


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("measured")


@pytest.fixture
def finished(folder: Path, grain: Grain) -> Path:
    """A run of the instance example, three frames and two steps of it."""
    output = folder / "run"
    if not output.exists():
        for part in ("clips", "masks"):
            shutil.copytree(EXAMPLES / part, folder / part)
        text = (EXAMPLES / "instance.grain").read_text()
        text = text.replace('two_men.mp4"', 'two_men.mp4" { frames 0..2 }')
        (folder / "edit.grain").write_text(text.replace("steps 30", "steps 2"))
        assert grain("run", folder / "edit.grain", "-o", output).code == 0
    return output


@pytest.fixture
def run_folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of the run, to spoil."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_everything_is_measured(grain: Grain, finished: Path, tiny_clip: Path) -> None:
    said = grain("measure", finished, "--clip", tiny_clip, "--format", "json")
    assert said.code == 0, said.err
    (one,) = said.json["runs"]
    assert said.json["clip"] == str(tiny_clip)
    values = {name: found["value"] for name, found in one["measures"].items()}
    assert list(values) == list(TITLES)
    assert None not in values.values()
    assert values["q_edit"] == pytest.approx(values["clip_t"] / values["warp_error"])
    run = read_run(finished)
    flow = estimate_flow(run.source)
    assert values["warp_error"] == pytest.approx(warp_error(run.edited, flow))
    assert values["warp_error_of_source"] == pytest.approx(warp_error(run.source, flow))
    assert 25 < values["psnr_outside"] < 60  # dB
    assert 0.8 < values["ssim_outside"] <= 1
    assert 0 < values["distance_outside"] < 4
    assert values["cross_instance"] in {0, 50, 100} or 0 < values["cross_instance"] < 100
    manifest = json.loads((finished / "run.json").read_text())
    assert 0 < values["seconds"] <= sum(manifest["seconds"].values())
    assert values["memory"] == pytest.approx(manifest["peak_memory_bytes"] / 2**20)


def test_the_cost_of_variants_says_what_they_share(
    grain: Grain, finished: Path, tmp_path: Path
) -> None:
    for name, reused in (("first", False), ("second", True)):
        folder = Path(shutil.copytree(finished, tmp_path / "runs" / name))
        manifest = json.loads((folder / "run.json").read_text())
        manifest["seconds"] = {"load model": 9.0, "invert": 0.1 if reused else 2.0, "sample": 4.0}
        manifest |= {"variant": name, "inversion_cached": reused}
        (folder / "run.json").write_text(json.dumps(manifest))
    shown = grain("measure", tmp_path / "runs", "--clip", "none")
    assert shown.code == 0, shown.err
    (seconds,) = (line for line in shown.out.splitlines() if line.startswith(TITLES["seconds"]))
    assert seconds.split()[-4:] == ["6.000", "*1", "4.100", "*2"]
    assert "*1: with what variants of one command share: `invert` (2.0 s)" in shown.out
    assert "*2: without the inversion, which was reused" in shown.out
    assert "*3: since the start of the process, with the variants" in shown.out
    assert grain("report", tmp_path / "runs" / "first").code == 0
    report = (tmp_path / "runs" / "first" / "report.html").read_text()
    assert "with what variants of one command share: `invert` (2.0 s)" in report


def test_instances_are_the_edits_of_the_plan(finished: Path) -> None:
    run = read_run(finished)
    instances = instances_of(run)
    assert [one.caption for one in instances] == [e.phrase for e in run.plan.edits if e.grain]
    together = np.any([one.mask_FHW for one in instances], axis=0)
    assert (together & ~run.edited_FHW).mean() < 0.01
    assert not (instances[0].mask_FHW & instances[1].mask_FHW).any()


def test_runs_of_the_demo_models_are_measured_with_their_own_clip(
    grain: Grain, finished: Path, tiny_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locate, "DEMO_CLIP", tiny_clip)
    said = grain("measure", finished, "--format", "json")
    assert (said.code, said.json["clip"]) == (0, str(tiny_clip))


def test_people_get_a_table(grain: Grain, finished: Path, tiny_clip: Path) -> None:
    said = grain("measure", finished, finished, "--clip", tiny_clip)
    assert said.code == 0
    for title in TITLES.values():
        (line,) = (line for line in said.out.splitlines() if line.startswith(f"{title}  "))
        first, second = line.removeprefix(title).split()
        assert first == second
        assert float(first) == float(second)


def test_without_network_the_rest_is_measured(
    grain: Grain, finished: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(locate, "DEMO_CLIP", tmp_path / "not installed")
    said = grain("measure", finished, "--format", "json")
    assert said.code == 0
    assert [found["code"] for found in said.json["diagnostics"]] == ["G503"]
    measures = said.json["runs"][0]["measures"]
    for name in ("clip_f", "clip_t", "q_edit", "distance_outside", "cross_instance"):
        assert measures[name]["value"] is None
        assert "openai/clip-vit-large-patch14" in measures[name]["reason"]
    assert measures["warp_error"]["value"] > 0
    assert measures["psnr_outside"]["value"] > 20
    shown = grain("measure", finished)
    assert "G503" in shown.err
    assert "– 1: CLIP openai/clip-vit-large-patch14 is not a folder" in shown.out


def test_what_was_asked_for_and_is_not_there_fails_after_the_rest(
    grain: Grain, finished: Path
) -> None:
    said = grain("measure", finished, "--clip", "models/none", "--format", "json")
    assert (said.code, [found["code"] for found in said.json["diagnostics"]]) == (1, ["G503"])
    assert said.json["runs"][0]["measures"]["warp_error"]["value"] > 0
    left_out = grain("measure", finished, "--clip", "none", "--format", "json")
    assert (left_out.code, left_out.json["diagnostics"]) == (0, [])
    raft = grain(
        "measure",
        finished,
        "--clip",
        "none",
        "--flow",
        "raft",
        "--flow-weights",
        "no",
        "--format",
        "json",
    )
    assert raft.code == 1
    assert raft.json["diagnostics"][0]["code"] in {"G501", "G502"}
    assert raft.json["runs"][0]["measures"]["warp_error"]["value"] is None
    assert raft.json["runs"][0]["measures"]["psnr_outside"]["value"] > 20


def test_variants_are_measured_next_to_each_other(
    grain: Grain, run_folder: Path, tmp_path: Path
) -> None:
    both = tmp_path / "both"
    for name in ("a", "b"):
        shutil.copytree(run_folder, both / name)
    said = grain("measure", both, "--clip", "none", "--format", "json")
    assert [Path(run["run"]).name for run in said.json["runs"]] == ["a", "b"]


def test_an_untouched_clip_keeps_its_background(run_folder: Path) -> None:
    """The source in place of the edit is found equal: what is kept of a run has lost nothing."""
    run = read_run(run_folder)
    encode_lossless(run.source, run_folder / "edited.mkv", fps=8)
    found = measure_run(read_run(run_folder), clip="no CLIP", flow=estimate_flow(run.source))
    infinite = {"value": None, "reason": "infinite: the clips are identical"}
    assert found["psnr_outside"].as_json() == infinite
    assert found["ssim_outside"].value == pytest.approx(1)
    assert found["warp_error"].value == found["warp_error_of_source"].value
    assert found["q_edit"].as_json() == {"value": None, "reason": "no CLIP"}


def test_the_edited_pixels_are_those_of_the_plan(finished: Path) -> None:
    run = read_run(finished)
    assert run.edited_FHW.shape == run.edited.shape[:3] == (3, 96, 96)

    def mask(name: str) -> np.ndarray:
        with Image.open(EXAMPLES / f"masks/two_men/{name}/00000.png") as image:
            return np.asarray(image.convert("L").resize((96, 96))) > 127

    assert run.edited_FHW[0][mask("left") | mask("right")].mean() > 0.95
    assert run.edited_FHW[0][mask("ground")].mean() < 0.05  # it is kept


@pytest.mark.parametrize("spoil", ["empty", "manifest", "spec", "plan", "edit", "size", "source"])
def test_runs_that_are_not_whole(grain: Grain, run_folder: Path, spoil: str) -> None:
    manifest = run_folder / "run.json"
    facts = json.loads(manifest.read_text())
    code = "G317"
    if spoil == "empty":
        manifest.unlink()
    elif spoil == "manifest":
        manifest.write_text("[1, 2")
    elif spoil == "spec":
        manifest.write_text(json.dumps({**facts, "spec": {"video": 3}}))
    elif spoil == "plan":
        path = run_folder / "plan.safetensors"
        path.write_bytes(path.read_bytes()[:500])
        code = "G405"
    elif spoil == "edit":
        (run_folder / "edited.mkv").unlink()
    elif spoil == "size":
        encode_lossless(noise(3, 64, 64, 3), run_folder / "edited.mkv", fps=8)
    else:
        manifest.write_text(json.dumps({**facts, "base": str(run_folder / "moved")}))
        code = "G301"
    said = grain("measure", run_folder, "--format", "json")
    assert (said.code, said.codes) == (1, [code])
