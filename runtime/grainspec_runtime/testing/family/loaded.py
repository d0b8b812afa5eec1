"""What a loaded checkpoint promises, apart from its attention."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from grainspec.diagnostics import GrainError
from grainspec.model.spec import Inject, Sampler
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.testing.family.corners import (
    CORNERS,
    MIRRORED,
    corner_mask,
    means_of_corners,
)
from grainspec_runtime.testing.family.registry import family_property, require
from grainspec_runtime.testing.family.subject import TARGET, Subject, unmodulated

Deviations = npt.NDArray[np.floating]

CLOSE = 1e-5
"""How far two computations of the same thing in float32 may be apart."""


@family_property("loaded")
def loaded(subject: Subject) -> None:
    """A model is loaded as it was asked for, and frozen."""
    name, checkpoint = "loaded", subject.checkpoint
    for what, is_, wanted in (
        ("name", checkpoint.name, subject.model),
        ("folder", checkpoint.folder, subject.located.folder),
        ("device", checkpoint.device, torch.device("cpu")),
        ("dtype", checkpoint.dtype, torch.float32),
        ("load_controls of no controls", checkpoint.load_controls((), (), Path()), None),
    ):
        require(is_ == wanted, name, f"`{what}` is {is_}, not {wanted}")
    free = [key for key, weight in checkpoint.denoiser.named_parameters() if weight.requires_grad]
    require(not free, name, f"the weight {free[:1]} is not frozen")
    half = subject.load(LoadOptions(device="cpu", dtype=torch.bfloat16)).dtype
    require(half == torch.bfloat16, name, f"asked for bfloat16, `dtype` is {half}")


@family_property("latents")
def latents(subject: Subject) -> None:
    """Clips become latents of the size that the compiler knows, and come back."""
    name, backbone, clip = "latents", subject.backbone, subject.clip
    encoded = subject.checkpoint.encode_clip(clip)
    require(encoded.ndim == 4, name, f"latents have {encoded.ndim} dimensions, not [F, c, h, w]")
    frames, size = subject.latent_frames, backbone.latent_size(subject.width, subject.height)
    require(
        len(encoded) == frames, name, f"there are {len(encoded)} latent frames, described {frames}"
    )
    require(
        tuple(encoded.shape[-2:]) == size,
        name,
        f"latents have {tuple(encoded.shape[-2:])} rows and columns, described {size}",
    )
    require(encoded.is_contiguous(), name, "latents are not contiguous")
    again = subject.checkpoint.encode_clip(clip)
    require(torch.equal(encoded, again), name, "the same clip has other latents the next time")
    decoded = subject.checkpoint.decode_clip(encoded)
    require(
        decoded.shape == clip.shape and decoded.dtype == np.uint8,
        name,
        f"decoded frames are {decoded.dtype} {decoded.shape}, the clip uint8 {clip.shape}",
    )
    _check_places(subject, encoded, decoded)


def _check_places(subject: Subject, encoded: Tensor, decoded: Frames) -> None:
    """Change a corner of a frame, or a latent frame: nothing else may change more.

    A causal VAE passes changes on to later frames, and to no earlier one.
    """
    name, checkpoint = "latents", subject.checkpoint
    causal = subject.backbone.frames_per_latent > 1
    groups = subject.backbone.frame_groups(subject.frames)
    unit = subject.backbone.pixels_per_latent
    random = np.random.default_rng(subject.seed)
    changes = dict.fromkeys(MIRRORED, 0.0)
    for latent, frames in enumerate(groups):
        for corner in CORNERS:
            mask = corner_mask(corner, encoded.shape[-2:]).numpy()
            pixels_HW1 = mask.repeat(unit, 0).repeat(unit, 1)[..., None]
            clip = subject.clip.astype(float)
            for frame in frames:
                clip[frame] += pixels_HW1 * random.integers(-32, 33, clip.shape[1:])
            changed = checkpoint.encode_clip(clip.clip(0, 255).astype(np.uint8))
            away_Fhw = (changed - encoded).norm(dim=1)
            most = _most_changed(away_Fhw.flatten(1).mean(1).numpy(), latent, causal=causal)
            require(
                most == latent,
                name,
                f"a frame of the clip was changed, of latent frame {latent}, but most changes in "
                f"latent frame {most}",
            )
            means = means_of_corners(away_Fhw[latent])
            for way, other in MIRRORED.items():
                changes[way] += means[other[corner]] / sum(means.values())
        moved = encoded.clone()
        moved[latent] += 3 * encoded.std()
        away_FHW = np.abs(checkpoint.decode_clip(moved).astype(float) - decoded).mean(-1)
        by_frame = np.array([float(away_FHW[list(group)].mean()) for group in groups])
        most = _most_changed(by_frame, latent, causal=causal)
        require(
            most == latent,
            name,
            f"latent frame {latent} was changed, but pixels change most in the frames of latent "
            f"frame {most}",
        )
    found = max(changes, key=changes.__getitem__)
    require(found == "as they are", name, f"latents are {found}: pixels change at other places")


def _most_changed(away_F: Deviations, changed: int, *, causal: bool) -> int:
    """Return the frame with the largest deviation.

    In a causal VAE, later frames than the ``changed`` one do not count, if that one changes.
    """
    return int(np.argmax(away_F[: changed + 1] if causal and away_F[changed] > 0 else away_F))


@family_property("predictions")
def predictions(subject: Subject) -> None:
    """Predictions are of the latents' shape, and each pass is what it is by itself."""
    name, frames = "predictions", subject.latent_frames
    attention = subject.attention(None, unmodulated(subject.plan()))
    require(
        attention.frames == frames,
        name,
        f"the attention over {frames} frames has `frames` {attention.frames}",
    )
    both = subject.prediction(attention, ("", TARGET))
    wanted = (2 * frames, *subject.latents.shape[1:])
    require(both.shape == wanted, name, f"predictions are {[*both.shape]}, not {[*wanted]}")
    require(both.dtype == torch.float32, name, f"predictions are {both.dtype}, not float32")
    require(both.isfinite().all(), name, "predictions are NaN or infinite")
    for index, prompt in enumerate(("", TARGET)):
        alone = subject.prediction(attention, (prompt,))
        away = (both[index * frames : (index + 1) * frames] - alone).abs().max()
        require(
            away <= 10 * CLOSE,
            name,
            f"pass {index} of two, with the prompt “{prompt}”, is up to {away:.2g} away from its "
            "prediction by itself: passes or frames of inputs are in another order",
        )


