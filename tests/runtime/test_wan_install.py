"""A plan inside Wan's stock transformers, and what must stay the same."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    AutoModel,
    FasterCacheConfig,
    FirstBlockCacheConfig,
    MagCacheConfig,
    PyramidAttentionBroadcastConfig,
    TaylorSeerCacheConfig,
    TextKVCacheConfig,
    apply_first_block_cache,
)
from diffusers.hooks import apply_group_offloading
from diffusers.models import attention_dispatch
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from peft import LoraConfig
from torch import Tensor
from wan import VARIANTS, WanVariant, tiny_wan
from wan_runs import LATENT_FRAMES, ByDefinition, inputs, output, plan_for

from grainspec import GrainError
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.backbones.families.wan.install import installed
from grainspec_runtime.backbones.families.wan.layers import attention_layers
from grainspec_runtime.modulation.clip import ClipAttention
from grainspec_runtime.modulation.intercept import is_dispatching

AT = 900.0


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[WanVariant, Path]:
    base = tmp_path_factory.mktemp("wan")
    return {variant: tiny_wan(base / variant, variant, num_layers=3) for variant in VARIANTS}


@pytest.fixture(scope="module")
def folder(folders: dict[WanVariant, Path]) -> Path:
    return folders["2.1"]


def transformer_of(folder: Path, part: str = "transformer") -> Any:
    return AutoModel.from_pretrained(str(folder), subfolder=part).eval()


@pytest.fixture
def transformer(folder: Path) -> Any:
    return transformer_of(folder)


def plan_of(folder: Path, settings: str = "until 100% decay 1") -> MaskPlan:
    size = (128, 64) if folder.name == "ti2v" else (64, 32)
    return plan_for(folder, settings, size=size)


def attention_of(plan: MaskPlan | None, **settings: Any) -> ClipAttention:
    attention = ClipAttention(LATENT_FRAMES, plan=plan, **settings)
    attention.begin_step(0, 10, AT)
    return attention


def under(transformer: Any, attention: Any, given: dict[str, Tensor] | None = None) -> Tensor:
    with installed([transformer], attention):
        return output(transformer, given)


SETTINGS = (
    "until 100% decay 1",
    "until 100% decay 0 unbound 0.3 columns 0.5 phrases in_context",
    "until 100% decay 0 layers 0 2 self 1",
)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_layer_is_what_the_plan_defines(
    folders: dict[WanVariant, Path], variant: WanVariant
) -> None:
    """Norms, rotations, pictures and control blocks included; with a timestep for every token."""
    folder = folders[variant]
    transformer = transformer_of(folder)
    given = inputs(transformer)
    if variant == "ti2v":
        given["timestep"] = torch.full((1, LATENT_FRAMES * 8), AT)
        given["timestep"][:, :8] = 0
    plain = output(transformer, given)
    for settings in SETTINGS:
        plan = plan_of(folder, settings)
        expected = ByDefinition(plan, AT)
        with installed([transformer], expected):
            wanted = output(transformer, given)
        blocks = {0, 2} if "layers" in settings else {0, 1, 2}
        assert {layer.block for layer in expected.seen} == blocks
        assert len(expected.seen) == 2 * len(blocks)
        found = under(transformer, attention_of(plan), given)
        torch.testing.assert_close(found, wanted, atol=2e-5, rtol=1e-4)
        assert (found - plain).abs().max() > 1e-3


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_not_modulated_is_stock(
    folders: dict[WanVariant, Path], variant: WanVariant
) -> None:
    """Bit-identical where no layer is modulated, to rounding where all are by 0."""
    folder = folders[variant]
    transformer = transformer_of(folder)
    plain = output(transformer)
    assert torch.equal(under(transformer, attention_of(None)), plain)
    attention = attention_of(plan_of(folder))
    with installed([transformer], attention):
        assert not torch.equal(output(transformer), plain)
        attention.begin_pass(0, 2)
        assert torch.equal(output(transformer), plain), "the unconditional pass"
        attention.begin_step(9, 10, 0.0)
        assert torch.equal(output(transformer), plain), "a step without modulation"
    nothing = attention_of(plan_of(folder, "until 100% decay 0 cross 0 self 0"))
    away = (under(transformer, nothing) - plain).abs().max()
    assert 0 < away < 5e-6


def test_the_transformer_is_restored_whatever_is_raised(folder: Path, transformer: Any) -> None:
    before, weights = output(transformer), copy.deepcopy(transformer.state_dict())
    processors = transformer.attn_processors
    attention = attention_of(plan_of(folder))
    with (
        pytest.raises(RuntimeError, match="on purpose"),
        installed([transformer], attention),
    ):
        assert not torch.equal(output(transformer), before)
        raise RuntimeError("on purpose")
    after = transformer.attn_processors
    assert all(after[name] is processor for name, processor in processors.items())
    assert all(vars(processor) == {} for processor in processors.values())
    assert all(torch.equal(weights[key], it) for key, it in transformer.state_dict().items())
    assert torch.equal(output(transformer), before)


def test_both_experts_follow(folders: dict[WanVariant, Path]) -> None:
    experts = [transformer_of(folders["2.2"], part) for part in ("transformer", "transformer_2")]
    plain = [output(expert) for expert in experts]
    with installed(experts, attention_of(plan_of(folders["2.2"]))):
        for expert, before in zip(experts, plain, strict=True):
            assert (output(expert) - before).abs().max() > 1e-3
    assert all(torch.equal(output(e), before) for e, before in zip(experts, plain, strict=True))


def test_control_blocks_are_left_alone(folders: dict[WanVariant, Path]) -> None:
    transformer = transformer_of(folders["vace"])
    names = set(attention_layers(transformer))
    assert names == {f"blocks.{i}.attn{j}" for i in range(3) for j in (1, 2)}
    processors = {
        name: block.attn2.processor for name, block in transformer.vace_blocks.named_children()
    }
    with installed([transformer], attention_of(plan_of(folders["vace"]))):
        for name, block in transformer.vace_blocks.named_children():
            assert block.attn2.processor is processors[name]


@pytest.fixture
def dispatched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of keys of what the user's attention backend computes, which is torch's math."""
    keys: list[int] = []
    backends = attention_dispatch._AttentionBackendRegistry._backends
    name = attention_dispatch.AttentionBackendName._NATIVE_MATH
    stock = backends[name]

    def noted(query: Tensor, key: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        keys.append(key.shape[1])
        return stock(query, key, *args, **kwargs)

    monkeypatch.setitem(backends, name, noted)
    return keys


def set_backend(transformer: Any, name: str) -> None:
    """Set it for the layers alone: the method of the model also makes it the default."""
    for module in transformer.modules():
        if hasattr(module, "set_processor"):
            module.set_attention_backend(name)


def test_the_users_backend_computes_what_is_not_modulated(
    folders: dict[WanVariant, Path], dispatched: list[int]
) -> None:
    """The attention to a picture, layers that the plan leaves alone, and other passes."""
    transformer = transformer_of(folders["i2v"])
    plain = output(transformer)
    attention = attention_of(plan_of(folders["i2v"], "until 100% decay 0 layers 1..2"))
    modulated = under(transformer, attention)
    set_backend(transformer, "_native_math")
    tokens, words, picture = 24, 512, 5
    with installed([transformer], attention):
        torch.testing.assert_close(output(transformer), modulated)
        assert dispatched == [tokens, picture, words, picture, picture]
        dispatched.clear()
        attention.begin_pass(0, 2)
        torch.testing.assert_close(output(transformer), plain)
        assert dispatched == 3 * [tokens, picture, words]
        dispatched.clear()
        set_backend(transformer, "native")  # set inside the block, it stays set
        output(transformer)
        assert not dispatched
    backends = {it._attention_backend.value for it in transformer.attn_processors.values()}
    assert backends == {"native"}


def test_a_backend_set_for_a_while_does_not_skip_the_plan(
    folder: Path, transformer: Any, dispatched: list[int]
) -> None:
    attention = attention_of(plan_of(folder))
    expected = under(transformer, attention)
    with attention_dispatch.attention_backend("_native_math"):
        assert torch.equal(under(transformer, attention), expected)
        assert not dispatched


def test_the_attention_to_a_picture_is_its_own(folders: dict[WanVariant, Path]) -> None:
    """With values of the text that are 0, the rest of a layer's output is the picture's."""
    transformer = transformer_of(folders["i2v"])
    for block in transformer.blocks:
        torch.nn.init.zeros_(block.attn2.to_v.weight)
        torch.nn.init.zeros_(block.attn2.to_v.bias)
    plain = output(transformer)
    plan = plan_of(folders["i2v"], "until 100% decay 0 self 0 cross 1")
    torch.testing.assert_close(under(transformer, attention_of(plan)), plain, atol=1e-5, rtol=1e-5)


def fused(transformer: Any) -> None:
    transformer.fuse_qkv_projections()


def with_lora(transformer: Any) -> None:
    torch.manual_seed(3)
    targets = ["to_q", "to_k", "to_v", "to_out.0"]
    transformer.add_adapter(LoraConfig(r=2, target_modules=targets, init_lora_weights=False))


def cast(transformer: Any) -> None:
    transformer.enable_layerwise_casting(torch.float8_e4m3fn, torch.float32)


def offloaded(transformer: Any) -> None:
    device = torch.device("cpu")
    apply_group_offloading(transformer, device, device, "block_level", num_blocks_per_group=1)


@pytest.mark.parametrize("change", [fused, with_lora, cast, offloaded])
def test_what_users_change_in_a_transformer_works(
    folder: Path, transformer: Any, change: Any
) -> None:
    change(transformer)
    plan = plan_of(folder)
    with installed([transformer], ByDefinition(plan, AT)):
        wanted = output(transformer)
    found = under(transformer, attention_of(plan))
    torch.testing.assert_close(found, wanted, atol=2e-5, rtol=1e-4)
    assert (found - output(transformer)).abs().max() > 1e-3


def test_projections_may_be_fused_and_separated_between_calls(
    folder: Path, transformer: Any
) -> None:
    with installed([transformer], attention_of(plan_of(folder))):
        expected = output(transformer)
        transformer.fuse_qkv_projections()
        torch.testing.assert_close(output(transformer), expected, atol=1e-5, rtol=1e-5)
        transformer.unfuse_qkv_projections()
        assert torch.equal(output(transformer), expected)


@pytest.fixture
def compiler() -> Iterator[None]:
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    yield
    torch.compiler.reset()


def graphs() -> int:
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]


