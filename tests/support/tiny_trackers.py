"""Tiny random checkpoints of the trackers' and finders' true architectures, saved to a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

SIDE = 64
"""The side of the square that these networks see, in pixels; 1024 in published checkpoints."""
_WIDTH = 128
"""The hidden width; the memory's is 64, which their cross-attention expects."""


def save_sam2(folder: Path) -> Path:
    """SAM 2.1: a Hiera backbone of five blocks, one layer of memory attention."""
    from transformers import Sam2VideoConfig, Sam2VideoModel

    torch.manual_seed(0)
    config = Sam2VideoConfig(
        **_session_settings(),
        vision_config=_hiera(),
        memory_attention_feed_forward_hidden_size=64,
    )
    _visible(Sam2VideoModel(config)).save_pretrained(folder)
    _save_processor(folder, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    return folder


def save_edgetam(folder: Path) -> Path:
    """EdgeTAM, on SAM 2's backbone: its own is timm's."""
    from transformers import EdgeTamVideoConfig, EdgeTamVideoModel

    torch.manual_seed(0)
    config = EdgeTamVideoConfig(
        **_session_settings(),
        vision_config=_hiera(),
        memory_attention_mlp_hidden_size=64,
        memory_attention_rope_k_sizes=[4, 4],
        perceiver_resampler_num_latents=16,
        perceiver_resampler_num_latents_2d=16,
        perceiver_resampler_mlp_intermediate_size=16,
        perceiver_resampler_num_layers=1,
    )
    _visible(EdgeTamVideoModel(config)).save_pretrained(folder)
    _save_processor(folder, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    return folder


def _visible(model: Any) -> Any:
    """A random network mostly says that the object is hidden, and gives no mask; not this one."""
    torch.nn.init.constant_(model.mask_decoder.pred_obj_score_head.proj_out.bias, 5.0)
    return model


def _session_settings() -> dict[str, Any]:
    return {
        "image_size": SIDE,
        "prompt_encoder_config": {
            "hidden_size": _WIDTH,
            "image_size": SIDE,
            "patch_size": 16,
            "mask_input_channels": 8,
        },
        "mask_decoder_config": {
            "hidden_size": _WIDTH,
            "mlp_dim": 32,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
        },
        "memory_attention_hidden_size": _WIDTH,
        "memory_attention_num_layers": 1,
        "memory_attention_rope_feat_sizes": [SIDE // 16, SIDE // 16],
        "memory_encoder_hidden_size": _WIDTH,
        "memory_encoder_output_channels": 64,
        "mask_downsampler_embed_dim": _WIDTH,
        "memory_fuser_embed_dim": _WIDTH,
        "memory_fuser_intermediate_dim": 64,
        "memory_fuser_num_layers": 1,
    }


def _hiera() -> Any:
    from transformers import Sam2HieraDetConfig, Sam2VisionConfig

    backbone = Sam2HieraDetConfig(
        hidden_size=8,
        num_attention_heads=1,
        image_size=[SIDE, SIDE],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 2, 2],
        window_size_per_stage=[4, 4, 4, 4],
        window_positional_embedding_background_size=[4, 4],
        global_attention_blocks=[3],
    )
    return Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[SIDE // stride] * 2 for stride in (4, 8, 16)],
        fpn_hidden_size=_WIDTH,
    )


def _save_processor(folder: Path, *, mean: list[float], std: list[float]) -> None:
    size = {"height": SIDE, "width": SIDE}
    settings = {"image_mean": mean, "image_std": std, "size": size, "do_normalize": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))


SAM3_SIDE = 56
"""Of the tiny SAM 3: four patches of 14 pixels; 1008 in the published checkpoint."""


def save_sam3_tracker(folder: Path) -> Path:
    """SAM 3's tracker alone, on a ViT of two layers."""
    from transformers import Sam3TrackerVideoModel

    torch.manual_seed(0)
    _visible(Sam3TrackerVideoModel(_sam3_tracker())).save_pretrained(folder)
    _save_processor(folder, mean=[0.5] * 3, std=[0.5] * 3)
    return folder


def save_sam3(folder: Path) -> Path:
    """SAM 3 as published: detector and tracker in one checkpoint. Needs torchvision."""
    from transformers import Sam3VideoConfig, Sam3VideoModel

    torch.manual_seed(0)
    tokenizer = _clip_tokenizer(folder, 32)
    detector = {
        "model_type": "sam3",
        "vision_config": _sam3_vision().to_dict(),
        "text_config": {
            "model_type": "clip_text_model",
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 32,
            "projection_dim": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "max_position_embeddings": 32,
            "eos_token_id": tokenizer.eos_token_id,
        },
        "geometry_encoder_config": _SMALL | {"num_layers": 1},
        "detr_encoder_config": _SMALL | {"num_layers": 1},
        "detr_decoder_config": _SMALL | {"num_layers": 1, "num_queries": 9},
        "mask_decoder_config": {"hidden_size": _WIDTH, "num_attention_heads": 2},
    }
    config = Sam3VideoConfig(detector_config=detector, tracker_config=_sam3_tracker().to_dict())
    Sam3VideoModel(config).save_pretrained(folder)
    _save_processor(folder, mean=[0.5] * 3, std=[0.5] * 3)
    return folder


_SMALL: dict[str, Any] = {"hidden_size": _WIDTH, "num_attention_heads": 2, "intermediate_size": 32}


def _sam3_vision() -> Any:
    from transformers import Sam3VisionConfig, Sam3ViTConfig

    backbone = Sam3ViTConfig(
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=SAM3_SIDE,
        pretrain_image_size=28,
        window_size=2,
        global_attn_indexes=[1],
    )
    sizes = [[SAM3_SIDE // 14 * scale] * 2 for scale in (4, 2, 1)]
    return Sam3VisionConfig(
        backbone_config=backbone, fpn_hidden_size=_WIDTH, backbone_feature_sizes=sizes
    )


def _sam3_tracker() -> Any:
    from transformers import Sam3TrackerVideoConfig

    settings = _session_settings()
    settings["prompt_encoder_config"] |= {"image_size": SAM3_SIDE, "patch_size": 14}
    return Sam3TrackerVideoConfig(
        **settings | {"image_size": SAM3_SIDE},
        vision_config=_sam3_vision(),
        memory_attention_feed_forward_hidden_size=64,
    )


def save_owlv2(folder: Path) -> Path:
    """OWLv2 of two layers that sees squares of 64 pixels."""
    from transformers import Owlv2Config, Owlv2ForObjectDetection

    torch.manual_seed(0)
    tokenizer = _clip_tokenizer(folder, 16)
    layers = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    config = Owlv2Config(
        text_config=layers | {"vocab_size": len(tokenizer), "max_position_embeddings": 16},
        vision_config=layers | {"image_size": SIDE, "patch_size": 16},
        projection_dim=32,
    )
    Owlv2ForObjectDetection(config).save_pretrained(folder)
    _save_processor(
        folder,
        mean=[0.48145466, 0.4578275, 0.40821073],
        std=[0.26862954, 0.26130258, 0.27577711],
    )
    return folder


def save_grounding_dino(folder: Path) -> Path:
    """Grounding DINO on a Swin of four layers, with a processor that resizes to 96 by 160 pixels at most."""
    from transformers import (
        BertConfig,
        BertTokenizerFast,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoProcessor,
        SwinConfig,
    )

    torch.manual_seed(0)
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "man", "red", "in"]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = [*words, *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64)
    swin = SwinConfig(
        image_size=SIDE,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=4,
        out_features=["stage2", "stage3", "stage4"],
    )
    bert = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    config = GroundingDinoConfig(
        backbone_config=swin,
        text_config=bert,
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_queries=9,
        max_text_len=64,
    )
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    images = _grounding_dino_images()(size={"shortest_edge": 96, "longest_edge": 160})
    GroundingDinoProcessor(images, tokenizer).save_pretrained(folder)
    return folder


def _grounding_dino_images() -> Any:
    """The image processor on Pillow images; the other one needs torchvision."""
    import transformers

    pil = getattr(transformers, "GroundingDinoImageProcessorPil", None)
    return pil or transformers.GroundingDinoImageProcessor


def _clip_tokenizer(folder: Path, length: int) -> Any:
    """The demo model's tokenizer, saved to the folder."""
    from transformers import CLIPTokenizerFast

    from grainspec_runtime.models.locate import DEMO_FOLDER

    tokenizer = CLIPTokenizerFast.from_pretrained(
        DEMO_FOLDER / "tokenizer", model_max_length=length
    )
    tokenizer.save_pretrained(folder)
    return tokenizer
