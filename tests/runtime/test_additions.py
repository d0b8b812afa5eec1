"""LoRAs and textual inversions, by diffusers' own calls."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from clips import EXAMPLES
from command import Grain
from safetensors.torch import save_file
from tiny_runs import TARGET, loaded, noise, plan_for, sampled, stock
from torch import Tensor

from grainspec import GrainError, parse
from grainspec_runtime import Editor, plan_applied
from grainspec_runtime.backbones.registry import describe, load_checkpoint
from grainspec_runtime.models.additions import Embedding, Lora
from grainspec_runtime.models.lora_file import read_lora
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.prepare import prepare

PEFT = pytest.mark.skipif(find_spec("peft") is None, reason="peft is not installed")
LAYER = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"


def lora_for(model: Path, to: Path, seed: int = 0) -> tuple[Path, Tensor]:
    """A LoRA of rank 2 on one layer of the UNet, and what it adds to that layer's weight."""
    weight = loaded(model).unet.get_submodule(LAYER).weight
    generator = torch.Generator().manual_seed(seed)
    down = torch.randn(2, weight.shape[1], generator=generator)
    up = torch.randn(weight.shape[0], 2, generator=generator)
    names = {f"unet.{LAYER}.lora_A.weight": down, f"unet.{LAYER}.lora_B.weight": up}
    to.mkdir(exist_ok=True)
    path = to / f"ink{seed}.safetensors"
    save_file(names, path)
    return path, up @ down


def word_for(model: Path, to: Path, vectors: int = 1, name: str = "<toy>") -> Path:
    """A textual inversion of as many vectors for each of a model's text encoders."""
    pipe = loaded(model).pipe
    encoders = [e for n in ("text_encoder", "text_encoder_2") if (e := getattr(pipe, n, None))]
    names = [name] if len(encoders) == 1 else ["clip_l", "clip_g"]
    generator = torch.Generator().manual_seed(1)
    to.mkdir(exist_ok=True)
    path = to / "toy.safetensors"
    tensors = {
        name: torch.randn(vectors, encoder.config.hidden_size, generator=generator)
        for name, encoder in zip(names, encoders, strict=True)
    }
    save_file(tensors, path)
    return path


@PEFT
def test_loras_add_to_the_weights_times_their_scales(tiny_model: Path, tmp_path: Path) -> None:
    (first, more), (second, other) = (lora_for(tiny_model, tmp_path, seed) for seed in (0, 1))
    plain = loaded(tiny_model).unet
    unet = loaded(tiny_model, loras=[Lora(first, 0.5), Lora(second, -2.0)]).unet
    wanted = plain.get_submodule(LAYER).weight + 0.5 * more - 2 * other
    torch.testing.assert_close(unet.get_submodule(LAYER).weight, wanted)
    for name, weight in plain.state_dict().items():
        if not name.startswith(LAYER):
            assert torch.equal(unet.state_dict()[name], weight)
    assert not any("lora" in name for name in unet.state_dict())


@PEFT
def test_a_lora_is_as_in_the_stock_pipeline(tiny_model: Path, tmp_path: Path) -> None:
    path, _ = lora_for(tiny_model, tmp_path)
    plan = plan_for(tiny_model, "norm each phrases in_context")
    pipe = stock(tiny_model)
    pipe.load_lora_weights(path.parent, weight_name=path.name, adapter_name="ink")
    pipe.set_adapters(["ink"], [0.7])
    with plan_applied(plan, pipe):
        theirs = pipe(
            TARGET,
            latents=noise(),
            num_images_per_prompt=2,
            num_inference_steps=4,
            guidance_scale=5.0,
            height=64,
            width=64,
            output_type="latent",
        ).images
    mine = sampled(loaded(tiny_model, loras=[Lora(path, 0.7)]), plan, noise())
    torch.testing.assert_close(mine, theirs, atol=1e-3, rtol=1e-3)
    assert not torch.allclose(mine, sampled(loaded(tiny_model), plan, noise()), atol=1e-2)