@family_property("schedule")
def schedule(subject: Subject) -> None:
    """Timesteps are those that the compiler knows, and noise falls from one to the next."""
    name, known = "schedule", subject.checkpoint.schedule
    require(known.methods, name, "there is no sampling method")
    x = torch.zeros(1)
    for method in known.methods:
        solver = known.solver(Sampler(method=method, steps=5), subject.checkpoint.device)
        at, described = solver.timesteps.tolist(), subject.backbone.timesteps(5, method)
        require(
            at == described, name, f"5 steps of `{method}` are at {at}, but described {described}"
        )
        rates = known.rates(solver, x)
        require(
            len(rates) == len(at) + 1,
            name,
            f"there are rates for {len(rates)} places of {len(at)} steps and the clean latents",
        )
        for more, less in pairwise(rates):
            require(
                less.signal >= more.signal and less.noise <= more.noise,
                name,
                f"noise does not grow with the timestep: {less} before {more}",
            )


@family_property("facts")
def facts(subject: Subject) -> None:
    """What changes an unmodulated pass is told as JSON, and nothing else is."""
    settings = subject.plan().attention
    told = subject.checkpoint.pass_facts(settings)
    require(json.loads(json.dumps(told)) == told, "facts", f"{told} does not come back from JSON")
    weaker = subject.checkpoint.pass_facts(settings.replaced({}, cross=0.1))
    require(weaker == told, "facts", "`pass_facts` changes with `cross`, which modulates only")
    if subject.backbone.layer_count is not None:
        return  # transformers attend to the whole clip: no setting changes an unmodulated pass
    one, all_ = (
        subject.checkpoint.pass_facts(settings.replaced({}, frames=scope))
        for scope in ("each", "full")
    )
    require(one != all_, "facts", "`pass_facts` is the same for `frames each` and `frames full`")


