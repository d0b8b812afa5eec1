"""The keyword arguments of the builder's methods and of ``masks``.

Generated from the declarations in :mod:`grainspec.model` by ``python -m grainspec.generate``.
"""
# fmt: off

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Literal, TypedDict


class TrackerSettings(TypedDict, total=False):
    """The settings of ``tracker``."""

    engine: Literal["colour", "sam2", "edgetam", "sam3"]
    """`colour` (by colour, texture and motion; needs no weights), or a model: `sam2` (SAM 2.1),
    `edgetam` (EdgeTAM) or `sam3` (SAM 3)."""
    weights: str | None
    """A folder or hub id of the engine's weights; `colour` has none."""
    confidence: float
    """The confidence below which a tracked frame is doubtful: `grain check` warns of it, `grain
    show` marks it."""


class FinderSettings(TypedDict, total=False):
    """The settings of ``finder``."""

    engine: Literal["grounding_dino", "owlv2", "sam3"]
    """The model: `grounding_dino` (GroundingDINO), `owlv2` (OWLv2) or `sam3` (SAM 3)."""
    weights: str | None
    """A folder or hub id of the engine's weights."""


class AttentionSettings(TypedDict, total=False):
    """The settings of ``attention``."""

    profile: Literal[
        "auto",
        "stable_diffusion",
        "videograin",
        "animatediff",
        "demo",
        "demo_video",
        "flow_matching",
        "flowanchor",
    ]
    """The defaults of all other settings: `stable_diffusion` (the equations and constants of
    VideoGrain), `videograin` (what VideoGrain's code does, for comparison), `animatediff`
    (`stable_diffusion` within each frame, for models with motion modules), `demo` (tuned on the
    demo model), `demo_video` (tuned on the demo's video model), `flow_matching` (for
    flow-matching models, such as Wan), `flowanchor` (the attention of FlowAnchor, for
    comparison), or `auto`, the default: `demo` or `demo_video` for the demo models,
    `flow_matching` for flow-matching models, `animatediff` for models with motion modules,
    `stable_diffusion` for all others."""
    cross: float
    """Strength of cross-attention modulation (between pixels and words)."""
    self: float
    """Strength of self-attention modulation (between pixels and pixels)."""
    frames: Literal["each", "first_last", "sparse_causal", "full"]
    """Which frames a frame attends to: `full` (all), `each` (only itself), `first_last`, or
    `sparse_causal` (the first and the previous one)."""
    norm: Literal["auto", "each", "clip"]
    """Where group norms take their statistics from: `each` (each frame alone) or `clip` (the
    whole clip, which reduces flicker and is what VideoGrain's code does); `auto` is `each` for
    the demo model and `clip` for all others."""
    until: float
    """Share of the sampling steps, from the first, that are modulated. With 30% of 50 steps
    these are the first 15. Halves are rounded up, and any share above 0% is at least one step.
    Steps that `flow_edit` skips do not count."""
    until_timestep: float
    """Diffusion timestep, from 0 to T (usually 1000), below which nothing is modulated,
    regardless of `until`; for schedulers with unevenly spaced steps."""
    decay: float
    """Exponent p of the schedule: the strength is (t / T)^p."""
    timestep_offset: int
    """What is subtracted from the timestep t in (t / T)^p; VideoGrain's code subtracts 1."""
    levels: Sequence[int] | Literal["all"]
    """Which levels of the network are modulated, 0 being the finest."""
    phrases: Literal["isolated", "in_context"]
    """Whether an edit's words are encoded by themselves (`isolated`) or within the prompt
    (`in_context`)."""
    unconditional: Literal["negative_prompt", "empty_prompt"]
    """Which prompt cross-attention reads in the unconditional pass of guidance: the
    `negative_prompt`, or the `empty_prompt`, as in VideoGrain's code, in which only ControlNets
    read the negative prompt, and the target prompt without isolated phrases."""
    unbound: float
    """How strongly edited regions are pushed away from the prompt's tokens that no edit binds
    (articles, words about the rest, the start and end tokens), as a share of the edit's `repel`:
    1 is as strong as for other edits' words, as in the paper's code; 0 disables it. Lower values
    fit the edit better to its surroundings, but let more of them leak into it."""
    outside: Literal["unmodulated", "repelled"]
    """What happens to latent tokens of no region: nothing (`unmodulated`), or they are
    `repelled` by all latent tokens and words, as if their region had no area and no words, which
    flattens their attention; `free` regions, too, are repelled by all words then. So it is in
    VideoGrain's code."""
    self_area: Literal["share", "squared"]
    """By how much a region's area weakens self-attention modulation: with the share A of all
    keys that share a region with a latent token, by the factor 1 − A (`share`), or, with `frames
    full`, by 1 − A / F for F frames (`squared`, since VideoGrain's code divides the number of
    keys by F²)."""
    overlap: Literal["union", "sum"]
    """How overlapping regions count in these areas: latent tokens that share several regions
    count once (`union`), or once for each of them (`sum`, as in VideoGrain's code; an area of
    more than the whole is the whole)."""
    resize: Literal["nearest", "corner", "area", "any"]
    """Which latent tokens belong to a region: those whose centre is in it (`nearest`), those
    whose top left corner is (`corner`, as in VideoGrain's code), those with at least the share
    `threshold` of their pixels in it (`area`), or those with any pixel in it (`any`, for parts
    so small that they vanish at coarse levels)."""
    threshold: float
    """The share of a token's pixels that `resize area` requires."""
    layers: Sequence[int] | Literal["all"]
    """For transformers: which of their blocks are modulated, 0 being the first."""
    columns: float
    """For video transformers: how strongly the scores of an edit's words are also pulled to
    their extremes over all latent tokens (over the columns of cross-attention), up where the
    edit is and down elsewhere, as in FlowAnchor (2604.22586). The strength is `columns` times
    the edit's `weight` times the schedule (t / T)^`decay`."""


