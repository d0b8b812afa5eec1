"""Space-time features of a UNet with motion modules, with gradients.

DMT (Yatim et al., CVPR 2024, arXiv 2311.17009) compares the features of one layer in the decoder's
second block, counted from the coarsest: what its residual block adds to its input (the output of
the second convolution), the output of its layer over time, and that of the block's upsampling. The
paper's model has temporal convolutions and attention there; here it is the motion module.

Dimensions: F frames, C channels, h rows and w columns of a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

_BLOCK, _LAYER = 1, 1
"""Of the decoder's blocks and their layers, from 0, as in the paper's code."""


class _Reached(Exception):  # no error: the rest of the network is not needed
    """Raised when all features are there."""


@dataclass(frozen=True)
class SpaceTimeFeatures:
    """The features of a UNet ``unet`` at one place of its decoder."""

    unet: Any

    @property
    def layers(self) -> dict[str, nn.Module]:
        """The modules whose outputs are the features, by name; a small UNet has the last ones."""
        block = self._block
        layer = min(_LAYER, len(block.resnets) - 1)
        found = {
            "spatial": block.resnets[layer].conv2,
            "temporal": block.motion_modules[layer],
        }
        if block.upsamplers is not None:
            found["upsampled"] = block.upsamplers[-1]
        return found

    def of(self, run: Callable[[], object]) -> dict[str, Tensor]:
        """Return the features ``[F, C, h, w]`` of a pass over F frames, by name of their layer.

        ``run`` runs the UNet once. It does not run further than the features' block.
        """
        features: dict[str, Tensor] = {}
        handles = [
            module.register_forward_hook(
                lambda module, inputs, output, name=name: features.__setitem__(name, output)
            )
            for name, module in self.layers.items()
        ]
        handles.append(self._block.register_forward_hook(_stop))
        try:
            with torch.compiler.set_stance("force_eager"):
                run()
        except _Reached:
            pass
        finally:
            for handle in handles:
                handle.remove()
        return features

    @contextmanager
    def recomputing(self) -> Iterator[None]:
        """Keep few activations for gradients inside the block, and compute the others again.

        diffusers' gradient checkpointing: each residual block and each transformer keeps its input.
        """
        was_on = self.unet.is_gradient_checkpointing
        self.unet.enable_gradient_checkpointing()
        try:
            yield
        finally:
            if not was_on:
                self.unet.disable_gradient_checkpointing()

    @property
    def _block(self) -> Any:
        return self.unet.up_blocks[min(_BLOCK, len(self.unet.up_blocks) - 1)]


def _stop(module: nn.Module, inputs: object, output: object) -> None:
    raise _Reached
