"""What every process and method must hold, on the demo models: a table, and tests of its rows.

- With the source prompt as target and no guidance, it gives the source back as nearly as its own
  equations allow; where a part of it forbids that, the row says why.
- What no edit names is the source's, bit for bit, where regions are blended.
- With its own parts switched off it is the base sampler, and each part changes something.
- It resumes with a bit-identical result.

Dimensions: F latent frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from demo_edits import DemoClip
from torch import Tensor

from grainspec.model.demo_models import DemoModel
from grainspec.model.settings.method import EditingName
from grainspec.model.spec import FreeU, Inject
from grainspec.plan.backbone import skipped_steps
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.guided import Guided, Step
from grainspec_runtime.processes.invert import invert
from grainspec_runtime.processes.methods.shared_noise import magnitudes
from grainspec_runtime.processes.process import Job
from grainspec_runtime.processes.registry import EDITING, METHODS
from grainspec_runtime.processes.sample import sample

Base = Callable[[DemoClip, Job], Tensor]
Settings = Mapping[str, Any]
STEPS = 3
NOTHING = Inject(features=0, self=0)


def of_inversion(*, inverted: Settings | None = None, sampled: Settings | None = None) -> Base:
    """Sampling from the clip's inversion; attention has these settings in place of the plan's."""

    def base(clip: DemoClip, job: Job) -> Tensor:
        checkpoint = clip.checkpoint
        scheduler = checkpoint.schedule.solver(job.sampler, checkpoint.device)
        trajectory = invert(
            Denoiser(checkpoint),
            clip.latents,
            clip.attention(job, **inverted or {}),
            prompt=job.source,
            scheduler=scheduler,
        )
        return sample(
            Denoiser(checkpoint),
            trajectory,
            clip.attention(job, **sampled or {}),
            [checkpoint.encode_prompt(text) for text in (job.negative, job.plan.target)],
            scheduler=scheduler,
            guidance=job.sampler.guidance,
        )

    return base


def of_noise(clip: DemoClip, job: Job) -> Tensor:
    """Sampling under the controls, from one frame of noise for all; all frames see each other."""
    checkpoint = clip.checkpoint
    generator = torch.Generator().manual_seed(job.sampler.seed)
    start = torch.randn(clip.latents[:1].shape, generator=generator).expand_as(clip.latents)
    return sample(
        clip.denoiser,
        start[None],
        clip.attention(job, frames="full"),
        [checkpoint.encode_prompt(text) for text in (job.negative, job.plan.target)],
        scheduler=checkpoint.schedule.solver(job.sampler, checkpoint.device),
        guidance=job.sampler.guidance,
    )


def by_difference(clip: DemoClip, job: Job, *, name: EditingName, whole: bool) -> Tensor:
    """Euler's steps along the difference of two velocities.

    The edit's is at Zs + Z − X (``whole``) or at (1 − σ) Z + σ N.
    """
    checkpoint, x = clip.checkpoint, clip.latents
    scheduler = checkpoint.schedule.solver(job.sampler, checkpoint.device)
    sigmas = checkpoint.schedule.rates(scheduler, x)
    generator = torch.Generator().manual_seed(job.sampler.seed)
    negative, source, target = (
        Guided(clip.denoiser, clip.attention(job), None, checkpoint.encode_prompt(text), x)
        for text in (job.negative, job.source, job.plan.target)
    )
    z, first = x, skipped_steps(job.sampler, name)
    for number, t in list(enumerate(scheduler.timesteps))[first:]:
        step, here = Step(number - first, len(scheduler.timesteps) - first, t), sigmas[number]
        noise = torch.randn(x.shape, generator=generator)
        at_source = here.signal * x + here.noise * noise
        at_target = at_source + (z - x if whole else here.signal * (z - x))
        v = []
        for prompt, at, scale in (
            (source, at_source, job.sampler.source_guidance),
            (target, at_target, job.sampler.guidance),
        ):
            prompt.begin_step(step)
            plain, conditional = (one(at, step, 1) for one in (negative, prompt))
            v.append(plain + scale * (conditional - plain))
        z = z + (sigmas[number + 1].noise - here.noise) * (v[1] - v[0])
    return z


@dataclass(frozen=True)
class Row:
    """What a process or method must hold.

    model, last, more: its clip. off: settings that switch off all of its own parts, with which it
    is ``base``, bit for bit or ``nearly`` so. parts: settings that switch on one part each.
    identity: settings with which the source prompt gives the source back, to at most ``loss`` dB
    less than its reconstruction; None for bit-identically to it. lost: the parts with which it does
    not, and why. few: settings that take less time. resumes: those of the run that resumes.
    """

    base: Base
    off: Settings
    parts: Mapping[str, Settings]
    loss: float | None
    identity: Settings = field(default_factory=dict)
    lost: Mapping[str, tuple[Settings, str]] = field(default_factory=dict)
    nearly: bool = False
    model: DemoModel = "demo-image"
    last: int = 2
    more: str = ""
    few: Settings = field(default_factory=dict)
    resumes: Settings = field(default_factory=dict)


_MAPS_OFF = {"cross_steps": 0.0, "self_steps": 0.0, "local_blend": 1.0}
_MAPS = {
    "cross": {"cross_steps": 1.0},
    "self": {"self_steps": 1.0, "mask_threshold": 1.0},
    "local blend": {"local_blend": 0.0, "mask_threshold": 0.9},
    "reweight": {"reweight": 4.0},
}
ROWS: dict[EditingName, Row] = {
    "invert_and_sample": Row(
        base=of_inversion(),
        off={},
        parts={
            "inject": {"inject": Inject()},
            "freeu": {"freeu": FreeU()},
            "smoother": {"smooth_from": 0.4},
        },
        loss=0.1,
    ),
    **dict.fromkeys(
        ("fatezero", "video_p2p"),
        Row(
            base=of_inversion(),
            off=_MAPS_OFF,
            parts=_MAPS,
            loss=0.0,
            resumes={"local_blend": 0.0, "regions": "blend"},
        ),
    ),
    "tokenflow": Row(
        base=of_inversion(
            inverted={"frames": "each", "norm": "each"}, sampled={"frames": "full", "norm": "each"}
        ),
        off={"interval": 1, "inject": NOTHING},
        parts={"tokens": {"interval": 3}, "inject": {"inject": Inject()}},
        nearly=True,
        loss=1.0,
        identity={"interval": 2},
    ),
    "controlvideo": Row(
        base=of_noise,
        off={"smooth_from": 1.0},
        parts={"smoother": {"smooth_from": 0.4}},
        loss=None,
        more="control pose",
    ),
    "ground_a_video": Row(
        base=of_inversion(inverted={"frames": "each", "norm": "each"}, sampled={"frames": "full"}),
        off={"still": 0.0, "null_updates": 0},
        parts={
            "shared noise": {"still": 0.2},
            "null text": {"null_updates": 1},
            "boxes": {"regions": "attention"},
        },
        nearly=True,
        loss=1.0,
        identity={"still": 0.0, "null_updates": 0},
        lost={
            "shared noise": (
                {"still": 0.2, "null_updates": 0},
                "a still place has the noise of an earlier frame, which leads to that frame",
            )
        },
        few={"null_updates": 0},
    ),
    "dmt": Row(
        base=of_inversion(),
        off={"motion": 0.0, "low_frequencies": 1, "restart": 0.0},
        parts={
            "motion": {"motion": 1.0, "updates": 1},
            "new noise": {"low_frequencies": 4},
            "restart": {"restart": 1.0},
        },
        loss=0.5,
        identity={"low_frequencies": 1, "restart": 0.0, "updates": 2},
        lost={
            "new noise": (
                {"restart": 0.0, "motion": 0.0},
                "the first latents have the inversion's low frequencies only",
            ),
            "restart": (
                {"low_frequencies": 1, "motion": 0.0},
                "each step is taken once more from new noise",
            ),
        },
        model="demo-motion",
        few={"updates": 1},
    ),
    "flow_edit": Row(
        base=functools.partial(by_difference, name="flow_edit", whole=True),
        off={},
        parts={"average": {"average": 2}, "amplify": {"amplify": 1.0}},
        nearly=True,
        loss=None,
        model="demo-video",
        last=4,
    ),
    "dfvedit": Row(
        base=functools.partial(by_difference, name="dfvedit", whole=False),
        off={"reinforce": 1.0, "word_mask": 0.0},
        parts={"reinforce": {"reinforce": 2.0}, "words' mask": {"word_mask": 0.4}},
        nearly=True,
        loss=None,
        identity={"reinforce": 1.0},
        lost={"reinforce": ({}, "the edits' words count twice in the target prompt only")},
        model="demo-video",
        last=4,
    ),
}

_clip = functools.cache(DemoClip)


@dataclass(frozen=True)
class Held:
    """A row, and its clip."""

    name: EditingName
    row: Row

    @property
    def clip(self) -> DemoClip:
        return _clip(self.row.model, self.row.last, self.row.more)

    def edited(self, job: Job, **settings: Any) -> Tensor:
        return self.clip.run(self.clip.session.process(self.name), job, **settings)

    def identity(self, settings: Settings) -> tuple[Tensor, Tensor]:
        """The latents with the source prompt as target, and their reconstruction."""
        job = self.clip.job(
            self.name, same=True, steps=4, guidance=1.0, source_guidance=1.0, **settings
        )
        back = self.clip.reconstructed(self.clip.session.process(self.name), job)
        return self.edited(job), back


@pytest.fixture(params=EDITING)
def held(request: pytest.FixtureRequest) -> Held:
    return Held(request.param, ROWS[request.param])


def test_every_process_and_method_has_a_row() -> None:
    assert ROWS.keys() == EDITING.keys()


def test_the_source_prompt_gives_the_source_back(held: Held) -> None:
    """As nearly as its reconstruction does; a ControlVideo is no reconstruction of the clip."""
    latents, back = held.identity(held.row.identity)
    clip, loss = held.clip, held.row.loss
    if loss is None:
        assert torch.equal(latents, back)
    else:
        assert clip.psnr(latents) >= clip.psnr(back) - loss
    assert (clip.psnr(back) > 25) == (held.name != "controlvideo")


@pytest.mark.parametrize(
    ("name", "part"), [(name, part) for name, row in ROWS.items() for part in row.lost]
)
def test_where_a_part_forbids_it_the_source_is_lost(name: EditingName, part: str) -> None:
    held = Held(name, ROWS[name])
    settings, why = held.row.lost[part]
    latents, back = held.identity(settings)
    assert held.clip.psnr(latents) < min(held.clip.psnr(back), 60) - 3, why


def test_ground_a_video_loses_what_has_the_noise_of_another_frame() -> None:
    """Places that keep their own noise come back; those that change without flow do not."""
    held = Held("ground_a_video", ROWS["ground_a_video"])
    clip, name, settings = held.clip, held.name, {"still": 0.2, "null_updates": 0}
    latents, _ = held.identity(settings)
    job = clip.job(name, same=True, steps=4, guidance=1.0, **settings)
    assert job.motion is not None
    own_Phw = magnitudes(job.motion, (latents.shape[2], latents.shape[3])) >= 0.2
    changes_Phw = clip.latents.diff(dim=0).square().mean(1) > 0.05
    error_Phw = (latents - clip.latents).square().mean(1)[1:]
    others_Phw = ~own_Phw & changes_Phw
    assert 0 < others_Phw.float().mean() < 1
    assert error_Phw[others_Phw].mean() > 3 * error_Phw[own_Phw].mean()


def test_what_no_edit_names_is_kept_where_regions_are_blended(held: Held) -> None:
    clip = held.clip
    few = {"steps": STEPS, "guidance": 4.0, **held.row.few}
    for regions in ("off", "blend", "both"):
        job = clip.job(held.name, regions=regions, **few)
        modulated = held.name not in METHODS and regions == "both"
        latents = held.edited(job, planned=modulated)
        kept = torch.equal(latents[~clip.inside], clip.latents[~clip.inside])
        assert kept == (regions != "off"), regions
        changed = (latents - clip.latents)[clip.inside].abs().mean()
        assert changed > 0.05 or regions == "off", regions


def test_without_its_parts_it_is_the_base_sampler(held: Held) -> None:
    clip, row = held.clip, held.row

    def job(**settings: Any) -> Job:
        return clip.job(held.name, **{"steps": STEPS, "guidance": 4.0, **row.off, **settings})

    base, off = row.base(clip, job()), held.edited(job())
    if row.nearly:
        torch.testing.assert_close(off, base, atol=2e-3, rtol=2e-3)
    else:
        assert torch.equal(off, base)
    for part, settings in row.parts.items():
        error = (held.edited(job(**settings)) - off).abs().mean()
        assert error > 0.01, part


def test_it_resumes(held: Held) -> None:
    """With all its parts, in a process that knows nothing of the run."""
    clip, states = held.clip, {}
    settings = {"regions": "both", "guidance": 4.0, **held.row.few, **held.row.resumes}
    job = clip.job(held.name, steps=STEPS, **settings)
    latents = held.edited(job, states=states)
    state = states[STEPS - 1]
    again = clip.run(clip.process(held.name), job, begin=(STEPS - 1, state))
    assert torch.equal(again, latents)
    other = {name: value + 0.1 if name == "latents" else value for name, value in state.items()}
    changed = clip.run(clip.process(held.name), job, begin=(STEPS - 1, other))
    assert not torch.equal(changed, latents)