class FlowSettings(TypedDict, total=False):
    """The settings of ``flow``."""

    levels: Sequence[int] | Literal["all"]
    """Levels of the network with flow attention, 0 being the finest."""
    method: Literal["dis", "raft"]
    """How the source clip's optical flow is estimated: `dis` (OpenCV), or `raft` (torchvision,
    which must be installed)."""
    weights: str | PurePath | None
    """For `raft`: a safetensors file of torchvision's RAFT, or a folder with one."""


class InjectSettings(TypedDict, total=False):
    """The settings of ``inject``."""

    features: float
    """Share of the sampling steps, from the first, in which the decoder's residual blocks output
    the source clip's features; rounded like `until` of `attention`."""
    self: float
    """Share of the sampling steps, from the first, in which the decoder's self-attention uses
    the queries and keys of the source clip."""
    layers: Literal["plug_and_play", "videograin"]
    """Where in the decoder features are replaced, unless levels are given. `plug_and_play`: in
    the second residual block of the coarsest level with attention, and in all self-attention
    from that block on. `videograin`, as in VideoGrain's code: in the first two residual blocks
    of that level and the first one of the next, and in the same self-attention, but of the
    finest level only in the first."""
    feature_levels: Sequence[int] | Literal["all"] | None
    """Levels of the decoder, 0 being the finest, in which the features of all residual blocks
    are replaced."""
    self_levels: Sequence[int] | Literal["all"] | None
    """Levels of the decoder in which all self-attention is replaced."""


class FreeuSettings(TypedDict, total=False):
    """The settings of ``freeu``."""

    b1: float
    """Factor of the backbone's features in the decoder's coarsest level; 1 leaves them."""
    b2: float
    """Factor of the backbone's features in the level after it."""
    s1: float
    """Factor of the skip connection's low frequencies in the decoder's coarsest level; 1 leaves
    them."""
    s2: float
    """Factor of the skip connection's low frequencies in the level after it."""


class ContextSettings(TypedDict, total=False):
    """The settings of ``context``."""

    frames: int
    """How many frames the model processes at once, key frames included."""
    overlap: int
    """The least number of frames that a window shares with the next one; `overlap` and `keys`
    together are less than `frames`."""
    keys: int
    """How many key frames, evenly spaced from the first to the last frame of the clip, are added
    to every window, so that distant frames look alike; a single one is the first frame."""


