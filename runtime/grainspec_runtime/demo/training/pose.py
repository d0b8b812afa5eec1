"""Stage 5: train the pose detector, and the ControlNet for poses."""

from __future__ import annotations

from functools import cached_property

import torch
import torch.nn.functional as F
from diffusers import StableDiffusionPipeline
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from grainspec_runtime.demo.pose import PoseDetector, pose_pictures
from grainspec_runtime.demo.training.diffusion import Captions, Noising
from grainspec_runtime.demo.training.networks import build_controlnet
from grainspec_runtime.demo.training.trainer import (
    Pace,
    Trainer,
    degraded,
    descend,
    psnr,
    save_half,
    to_unit,
)
from grainspec_runtime.whole_folder import whole_folder

UNSEEN = 1000
"""The last of the renders with poses are held out from training."""


class PoseTrainer:
    """Trains pose detector and ControlNet on the first renders and their exact pose images."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    @cached_property
    def count(self) -> int:
        """The number of renders used for training and evaluation."""
        return min(int(self.trainer.options.posed), len(self.trainer.frames_N3HW))

    @cached_property
    def poses_N3HW(self) -> Tensor:
        """The pose images, uint8."""
        o = self.trainer.options
        poses = pose_pictures(self.count, size=96, seed=o.seed, workers=o.workers)
        self.trainer.log("poses", count=len(poses))
        return torch.from_numpy(poses).to(self.trainer.device).permute(0, 3, 1, 2).contiguous()

    def train_detector(self) -> None:
        """Train the detector with cross-entropy on the pose images; frames get blur and noise."""
        trainer, o = self.trainer, self.trainer.options
        path = trainer.out / PoseDetector.WEIGHTS
        if path.exists():
            return
        torch.manual_seed(o.seed + 4)
        detector = PoseDetector().to(trainer.device)
        adam, rates = trainer.optimizer(list(detector.parameters()), 2e-3, o.detector_steps)
        frames = trainer.frames_N3HW
        batches = trainer.batches(64, o.detector_steps, count=self.count - UNSEEN)
        for step, index in enumerate(batches):
            wanted = self.poses_N3HW[index].float() / 255
            with trainer.autocast():
                logits = detector(degraded(to_unit(frames[index])))
            loss = F.binary_cross_entropy_with_logits(logits.float(), wanted)
            descend(loss, adam, rates)
            if step % 500 == 499:
                trainer.log("pose detector", step=step + 1, loss=loss.item())
        detector.eval()
        held = slice(self.count - UNSEEN, self.count)
        with torch.inference_mode():
            pairs = zip(frames[held].split(100), self.poses_N3HW[held].split(100), strict=True)
            quality = [
                psnr(detector.pictures(to_unit(x)) * 2 - 1, to_unit(wanted)) for x, wanted in pairs
            ]
        trainer.log("pose detector", held_out_psnr=sum(quality) / len(quality))
        save_half(detector, path)

    def train_controlnet(self) -> None:
        """Train the ControlNet, initialized from the UNet's encoder (Zhang et al., 2023).

        The loss is v-prediction; all other networks are frozen.
        """
        trainer, o = self.trainer, self.trainer.options
        folder = trainer.out / "controlnet"
        if (folder / "diffusion_pytorch_model.safetensors").exists():
            return
        torch.manual_seed(o.seed + 5)
        pipe = StableDiffusionPipeline.from_pretrained(
            trainer.out, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        ).to(trainer.device)
        for part in (pipe.vae, pipe.unet, pipe.text_encoder):
            part.eval().requires_grad_(False)
        net = build_controlnet()
        same = {k: v for k, v in pipe.unet.state_dict().items() if k in net.state_dict()}
        net.load_state_dict(same, strict=False)
        net = net.to(trainer.device)
        ema = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.998))
        adam, rates = trainer.optimizer(list(net.parameters()), 1.5e-3, o.control_steps)
        with torch.inference_mode(), trainer.autocast():
            parts = trainer.frames_N3HW[: self.count].split(512)
            latents = torch.cat([pipe.vae.encode(to_unit(x)).latent_dist.sample() for x in parts])
        captions, noised = Captions(trainer, pipe.tokenizer), Noising(trainer.device)
        pace = Pace(trainer, "controlnet", o.control_batch)
        batches = trainer.batches(o.control_batch, o.control_steps, count=self.count - UNSEEN)
        for step, index in enumerate(batches):
            noisy, t, wanted = noised(latents[index].float())
            with trainer.autocast():
                words = pipe.text_encoder(captions.sample(index))[0]
                poses = self.poses_N3HW[index].float() / 255
                down, middle = net(noisy, t, words, poses, return_dict=False)
                predicted = pipe.unet(
                    noisy,
                    t,
                    words,
                    down_block_additional_residuals=down,
                    mid_block_additional_residual=middle,
                    return_dict=False,
                )[0]
            loss = F.mse_loss(predicted.float(), wanted)
            descend(loss, adam, rates, clip=1.0)
            ema.update_parameters(net)
            pace.note(step, loss)
        net.load_state_dict(ema.module.state_dict())
        with whole_folder(folder) as partial:
            net.half().cpu().save_pretrained(partial)
        trainer.log("saved", folder=str(folder))
