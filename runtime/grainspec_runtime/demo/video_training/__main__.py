"""Train the demo video model from scratch: VAE, transformer and text encoder, phrases.

    python -m grainspec_runtime.demo.video_training --out video-model --compile

Each stage writes its result and is skipped if the result exists; VAE and transformer also resume
from their last checkpoint. The result is a stock WanPipeline in diffusers' format, float16
safetensors, that ``from_pretrained`` loads.

On several GPUs of one machine:

    torchrun --nproc-per-node 4 -m grainspec_runtime.demo.video_training --out video-model --compile
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from grainspec_runtime.demo.training.phrases import tune_phrases
from grainspec_runtime.demo.video_training.flow import train_flow
from grainspec_runtime.demo.video_training.footage import Footage, Library
from grainspec_runtime.demo.video_training.latents import measure_scale
from grainspec_runtime.demo.video_training.loop import Stopped
from grainspec_runtime.demo.video_training.options import options
from grainspec_runtime.demo.video_training.quality import reconstruction
from grainspec_runtime.demo.video_training.run import Run
from grainspec_runtime.demo.video_training.save import save_pipeline, save_vae
from grainspec_runtime.demo.video_training.sheets import save_reconstructions, save_samples
from grainspec_runtime.demo.video_training.tokenizer import build_tokenizer
from grainspec_runtime.demo.video_training.vae import train_clips, train_frames
from grainspec_runtime.demo.video_training.words import encode_text, ids_of


def main(arguments: Sequence[str] | None = None) -> None:
    """Run every stage whose result does not exist yet."""
    run = Run(options(__doc__ or "", arguments))
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    if (run.out / "model_index.json").exists():
        run.log("saved", folder=str(run.out))
        return
    try:
        _train(run, Library(run))
    except Stopped:
        run.log("stopped")


def _train(run: Run, library: Library) -> None:
    until = run.options.until
    if not (run.out / "vae" / "config.json").exists():
        vae = train_frames(run, library)
        if until == "frames":
            return
        train_clips(run, library, vae)
        if run.is_first:
            measure_scale(run, vae, library.clips)
            save_vae(run, vae)
        run.wait()
    vae = AutoencoderKLWan.from_pretrained(run.out / "vae").to(run.device).eval()
    vae.requires_grad_(False)
    held = library.held
    if run.is_first:
        _judge_vae(run, held, vae)
    if until == "vae":
        return
    tokenizer = build_tokenizer()
    model = train_flow(run, library, vae, tokenizer)
    if not run.is_first or until == "flow":
        return

    def embed(encoder: torch.nn.Module, texts: list[str]) -> Tensor:
        return encode_text(encoder, ids_of(texts, tokenizer).to(run.device))[0]

    tune_phrases(run, model.text_encoder, tokenizer, embed, first=0)
    texts = [next(filter(None, texts), "") for texts in held.captions[:6]]
    ids = ids_of([*texts, ""], tokenizer).to(run.device)
    save_samples(run, model, vae, ids[:-1], ids[-1:])
    save_pipeline(run, model, tokenizer)


def _judge_vae(run: Run, held: Footage, vae: AutoencoderKLWan) -> None:
    """Log how well the saved VAE reconstructs all held-out clips, by its stock methods."""

    def round_trip(clips: Tensor) -> Tensor:
        decoded: Tensor = vae.decode(vae.encode(clips).latent_dist.mean).sample
        return decoded

    measured = reconstruction(round_trip, held, len(held))
    run.log("vae", **{f"held_out_{name}": value for name, value in measured.items()})
    save_reconstructions(run, vae, held)


if __name__ == "__main__":
    main()