class SamplerSettings(TypedDict, total=False):
    """The settings of ``sampler``."""

    method: Literal["ddim", "dpmpp", "unipc", "deis"]
    """DDIM, or one of the faster solvers of the same equation: DPM-Solver++ (2M), UniPC, DEIS.
    For flow-matching models DDIM is Euler's step, and `flow_edit` takes no other."""
    steps: int
    """Number of sampling steps, and of inversion steps."""
    guidance: float
    """Scale of classifier-free guidance; 1 disables it."""
    eta: float
    """For `ddim`: the share of each step's noise that is replaced by new noise, from 0 (none) to
    1 (all of it)."""
    seed: int
    """Seed of the noise that is drawn: by `eta` above 0, and by `flow_edit`."""
    process: Literal["invert_and_sample", "flow_edit"] | None
    """How the edit is made: `invert_and_sample` (invert the clip to noise, then sample from it),
    or `flow_edit` (FlowEdit, 2412.08629: move the clip along the difference between the
    predictions for the target and the source prompt, without inversion; for flow-matching
    models)."""
    smooth_from: float
    """For `invert_and_sample`: share of the steps after which the clip is smoothed, in two
    steps: every second frame becomes the middle of its neighbours along optical flow, as in
    ControlVideo (2305.13077). Flickers less, may undo parts of an edit; 100% disables it."""
    skip: float
    """For `flow_edit`: share of the steps, from the noisiest, that are skipped, rounded like
    `until` of `attention`; a higher share keeps more of the source."""
    source_guidance: float
    """For `flow_edit`: scale of classifier-free guidance of the source prompt; `guidance` is
    that of the target prompt."""
    average: int
    """For `flow_edit`: number of noise samples in each step, over which the difference of
    predictions is averaged; each costs as much as the first."""
    amplify: float
    """For `flow_edit`: how much the difference of predictions is amplified where it is largest,
    more so in longer clips: γ of FlowAnchor (2604.22586), which uses 1; 0 disables it. A single
    latent frame is not amplified."""
    low_noise_guidance: float | None
    """For models of two experts, such as Wan 2.2 A14B: scale of guidance of the second expert,
    which denoises the less noisy steps."""


class MethodSettings(TypedDict, total=False):
    """The settings of ``method``."""

    regions: Literal["off", "blend", "attention", "both"]
    """What the edited regions are used for: nothing (`off`), as all methods but `ground_a_video`
    were published; to restore the source outside them, as `blend` says (`blend`); in the
    method's attention, which is modulated as `attention` says where the method has no masks of
    its own (`attention`); or `both`."""
    cross_steps: float | None
    """For `fatezero`, `video_p2p`: share of the sampling steps, from the first, in which
    attention to the words that both prompts have is the source clip's; rounded like `until` of
    `attention`."""
    self_steps: float | None
    """For `fatezero`, `video_p2p`: share of the sampling steps, from the first, in which
    self-attention is the source clip's; with `fatezero`, only outside what is edited."""
    words: Literal["refine", "replace"] | None
    """For `fatezero`, `video_p2p`: where attention to words that replace others comes from in
    these steps: from the edit itself (`refine`), or from the source clip's attention to the
    words that they replace (`replace`)."""
    reweight: float
    """For `fatezero`, `video_p2p`: what attention to the words of an edit is multiplied by,
    together with the edit's `weight`."""
    mask_threshold: float
    """For `fatezero`, `video_p2p`: where the words of edits are attended to: where attention to
    them is more than this share of its maximum on the frame. With 100% that is nowhere."""
    local_blend: float | None
    """For `fatezero`, `video_p2p`: share of the sampling steps after which the source is
    restored where the words of edits are not attended to, or with `regions attention` outside
    the edited regions; `fatezero` ends it after 80% of the steps. 100% disables it."""
    still: float
    """For `ground_a_video`: optical flow below which a place is still and has the noise of the
    frame before, as a share of the largest between the two frames; 0% disables it."""
    null_updates: int
    """For `ground_a_video`: updates of the unconditional embedding in each step and frame, by
    null-text optimisation; 0 disables it."""
    grounded: float
    """For `ground_a_video`: share of the steps, from the first, in which the edits are grounded
    by the boxes of their regions."""
    motion: float
    """For `dmt`: share of the steps, from the first, whose latents are optimised to move as the
    source does; 0% disables it."""
    updates: int
    """For `dmt`: updates of the latents in each optimised step."""
    first_rate: float
    """For `dmt`: learning rate in the first optimised step."""
    last_rate: float
    """For `dmt`: learning rate in the last optimised step, reached evenly."""
    low_frequencies: int
    """For `dmt`: factor of the resizing that tells low frequencies, which the first latents have
    of the inversion, from high ones, which are new noise; 1 keeps all."""
    restart: float
    """For `dmt`: share of the steps, from the first, that are taken twice, the second time from
    new noise; the last never is."""
    interval: int | None
    """For `tokenflow`, `controlvideo`: one key frame in so many frames. `tokenflow` draws them
    anew at every step; `controlvideo` has them in clips with more frames than those of
    `context`, from the first frame on."""
    falloff: Literal["sigmoid", "linear"]
    """For `tokenflow`: how the tokens of the key frames before and after a frame are weighed: by
    the `sigmoid` of the later one's nearness, as in the paper, in which it weighs at least a
    half, or by the nearness itself (`linear`)."""
    smooth_from: float
    """For `controlvideo`: share of the sampling steps after which the clip is smoothed, in two
    steps: every second frame becomes the middle of its neighbours. 60% of 50 steps are the steps
    30 and 31, as in the paper; 100% disables it."""
    middle: Literal["flow", "mean"]
    """For `controlvideo`: how the middle of two frames is made: along the optical `flow` between
    them (DIS of OpenCV), or as their `mean`."""
    reinforce: float
    """For `dfvedit`: factor of the embeddings of the edits' words in the target prompt
    (Embedding Reinforcement); 1 disables it."""
    word_mask: float
    """For `dfvedit`: where cross-attention to the edits' words, scaled to its range over the
    clip, is below this share, nothing changes (Implicit Cross Attention guidance); 0% disables
    it. If `regions` blends, the edited regions are used instead."""