def test_without_peft_the_cure_is_named(
    tiny_sd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = lora_for(tiny_sd, tmp_path)
    monkeypatch.setattr("grainspec_runtime.models.additions.find_spec", lambda _: None)
    with pytest.raises(GrainError, match="G501.*peft"):
        loaded(tiny_sd, loras=[Lora(path)])


@pytest.mark.parametrize("vectors", [1, 3])
def test_a_learnt_word_is_tokens_of_the_plan(
    tiny_model: Path, tmp_path: Path, vectors: int
) -> None:
    words = [Embedding(word_for(tiny_model, tmp_path, vectors), "<toy>")]
    facts = describe(str(tiny_model), Path(), embeddings=words)
    text = "a green <toy> and a bear"
    spans = facts.tokenize(text)
    place = (8, 13)
    assert text[slice(*place)] == "<toy>"
    assert spans[: vectors + 5] == [
        (0, 0),
        (0, 1),
        (2, 7),
        *[place] * vectors,
        (14, 17),
        (18, 19),
    ]
    assert len(spans) == facts.max_tokens == 48
    # without it, the word is taken to pieces
    assert place not in describe(str(tiny_model), Path()).tokenize(text)


@pytest.mark.parametrize("vectors", [1, 3])
def test_a_learnt_word_is_isolated_whole(tiny_model: Path, tmp_path: Path, vectors: int) -> None:
    words = [Embedding(word_for(tiny_model, tmp_path / "words", vectors), "<toy>")]
    spec = edit_of(tiny_model, tmp_path)
    plan = prepare(spec, tmp_path, embeddings=words).plan
    assert plan.edits[0].tokens == (tuple(range(2, 3 + vectors)),)
    checkpoint = loaded(tiny_model, embeddings=words)
    found = checkpoint.encode_target(plan).words
    alone = checkpoint.encode_prompt("green <toy>").words
    torch.testing.assert_close(found[:, 2 : 3 + vectors], alone[:, 1 : 2 + vectors])
    pipe = stock(tiny_model)
    (word,) = words
    teach_stock(pipe, word)
    theirs = pipe.encode_prompt(
        "green <toy>", device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
    )[0]
    torch.testing.assert_close(alone, theirs)
    with plan_applied(plan, pipe):  # the pipeline's tokenizer cuts it alike
        pipe(
            plan.target,
            num_images_per_prompt=2,
            num_inference_steps=2,
            height=64,
            width=128,
            output_type="latent",
        )


def teach_stock(pipe: Any, word: Embedding) -> None:
    """As diffusers' documentation has it."""
    from safetensors.torch import load_file

    tensors = load_file(word.path)
    for name, tokenizer, encoder in (
        ("clip_l", "tokenizer", "text_encoder"),
        ("clip_g", "tokenizer_2", "text_encoder_2"),
    ):
        if encoder in pipe.components:
            pipe.load_textual_inversion(
                tensors.get(name, next(iter(tensors.values()))),
                token=word.word,
                text_encoder=pipe.components[encoder],
                tokenizer=pipe.components[tokenizer],
            )


def edit_of(model: Path, base: Path) -> Any:
    if not (base / "clips").exists():
        shutil.copytree(EXAMPLES / "clips", base / "clips")
    return parse(edit_text(model))


def edit_text(model: Path) -> str:
    return (
        f'grain 1 video "clips/two_men.mp4" {{ frames 0..1 size 128x64 }} model "{model}" '
        'target "a green <toy> on grass" region r = box(0%, 0%, 50%, 100%) '
        'edit r -> "green <toy>" sampler ddim { steps 2 }'
    )


@PEFT
def test_the_inversion_is_that_of_the_additions(tiny_sd: Path, tmp_path: Path) -> None:
    path, _ = lora_for(tiny_sd, tmp_path)
    word = Embedding(word_for(tiny_sd, tmp_path), "<toy>")
    spec = edit_of(tiny_sd, tmp_path)

    def run(loras: Sequence[Lora], words: Sequence[Embedding] = (word,)) -> bool:
        editor = Editor(str(tiny_sd), device="cpu", loras=loras, embeddings=words)
        return editor.run(spec, base=tmp_path).inversion_cached

    assert [run([]), run([]), run([Lora(path)]), run([Lora(path)]), run([Lora(path, 0.5)])] == [
        False,
        True,
        False,
        True,
        False,
    ]
    assert run([Lora(shutil.copy(path, tmp_path / "copy.safetensors"))])  # told by content


@PEFT
def test_the_command_has_both_and_writes_them_down(
    grain: Grain, tiny_sd: Path, tmp_path: Path
) -> None:
    path, _ = lora_for(tiny_sd, tmp_path)
    word = word_for(tiny_sd, tmp_path)
    edit_of(tiny_sd, tmp_path)
    spec = tmp_path / "edit.grain"
    spec.write_text(edit_text(tiny_sd))
    planned = grain("plan", spec, "--embedding", word, "--format", "json")
    assert json.loads(planned.out)["edits"][0]["tokens"] == [[2, 3]]
    out = tmp_path / "out"
    options = ("--lora", f"{path}:0.5", "--embedding", f"<toy>={word}", "--device", "cpu")
    assert grain("run", spec, "-o", out, *options).code == 0
    found = json.loads((out / "run.json").read_text())["options"]
    (lora,), (taught,) = found["loras"], found["embeddings"]
    assert (lora["path"], lora["scale"], len(lora["sha256"])) == (str(path), 0.5, 64)
    assert (taught["path"], taught["word"]) == (str(word), "<toy>")


def test_files_that_cannot_be_used_are_told(tiny_model: Path, tmp_path: Path) -> None:
    def code(loras: Sequence[Lora] = (), embeddings: Sequence[Embedding] = ()) -> str:
        with pytest.raises(GrainError, match="G508") as raised:
            describe(str(tiny_model), Path(), embeddings=embeddings)
            from grainspec_runtime.models.additions import check_lora

            for lora in loras:
                check_lora(lora)
        return raised.value.diagnostics[0].message

    good = word_for(tiny_model, tmp_path)
    pickled = tmp_path / "ink.pt"
    pickled.write_bytes(b"anything")
    assert "is not a safetensors file" in code([Lora(pickled)])
    assert "is not a safetensors file" in code(embeddings=[Embedding(pickled)])
    assert "none.safetensors does not exist" in code([Lora(tmp_path / "none.safetensors")])
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(good.read_bytes()[:50])
    assert "cut.safetensors is not a safetensors file, or is incomplete" in code([Lora(cut)])
    cut.write_bytes(good.read_bytes()[:-1])
    assert code([Lora(cut)]).count("cannot be read: ") == 1
    assert "does not contain a LoRA" in code([Lora(good)])
    wide = tmp_path / "wide.safetensors"
    names = ("clip_l", "clip_g") if "xl" in tiny_model.name else ("<toy>",)
    save_file({name: torch.zeros(1, 999) for name in names}, wide)
    assert "is for another model" in code(embeddings=[Embedding(wide)])
    save_file({"a": torch.zeros(1, 16), "b": torch.zeros(1, 16)}, wide)
    assert "is not a textual inversion for this model" in code(embeddings=[Embedding(wide)])
    assert "already has the word “robot</w>”" in code(embeddings=[Embedding(good, "robot</w>")])
    assert "has spaces" in code(embeddings=[Embedding(good, "two words")])


@PEFT
def test_loras_of_other_models_are_told(tiny_sd: Path, tiny_sdxl: Path, tmp_path: Path) -> None:
    path, _ = lora_for(tiny_sd, tmp_path)
    with pytest.raises(GrainError, match="G508"):
        loaded(tiny_sdxl, loras=[Lora(path)])
    other = tmp_path / "other.safetensors"
    save_file(
        {
            "unet.none.lora_A.weight": torch.zeros(2, 4),
            "unet.none.lora_B.weight": torch.zeros(4, 2),
        },
        other,
    )
    with pytest.raises(GrainError, match="G508"):
        load_checkpoint(str(tiny_sd), Path(), LoadOptions(device="cpu", loras=[Lora(other)]))


def lora_file(path: Path, layers: dict[str, tuple[int, int]], style: str, rank: int = 2) -> Path:
    """A LoRA with these layers, ``(inputs, outputs)``, in the format of a trainer."""
    tensors = {}
    for name, (inputs, outputs) in layers.items():
        part, _, layer = name.partition(".")
        prefix = {"unet": "lora_unet_", "text_encoder": "lora_te_"}[part]
        kohya = prefix + layer.replace(".", "_")
        names = {
            "peft": (f"{name}.lora_A.weight", f"{name}.lora_B.weight"),
            "diffusers": (f"{name}.lora.down.weight", f"{name}.lora.up.weight"),
            "kohya": (f"{kohya}.lora_down.weight", f"{kohya}.lora_up.weight"),
        }[style]
        tensors[names[0]] = torch.ones(rank, inputs)
        tensors[names[1]] = torch.ones(outputs, rank)
        if style == "kohya":
            tensors[f"{kohya}.alpha"] = torch.tensor(float(rank))
    save_file(tensors, path)
    return path


UNET_LAYER, TEXT_LAYER = (
    f"unet.{LAYER}",
    "text_encoder.text_model.encoder.layers.0.self_attn.out_proj",
)
LAYERS = {UNET_LAYER: (16, 8), TEXT_LAYER: (16, 16)}


@PEFT
@pytest.mark.parametrize("style", ["peft", "diffusers", "kohya"])
def test_a_lora_that_fits_whole(tiny_sd: Path, tmp_path: Path, style: str) -> None:
    own = style == "diffusers"  # its own format names text encoders otherwise
    layers = {UNET_LAYER: LAYERS[UNET_LAYER]} if own else LAYERS
    path = lora_file(tmp_path / "ink.safetensors", layers, style)
    file = read_lora(path)
    assert (file.counts.total(), file.ranks) == (len(layers), (2,))
    checkpoint = loaded(tiny_sd, loras=[Lora(path)])
    assert checkpoint.findings == ()
    plain = loaded(tiny_sd)
    changed = checkpoint.unet.get_submodule(LAYER).weight - plain.unet.get_submodule(LAYER).weight
    torch.testing.assert_close(changed, torch.full_like(changed, 2.0))


@PEFT
@pytest.mark.parametrize("style", ["peft", "kohya"])
def test_a_lora_that_fits_in_part_says_how_much(
    tiny_sd: Path, tmp_path: Path, style: str, grain: Grain
) -> None:
    layers = {
        **LAYERS,
        UNET_LAYER.replace("blocks.1", "blocks.3"): (16, 16),  # no attention there
        TEXT_LAYER.replace("layers.0", "layers.5"): (16, 16),
        TEXT_LAYER.replace("layers.0", "layers.6"): (16, 16),
    }
    path = lora_file(tmp_path / "ink.safetensors", layers, style, rank=4)
    (finding,) = loaded(tiny_sd, loras=[Lora(path)]).findings
    assert (finding.code, finding.severity) == ("G526", "warning")
    assert "2 of its 5 modules (UNet 1 of 2, text encoder 1 of 3; rank 4)" in finding.message

    edit_of(tiny_sd, tmp_path)
    spec = tmp_path / "edit.grain"
    spec.write_text(edit_text(tiny_sd).replace("<toy>", "robot"))
    said = grain("run", spec, "-o", tmp_path / "out", "--lora", path, "--device", "cpu")
    assert said.code == 0
    assert said.err.count("G526") == 1
    warned = json.loads((tmp_path / "out" / "run.json").read_text())["warnings"]
    assert "G526" in json.dumps(warned)


@PEFT
@pytest.mark.parametrize("style", ["peft", "kohya"])
@pytest.mark.parametrize("part", ["unet", "text_encoder"])
def test_a_lora_of_which_nothing_fits(tiny_sd: Path, tmp_path: Path, style: str, part: str) -> None:
    layer = {"unet": UNET_LAYER, "text_encoder": TEXT_LAYER}[part].replace("s.1.", "s.9.")
    layer = layer.replace("layers.0", "layers.9")
    path = lora_file(tmp_path / "ink.safetensors", {layer: (16, 8)}, style)
    with pytest.raises(GrainError, match="G508"):
        loaded(tiny_sd, loras=[Lora(path)])


@pytest.mark.parametrize(
    ("width", "kind"), [(768, r"768 \(Stable Diffusion 1.x\)"), (2048, r"\(Stable Diffusion XL\)")]
)
@pytest.mark.parametrize("style", ["peft", "kohya"])
def test_the_wrong_base_is_told_before_loading(
    tiny_sd: Path, tmp_path: Path, width: int, kind: str, style: str
) -> None:
    path = lora_file(tmp_path / "ink.safetensors", {UNET_LAYER: (width, 8)}, style)
    spec = edit_of(tiny_sd, tmp_path)
    with pytest.raises(GrainError, match=f"G508.*{kind}.*but the model's have 16"):
        prepare(spec, tmp_path, loras=[Lora(path)])


def test_a_lora_of_a_transformer_is_told(tiny_sd: Path, tmp_path: Path) -> None:
    path = tmp_path / "flux.safetensors"
    name = "transformer.single_transformer_blocks.0.attn.to_k"
    save_file({f"{name}.lora_A.weight": torch.ones(2, 4)}, path)
    with pytest.raises(GrainError, match=r"G508.*diffusion transformer"):
        prepare(edit_of(tiny_sd, tmp_path), tmp_path, loras=[Lora(path)])


@pytest.mark.parametrize(
    ("name", "metadata", "word"),
    [
        ("lcm-lora-sdv1-5", {}, "lcm"),
        ("ink", {"ss_output_name": "sdxl_lightning_4step_lora"}, "lightning"),
        ("ink", {"modelspec.title": "Hyper-SD15 8 steps"}, "Hyper"),
    ],
)
def test_a_lora_that_distils_is_warned_of(
    tiny_sd: Path, tmp_path: Path, name: str, metadata: dict[str, str], word: str
) -> None:
    path = tmp_path / f"{name}.safetensors"
    save_file({f"{UNET_LAYER}.lora_A.weight": torch.ones(2, 16)}, path, metadata=metadata)
    spec = parse(edit_text(tiny_sd).replace("<toy>", "robot"))
    edit_of(tiny_sd, tmp_path)
    warnings = prepare(spec, tmp_path, loras=[Lora(path)]).warnings
    (finding,) = [finding for finding in warnings if finding.code == "G525"]
    assert f"its name contains `{word}" in finding.message
