"""The statement `sampler`: how the edited latents are sampled, and by which process."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from grainspec.model.declaration import HEAD, InText
from grainspec.model.nodes import Node
from grainspec.model.settings.values import Guidance, Percent, Share

SamplerMethod = Literal["ddim", "dpmpp", "unipc", "deis"]
ProcessName = Literal["invert_and_sample", "flow_edit"]
Steps = Annotated[int, Field(ge=1, le=1000)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
OptionalProcess = Annotated[
    ProcessName | None,
    InText(absent="`flow_edit` for flow-matching models, `invert_and_sample` for all others"),
]

OptionalGuidance = Annotated[Guidance | None, InText(absent="`guidance`")]
NoiseCount = Annotated[int, Field(ge=1, le=64)]
Amplification = Annotated[float, Field(ge=0, le=10)]


class Sampler(Node):
    """How the edited latents are sampled."""

    method: Annotated[SamplerMethod, HEAD] = Field(
        default="ddim",
        description="DDIM, or one of the faster solvers of the same equation: DPM-Solver++ (2M), "
        "UniPC, DEIS. For flow-matching models DDIM is Euler's step, and `flow_edit` takes no "
        "other.",
    )
    steps: Steps = Field(
        default=50, description="Number of sampling steps, and of inversion steps."
    )
    guidance: Guidance = Field(
        default=7.5, description="Scale of classifier-free guidance; 1 disables it."
    )
    eta: Share = Field(
        default=0.0,
        description="For `ddim`: the share of each step's noise that is replaced by new noise, "
        "from 0 (none) to 1 (all of it).",
    )
    seed: Seed = Field(
        default=0,
        description="Seed of the noise that is drawn: by `eta` above 0, and by `flow_edit`.",
    )
    process: OptionalProcess = Field(
        default=None,
        description="How the edit is made: `invert_and_sample` (invert the clip to noise, then "
        "sample from it), or `flow_edit` (FlowEdit, 2412.08629: move the clip along the difference "
        "between the predictions for the target and the source prompt, without inversion; for "
        "flow-matching models).",
    )
    smooth_from: Percent = Field(
        default=1.0,
        description="For `invert_and_sample`: share of the steps after which the clip is smoothed, "
        "in two steps: every second frame becomes the middle of its neighbours along optical flow, "
        "as in ControlVideo (2305.13077). Flickers less, may undo parts of an edit; 100% disables "
        "it.",
    )
    skip: Percent = Field(
        default=0.33,
        description="For `flow_edit`: share of the steps, from the noisiest, that are skipped, "
        "rounded like `until` of `attention`; a higher share keeps more of the source.",
    )
    source_guidance: Guidance = Field(
        default=5.0,
        description="For `flow_edit`: scale of classifier-free guidance of the source prompt; "
        "`guidance` is that of the target prompt.",
    )
    average: NoiseCount = Field(
        default=1,
        description="For `flow_edit`: number of noise samples in each step, over which the "
        "difference of predictions is averaged; each costs as much as the first.",
    )
    amplify: Amplification = Field(
        default=0.0,
        description="For `flow_edit`: how much the difference of predictions is amplified where it "
        "is largest, more so in longer clips: γ of FlowAnchor (2604.22586), which uses 1; 0 "
        "disables it. A single latent frame is not amplified.",
    )
    low_noise_guidance: OptionalGuidance = Field(
        default=None,
        description="For models of two experts, such as Wan 2.2 A14B: scale of guidance of the "
        "second expert, which denoises the less noisy steps.",
    )