class ControlSettings(TypedDict, total=False):
    """The settings of ``control``."""

    net: str | None
    """A ControlNet's folder or hub id."""
    annotator: str | None
    """A folder or hub id of the detector: for `depth` and `zoe` a depth model of transformers,
    for the others weights of controlnet_aux."""
    keypoints: Literal["body", "hands", "face", "full"]
    """For `pose`: which joints of people are detected: those of the body, the `hands` or the
    `face` as well, or all of them (`full`)."""
    depth_values: Literal["auto", "inverse", "metric"]
    """For `depth` and `zoe`: what the annotator predicts: `inverse` (large values are near),
    `metric` (distances, large values are far), or `auto`: what its configuration says. Near is
    bright in the control images either way."""
    clip: str | PurePath | None
    """A video or folder of ready-made control images, one for each source frame; they are used
    instead of detection. For `inpaint`: masks, white where the clip is edited, instead of the
    edited regions."""
    scale: float
    """Scale of the output of the ControlNet, or of VACE's blocks."""
    start: float
    """Share of the sampling steps after which the control begins."""
    until: float
    """Share of the sampling steps after which the control ends."""


class BlendSettings(TypedDict, total=False):
    """The settings of ``blend``."""

    space: Literal["latents", "pixels", "both", "none"]
    """How the source is restored outside the edited regions: its `latents` after every step; its
    `pixels` at the end, which are then bit-identical to the source; `both`; or `none`."""
    feather: str | None
    """Distance over which the edit fades out around the edited regions, in source pixels or
    percent of the frame's shorter side; a hard edge by default."""
    edges: Literal["hard", "soft"]
    """How pixels at the edges of tracked regions are blended: `hard`, or `soft`, by how much of
    each pixel the tracker's model takes for the object, in place of `feather`. Attention and
    latents are always hard."""
    start: float
    """Share of the sampling steps before the source's latents are first restored outside the
    edited regions: with 25% of 40 steps, the first 10 steps are not blended."""


class MaskOptions(TypedDict, total=False):
    """The settings of ``masks``."""

    invert: bool
    """Select the pixels that are black, or that do not match the other options."""
    threshold: float | None
    """For images, videos and arrays: the share of full white from which a pixel is in the
    region; 50% is 128 of 255. With it, masks may have any shades of grey."""
    index: int | None
    """Select the pixels with this value: the index of a palette (as in DAVIS), a grey value or
    an array's number. In labels, select the object with this track, instance or object id; in
    YouTube-VIS, with this `id`; where no object has an id, the category."""
    colour: str | None
    """For images and videos: select the pixels with exactly this colour, such as `"#800000"`."""
    label: str | None
    """For labels: select all objects of this category, by its name, or its number if it has no
    name; with `index`, the one with this number."""
    alpha: bool
    """For images: select the pixels that are opaque; their colours do not matter."""
    array: str | None
    """The name of the array in an `.npz` file that has several."""
    first: int
    """The number of the mask of source frame 0; may be negative."""
    in_order: bool
    """Match masks to source frames by order, not by number or time: the first mask belongs to
    frame 0."""
    missing: Literal["refuse", "empty"]
    """What holds for a frame without a mask: it is an error (`refuse`), or the region is `empty`
    there."""
    scaled: bool
    """Scale masks of another size, but of the same aspect ratio, to the source frame's size,
    instead of reporting an error."""
    resize: Literal["nearest", "area", "any"]
    """Which pixels of a scaled mask are selected (masks are scaled by `scaled`, or with the
    clip): those whose centre is in the region (`nearest`), those with at least half of their
    area in it (`area`), or those that touch it (`any`, for thin objects)."""
