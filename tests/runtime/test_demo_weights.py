"""The weights of the demo models that are installed with grainspec."""

from __future__ import annotations

import zlib
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from grainspec_runtime.backbones.registry import find_model
from grainspec_runtime.demo.clip_training.examples import held_out_examples
from grainspec_runtime.demo.clip_training.retrieval import WAYS
from grainspec_runtime.demo.clips import random_clip, render_clip
from grainspec_runtime.demo.world import VOCABULARY
from grainspec_runtime.measures.clip_model import load_clip
from grainspec_runtime.measures.fidelity import psnr
from grainspec_runtime.media.tensors import to_frames, to_tensor
from grainspec_runtime.models.locate import DEMO_CLIP, DEMO_FOLDER

_DEMO = DEMO_FOLDER.parent


def test_all_weights_fit_into_64_megabytes_of_the_wheel() -> None:
    files = [
        file
        for name in ("clip", "model", "motion", "video")
        for file in (_DEMO / name).rglob("*")
        if file.is_file()
    ]
    assert len([file for file in files if file.suffix == ".safetensors"]) == 11
    assert sum(len(zlib.compress(file.read_bytes())) for file in files) <= 64_000_000  # as zip does


def test_the_adapter_is_a_stock_one() -> None:
    adapter = diffusers.MotionAdapter.from_pretrained(_DEMO / "motion")
    assert sum(weight.numel() for weight in adapter.parameters()) < 2_000_000
    folder, family = find_model("demo-motion", Path())
    assert family.describe(folder).name == "demo-motion"


def test_the_video_model_knows_the_world_word_by_word() -> None:
    tokenizer = AutoTokenizer.from_pretrained(_DEMO / "video" / "tokenizer")
    ids = [tokenizer(word, add_special_tokens=False).input_ids for word in sorted(VOCABULARY)]
    assert [len(of_word) for of_word in ids] == [1] * len(VOCABULARY)
    assert tokenizer.unk_token_id not in {number for [number] in ids}


@pytest.mark.skipif(not hasattr(diffusers, "WanVACEPipeline"), reason="this diffusers has no Wan")
def test_its_stock_vae_reconstructs_clips_to_their_last_frame() -> None:
    folder = _DEMO / "video" / "vae"
    vae = diffusers.AutoencoderKLWan.from_pretrained(folder, torch_dtype=torch.float32)
    frames, _ = render_clip(random_clip(90_002))
    clip = to_tensor(frames).transpose(0, 1)[None]
    with torch.no_grad():
        decoded = vae.decode(vae.encode(clip).latent_dist.mean).sample
    again = to_frames(decoded[0].transpose(0, 1))
    by_frame = [psnr(frames[i : i + 1], again[i : i + 1]) or 0.0 for i in range(len(frames))]
    assert len(by_frame) == 17
    assert min(by_frame) > 28
    assert np.mean(by_frame) > 30


@pytest.mark.skipif(not DEMO_CLIP.is_dir(), reason="the CLIP of the demo world is not trained yet")
def test_its_clip_is_a_stock_one_that_tells_captions_with_one_word_changed() -> None:
    weights = DEMO_CLIP / "model.safetensors"
    assert weights.stat().st_size < 1_500_000
    clip = load_clip(str(DEMO_CLIP), device="cpu")
    examples = held_out_examples(12, changed_ways=WAYS, seed=70_000_000, from_clips=True)
    block, right = 1 + WAYS, []
    for start in range(0, len(examples.frames), block):
        frame = clip.of_frames(examples.frames[start : start + 1])[0]
        texts = [clip.of_text(words[0]) for words in examples.words[start : start + block]]
        likeness = [float(frame @ text / np.linalg.norm(text)) for text in texts]
        right += [likeness[0] > other for other in likeness[1:]]
    assert np.mean(right) > 0.85