@family_property("memory")
def memory(subject: Subject) -> None:
    """Memory is estimated: weights, and what grows with passes."""
    name, estimate = "memory", subject.checkpoint.memory
    weights, denoiser = estimate.weights(), estimate.denoiser_weights()
    require(weights["vae"] > 0, name, "the VAE's weights are 0 bytes")
    whole = sum(weights.values())
    require(0 < denoiser < whole, name, f"the denoiser has {denoiser} of {whole} bytes")
    size = {"height": subject.height, "width": subject.width}
    one, two = (estimate.denoiser_frame(passes=passes, **size) for passes in (1, 2))
    # of transformers, passes run one at a time
    grows = one <= two if subject.backbone.layer_count is not None else one < two
    require(one > 0 and grows, name, f"one pass takes {one} bytes, two take {two}")
    injected = estimate.injected_frame(Inject(), **size)
    if _refuses_injection(subject):
        require(injected == 0, name, f"`injected_frame` is {injected}, but nothing is injected")
        injected = 1
    for what, number in (
        ("vae_frame", estimate.vae_frame(**size)),
        ("injected_frame", injected),
        ("vae_batch", estimate.vae_batch),
        ("vae_tile", estimate.vae_tile),
        ("pixels_per_latent", estimate.pixels_per_latent),
    ):
        require(number >= 1, name, f"`{what}` is {number}")


@family_property("features")
def features(subject: Subject) -> None:
    """Features of the source replace those of another clip, and nothing is left of them.

    A family that does not inject refuses it, before loading, too.
    """
    name, source = "features", subject.latents
    if _refuses_injection(subject):
        spec = subject.spec().replaced({}, inject=Inject())
        try:
            subject.family.check(spec, Path(), subject.located)
        except GrainError:
            return
        require(False, name, "`check` accepts `inject`, which `source_features` refuses")
    other = torch.randn(source.shape, generator=torch.Generator().manual_seed(subject.seed))
    attention = subject.attention(None, unmodulated(subject.plan()))
    kept = subject.checkpoint.source_features(Inject(features=1, self=1))
    kinds = {"residual": True, "attention": True}
    alone = subject.prediction(attention, (TARGET,), latents=other)
    with kept.installed():
        with kept.storing(**kinds):
            stored = subject.prediction(attention, (TARGET,))
        with kept.replacing(**kinds):
            given = subject.prediction(attention, (TARGET,))
            changed = subject.prediction(attention, (TARGET,), latents=other)
        kept.clear()
        cleared = subject.prediction(attention, (TARGET,), latents=other)
        require(torch.equal(cleared, alone), name, "features act outside `replacing`")
    away = (given - stored).abs().max()
    require(away <= 2 * CLOSE, name, f"with its own features a clip is {away:.2g} away")
    moved = (changed - alone).abs().max()
    require(moved > 1e-4, name, "the source's features do not change another clip's prediction")
    after = subject.prediction(attention, (TARGET,), latents=other)
    require(torch.equal(after, alone), name, "features are not taken out at the end")


def _refuses_injection(subject: Subject) -> bool:
    """Return whether the model refuses to inject features, by G504."""
    try:
        subject.checkpoint.source_features(Inject())
    except GrainError as error:
        return error.diagnostics[0].code == "G504"
    return False
