"""Where the editing methods and profiles depart from what was published, and why.

Each class has its own ``departures`` (:class:`.registry.MakeProcess`). Profiles of attention that
stand for a publication have theirs here.
"""

from __future__ import annotations

from collections.abc import Mapping

from grainspec_runtime.processes.invert_and_sample import InvertAndSample
from grainspec_runtime.processes.registry import EDITING

OF_PROFILES: Mapping[str, tuple[str, ...]] = {
    "videograin": (
        *InvertAndSample.departures,
        "VideoGrain's code modulates self-attention in the unconditional pass; here the "
        "conditional pass is modulated, because the paper modulates by the prompt's regions.",
        "VideoGrain's code binds a phrase that occurs twice to its first occurrence, and skips one "
        "that it does not find; here both are errors, because an edit would silently be missing.",
        "VideoGrain's code finds masks by the number of a frame in the resampled clip; here a "
        "mask's frame is that of the source clip, because others are out of register.",
        "VideoGrain's code rounds odd sizes of latents down in its masks; here they are rounded "
        "up, because the network does so.",
        "VideoGrain's code has FreeU's second version, whose backbone factor is another for each "
        "pixel; here it is the first one, because diffusers has that.",
        "VideoGrain's code divides areas by those of all frames, and orders masks and keys "
        "differently, in attention to the first and the previous frame; here areas are those of "
        "the frames in scope, because negative strengths would follow.",
        "VideoGrain's code attends along optical flow and applies FreeU in the inversion, too; "
        "here both apply to sampling alone, because all methods then share one inversion.",
    ),
    "flowanchor": (
        "FlowAnchor's equation 24 scales the amplification by the mean of the change over "
        "channels; here it is the mean of its magnitude, because the amplification is then least "
        "where nothing changes, as its section 3.4 wants.",
        "FlowAnchor has masks of latent frames and does not say which of the clip's frames count; "
        "here a latent token is in a region that it touches in any frame, because small regions "
        "would vanish otherwise.",
        "FlowAnchor does not say which guidance it uses; here it is the spec's, because all "
        "methods are compared with the same.",
    ),
}
"""What differs under a profile that stands for a publication."""


_DEPARTURES: Mapping[str, tuple[str, ...]] = {
    **{name: make.departures for name, make in EDITING.items()},
    **OF_PROFILES,
}


def departures(name: str) -> tuple[str, ...]:
    """Return what differs from the publication in a method, a process or a profile.

    Each is one sentence. Raises KeyError for a name of none of them, or of a profile that stands
    for no publication.

    >>> departures("flow_edit")[0].split(";")[0]
    'The paper can end with n_min steps of plain sampling'
    """
    return _DEPARTURES[name]
