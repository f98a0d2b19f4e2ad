"""`python -m inference plan`: what a configuration needs, before anything is downloaded.

Builds the model of the engine on the meta device, which has shapes and no memory, so that what is counted is what the
engine asks for. Several GPUs are planned as published: heads, MLPs, experts, embedding and head are divided; the
router, q_a, kv_a, all of the indexer and both caches are whole on each (of several latent groups, a GPU caches those
that its heads read).
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from inference.cache import block_size_bytes
from inference.config import ModelConfig
from inference.fp8_cache import fp8_block_size_bytes, fp8_cache_obstacle
from inference.layout import (
    WeightFormat,
    draft_shapes,
    indivisible,
    is_split,
    num_elements,
    stored_bytes,
    tensor_shapes,
)
from inference.model import Model
from inference.parallel import Ranks

GIB = 2**30
CONTEXT = 128 * 1024
DEFAULT_GPU_GIB = 139.0  # an H200
USABLE = 0.9  # the rest is for activations, score scratch and the runtime
FORMATS: tuple[WeightFormat, ...] = ("fp8", "int8", "bfloat16")
BLOCK_SIZE = 64


@dataclass(frozen=True, slots=True)
class Plan:
    """Counts are parameters, sizes are bytes."""

    num_parameters: int  # of the model that answers, without draft layers
    num_active: int  # those that one token is multiplied with
    num_stored: int  # with the draft layers
    weight_bytes: dict[WeightFormat, int]  # on each GPU
    cache_token_bytes: dict[str, int]  # on each GPU; by format of the cache
    cache_bytes: dict[WeightFormat, int]  # what the weights leave of each GPU; negative where they do not fit


def plan(config: ModelConfig, num_gpus: int, gpu_gib: float = DEFAULT_GPU_GIB) -> Plan:
    """ValueError names what does not divide among the GPUs."""
    if (name := indivisible(config, num_gpus)) is not None:
        raise ValueError(f"--gpus {num_gpus} does not divide {name} = {getattr(config, name)}")
    num_drafted = sum(num_elements(shape) for shape in draft_shapes(config).values())
    config = replace(config, num_nextn_predict_layers=0)
    shapes = build_on_meta(config)
    weight_bytes = {
        weights: sum(stored_bytes(n, s, weights) // (num_gpus if is_split(n) else 1) for n, s in shapes.items())
        for weights in FORMATS
    }
    num_parameters = sum(num_elements(shape) for shape in shapes.values())
    return Plan(
        num_parameters=num_parameters,
        num_active=_num_active(config, shapes),
        num_stored=num_parameters + num_drafted,
        weight_bytes=weight_bytes,
        cache_token_bytes=_cache_token_bytes(Ranks(0, num_gpus).share(config)),
        cache_bytes={weights: int(gpu_gib * GIB * USABLE) - size for weights, size in weight_bytes.items()},
    )


def build_on_meta(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """The tensors that the engine's own model takes, by name; asserts that they are the checkpoint's, each used."""
    shapes = tensor_shapes(config)
    used: set[str] = set()

    def tensor(name: str) -> Tensor:
        used.add(name)
        return torch.empty(shapes[name], dtype=torch.bfloat16, device="meta")

    Model(config, tensor)
    assert used == set(shapes), sorted(set(shapes) - used)[:1]
    return shapes


def describe(plan: Plan, num_gpus: int, gpu_gib: float) -> str:
    """The plan as a page of text."""
    lines = [
        f"parameters          {plan.num_parameters / 1e9:8.1f} B",
        f"active per token    {plan.num_active / 1e9:8.1f} B",
        f"stored with drafts  {plan.num_stored / 1e9:8.1f} B",
    ]
    for name, size in plan.cache_token_bytes.items():
        lines.append(f"cache per token     {size / 1024:8.1f} KiB ({name}), 128K: {size * CONTEXT / GIB:.1f} GiB")
    lines += ["", f"on each of {num_gpus} GPUs of {gpu_gib:g} GiB, {USABLE:.0%} of them used:"]
    for weights, size in plan.weight_bytes.items():
        lines.append(f"  {weights:9} weights {size / GIB:8.1f} GiB, {_describe_rest(plan, weights)}")
    return "\n".join(lines)


def _describe_rest(plan: Plan, weights: WeightFormat) -> str:
    room = plan.cache_bytes[weights]
    if room <= 0:
        return f"{-room / GIB:.1f} GiB too much"
    fits = [
        f"{room // size} tokens = {room / size / CONTEXT:.1f} contexts of 128K ({name} cache)"
        for name, size in plan.cache_token_bytes.items()
    ]
    return "then " + ", or ".join(fits)


def run(config_path: Path, num_gpus: int, gpu_gib: float) -> int:
    """The command: prints the plan."""
    print(describe(plan(ModelConfig.from_file(config_path), num_gpus, gpu_gib), num_gpus, gpu_gib))
    return 0


def _cache_token_bytes(config: ModelConfig) -> dict[str, int]:
    sizes = {"bfloat16": block_size_bytes(config, BLOCK_SIZE, torch.bfloat16) // BLOCK_SIZE}
    if not fp8_cache_obstacle(config):
        sizes["fp8"] = fp8_block_size_bytes(config, BLOCK_SIZE) // BLOCK_SIZE
    return sizes


def _num_active(config: ModelConfig, shapes: dict[str, tuple[int, ...]]) -> int:
    """Without the embedding, of which one row is read (a tied head is multiplied all the same)."""
    routed = sum(num_elements(shape) for name, shape in shapes.items() if ".experts." in name)
    rest = sum(num_elements(shape) for shape in shapes.values()) - routed
    if not config.tie_word_embeddings:
        rest -= num_elements(shapes["model.embed_tokens.weight"])
    return rest + routed * config.num_experts_per_tok // config.n_routed_experts