@pytest.mark.usefixtures("compiler")
def test_a_compiled_transformer_stays_in_one_graph(tmp_path: Path) -> None:
    folder = tiny_wan(tmp_path / "flat", num_layers=1)
    transformer = transformer_of(folder)
    attention = attention_of(plan_of(folder))
    plain, expected = output(transformer), under(transformer, attention)
    compiled = torch.compile(transformer, backend="aot_eager", fullgraph=True)
    with installed([transformer], attention):
        torch.testing.assert_close(output(compiled), expected, atol=1e-5, rtol=1e-5)
        attention.begin_step(1, 10, 700.0)  # no new graph
        assert not torch.allclose(output(compiled), expected, atol=1e-4)
        torch.testing.assert_close(output(compiled), output(transformer), atol=1e-5, rtol=1e-5)
        assert graphs() == 1
        attention.begin_pass(0, 2)
        torch.testing.assert_close(output(compiled), plain, atol=1e-5, rtol=1e-5)
        assert graphs() == 2
    torch.testing.assert_close(output(compiled), plain, atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize(("layers", "count"), [("all", 1), ("1..9", 2)])
def test_blocks_that_are_compiled_alike_are_compiled_once(
    tmp_path: Path, layers: str, count: int
) -> None:
    """Of more than eight that differ torch.compile would compile no further."""
    folder = tiny_wan(tmp_path / "deep", num_layers=11)
    transformer = transformer_of(folder)
    attention = attention_of(plan_of(folder, f"until 100% decay 1 layers {layers}"))
    expected = under(transformer, attention)
    with installed([transformer], attention):
        transformer.compile_repeated_blocks(backend="eager", fullgraph=True)
        torch.testing.assert_close(output(transformer), expected, atol=1e-5, rtol=1e-5)
    assert graphs() == count


def refusal(transformer: Any, folder: Path) -> tuple[str, str, str]:
    with pytest.raises(GrainError) as raised:
        under(transformer, attention_of(plan_of(folder)))
    (found,) = raised.value.diagnostics
    return found.code, found.message, found.cure


def at_step() -> int:
    return 0


CACHES = {
    "FirstBlockCacheConfig": lambda: FirstBlockCacheConfig(threshold=0.1),
    "PyramidAttentionBroadcastConfig": lambda: PyramidAttentionBroadcastConfig(
        cross_attention_block_skip_range=2, current_timestep_callback=at_step
    ),
    "FasterCacheConfig": lambda: FasterCacheConfig(current_timestep_callback=at_step),
    "MagCacheConfig": lambda: MagCacheConfig(mag_ratios=[1.0] * 4, num_inference_steps=4),
    "TaylorSeerCacheConfig": TaylorSeerCacheConfig,
    "TextKVCacheConfig": TextKVCacheConfig,
}


@pytest.mark.parametrize("name", CACHES)
def test_caches_are_refused_by_name(folder: Path, transformer: Any, name: str) -> None:
    plain = output(transformer)
    transformer.enable_cache(CACHES[name]())
    code, message, cure = refusal(transformer, folder)
    assert code == "G550"
    assert f"has a cache ({name})" in message
    assert "`pipe.transformer.disable_cache()`" in cure
    transformer.disable_cache()
    assert torch.equal(output(transformer), plain)
    under(transformer, attention_of(plan_of(folder)))


def test_a_cache_that_was_applied_by_its_function_is_seen(folder: Path, transformer: Any) -> None:
    apply_first_block_cache(transformer, FirstBlockCacheConfig(threshold=0.1))
    code, message, cure = refusal(transformer, folder)
    assert code == "G550"
    assert "Hook" in message
    assert "Load the transformer again" in cure


def test_context_parallelism_is_refused(folder: Path, transformer: Any) -> None:
    class Config:
        context_parallel_config = object()

    transformer._parallel_config = Config()
    code, message, _ = refusal(transformer, folder)
    assert code == "G551"
    assert "context parallelism" in message


class OtherProcessor(WanAttnProcessor):
    def __call__(self, attn: Any, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return hidden_states


class SameProcessor(WanAttnProcessor):
    pass


def test_other_processors_are_refused_by_name(folder: Path, transformer: Any) -> None:
    expected = under(transformer, attention_of(plan_of(folder)))
    transformer.blocks[1].attn2.set_processor(OtherProcessor())
    code, message, cure = refusal(transformer, folder)
    assert code == "G410"
    assert "OtherProcessor" in message
    assert "`blocks.1.attn2`" in message
    assert "`pipe.transformer.set_attn_processor(WanAttnProcessor())`" in cure
    transformer.set_attn_processor(SameProcessor())
    assert torch.equal(under(transformer, attention_of(plan_of(folder))), expected)
    assert is_dispatching(WanAttnProcessor)
    assert not is_dispatching(OtherProcessor)
