"""The statement `freeu`: a UNet's backbone against its skip connections."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from grainspec.model.nodes import Node

Factor = Annotated[float, Field(gt=0, le=10)]


class FreeU(Node):
    """Weigh a UNet's backbone against its skip connections while the edit is sampled.

    It is off unless a spec has ``freeu``. FreeU (Si et al., CVPR 2024, 2309.11497); the defaults
    are its authors' for Stable Diffusion 1.5.
    """

    b1: Factor = Field(
        default=1.5,
        description="Factor of the backbone's features in the decoder's coarsest level; 1 leaves "
        "them.",
    )
    b2: Factor = Field(
        default=1.6, description="Factor of the backbone's features in the level after it."
    )
    s1: Factor = Field(
        default=0.9,
        description="Factor of the skip connection's low frequencies in the decoder's coarsest "
        "level; 1 leaves them.",
    )
    s2: Factor = Field(
        default=0.2,
        description="Factor of the skip connection's low frequencies in the level after it.",
    )
