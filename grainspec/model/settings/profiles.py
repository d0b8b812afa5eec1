"""The profiles of `attention`: defaults of all its settings for a kind of model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from grainspec.model.declaration import HEAD
from grainspec.model.demo_models import demo_profile
from grainspec.model.nodes import Node, given
from grainspec.model.settings.attention import Modulation

Profile = Literal[
    "auto",
    "stable_diffusion",
    "videograin",
    "animatediff",
    "demo",
    "demo_video",
    "flow_matching",
    "flowanchor",
]


PROFILES = {
    "stable_diffusion": Modulation(
        cross=1, self=0.3, until=0.3, decay=5, phrases="isolated", unbound=1
    ),
    "videograin": Modulation(
        cross=1,
        self=0.3,
        until=0.3,
        decay=5,
        timestep_offset=1,
        levels=(1, 2, 3),
        phrases="isolated",
        unbound=1,
        outside="repelled",
        self_area="squared",
        overlap="sum",
        resize="corner",
        unconditional="empty_prompt",
    ),
    "animatediff": Modulation(
        cross=1,
        self=0.3,
        until=0.3,
        decay=5,
        phrases="isolated",
        unbound=1,
        frames="each",
        norm="each",
    ),
    "demo": Modulation(
        cross=1, self=0.3, until=0.6, decay=1, phrases="in_context", unbound=0.3, frames="each"
    ),
    "demo_video": Modulation(
        cross=0.6,
        self=0,
        until=1,
        until_timestep=600,
        decay=0,
        phrases="in_context",
        unbound=1,
    ),
    "flow_matching": Modulation(
        cross=0.3,
        self=0,
        until=1,
        until_timestep=600,
        decay=0,
        phrases="in_context",
        unbound=1,
        resize="any",
    ),
    "flowanchor": Modulation(
        cross=0.3,
        self=0,
        columns=0.3,
        until=1,
        until_timestep=600,
        decay=0,
        phrases="in_context",
        unbound=1,
        resize="any",
    ),
}
"""The settings of each profile.

``stable_diffusion`` has the constants of VideoGrain's code in the equations of its paper.
``videograin``, for comparison, does what the code does, to rounding, but for its faults; it is the
only profile that departs from the equations where the code does. ``animatediff`` is
``stable_diffusion`` with attention and norms of each frame alone, as motion modules were trained
with. ``demo`` has settings tuned on the demo model, ``demo_video`` on its video model,
``flowanchor`` the attention settings of FlowAnchor (2604.22586). ``flow_matching`` has FlowAnchor's
strength and its end at σ = 0.6. A latent token stands for 16 x 16 pixels of several frames in both,
hence ``resize any``; FlowAnchor has masks of latent frames, and does not say which of the clip's
frames count. No profile of video transformers pulls self-attention: on the demo's video model it
helps at no strength that was tried, keeps poses less from 0.02 on, and destroys figures at 0.2.
"""

TUNED_ON_MOTION: frozenset[Profile] = frozenset({"demo_video"})
"""Profiles whose `resize` was tuned on clips in which every region moves: by default, nothing warns
(G418) that it leaves latent tokens of moving regions out."""


class Profiled(Node):
    """The base of :class:`~grainspec.model.partial.Attention`: a profile that supplies defaults."""

    profile: Annotated[Profile | None, HEAD] = Field(
        default=None,
        description="The defaults of all other settings: `stable_diffusion` (the equations and "
        "constants of VideoGrain), `videograin` (what VideoGrain's code does, for comparison), "
        "`animatediff` (`stable_diffusion` within each frame, for models with motion modules), "
        "`demo` (tuned on the demo model), `demo_video` (tuned on the demo's video model), "
        "`flow_matching` (for flow-matching models, such as Wan), `flowanchor` (the attention of "
        "FlowAnchor, for comparison), or `auto`, the default: `demo` or `demo_video` for the demo "
        "models, `flow_matching` for flow-matching models, `animatediff` for models with motion "
        "modules, `stable_diffusion` for all others.",
    )

    def settled(self, model: str) -> Modulation:
        """The complete settings for a model: those given here, and the profile's for the rest.

        That a model is trained by flow matching, or has motion modules, does not follow from its
        name: see :meth:`grainspec.model.spec.EditSpec.for_profile`.

        >>> [it.settled("a/b").until for it in (Profiled(profile="demo"), Profiled())]
        [0.6, 0.3]
        """
        settings = given(self)
        profile = settings.pop("profile", "auto")
        if profile == "auto":
            profile = demo_profile(model) or "stable_diffusion"
        return PROFILES[profile].replaced({}, **settings)
