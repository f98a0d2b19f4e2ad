"""A second, deliberately plain forward pass of the family: whole sequence at once, keys and values spelled out, loops.

Written from the equations alone, for the keys and the FP8 arithmetic that transformers cannot express. fp32, no cache,
no fusing.
"""

import math
import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from inference.config import ModelConfig
from inference.layout import draft_shapes, tensor_shapes


def random_tensors(config: ModelConfig, seed: int = 0) -> dict[str, Tensor]:
    """Every parameter random, norms around one."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in (tensor_shapes(config) | draft_shapes(config)).items():
        noise = torch.randn(shape, generator=generator)
        if name.endswith("norm.weight"):
            tensors[name] = 1 + 0.2 * noise
        else:
            tensors[name] = noise * (0.1 if name.endswith("bias") else shape[-1] ** -0.5)
    return tensors


def with_equal_experts(tensors: Mapping[str, Tensor], num_distinct: int) -> dict[str, Tensor]:
    """Experts repeat: number n is that of n % num_distinct."""

    def first(found: re.Match[str]) -> str:
        return f".experts.{int(found[1]) % num_distinct}."

    return {name: tensors[re.sub(r"\.experts\.(\d+)\.", first, name)] for name in tensors}


def forward(
    config: ModelConfig, tensors: Mapping[str, Tensor], token_ids: list[int], fp8: frozenset[str] = frozenset()
) -> Tensor:
    """Logits (tokens, vocab). `fp8` names what is rounded: "products", "latent", "index"."""
    hidden = tensors["model.embed_tokens.weight"][torch.tensor(token_ids)]
    for layer in range(config.num_hidden_layers):
        part = {
            name.removeprefix(f"model.layers.{layer}."): tensor
            for name, tensor in tensors.items()
            if name.startswith(f"model.layers.{layer}.")
        }
        hidden = hidden + _attention(
            config, part, _norm(hidden, part["input_layernorm.weight"], config.rms_norm_eps), fp8
        )
        normed = _norm(hidden, part["post_attention_layernorm.weight"], config.rms_norm_eps)
        mlp = _swiglu(part, "mlp", normed, fp8) if config.is_dense(layer) else _moe(config, part, normed, fp8)
        hidden = hidden + mlp
    head = tensors["model.embed_tokens.weight" if config.tie_word_embeddings else "lm_head.weight"]
    return _norm(hidden, tensors["model.norm.weight"], config.rms_norm_eps) @ head.T


def _norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight


def _rotate(x: Tensor, position: int, theta: float, interleaved: bool) -> Tensor:
    """One vector at one position."""
    width = len(x)
    out = x.clone()
    for pair in range(width // 2):
        a, b = (2 * pair, 2 * pair + 1) if interleaved else (pair, pair + width // 2)
        angle = position / theta ** (2 * pair / width)
        out[a] = x[a] * math.cos(angle) - x[b] * math.sin(angle)
        out[b] = x[b] * math.cos(angle) + x[a] * math.sin(angle)
    return out


def e4m3(x: Tensor) -> Tensor:
    """Every group of 128 (or fewer) of the last dimension to the nearest of all e4m3 numbers under its scale."""
    fractions = torch.tensor([sign * m / 8 for sign in (1, -1) for m in range(16)])
    grid = torch.cat([fractions * 2.0**e for e in range(-6, 9)]).unique()
    grid = grid[grid.abs() <= 448]
    rounded = []
    for group in x.split(128, dim=-1):
        scale = 2.0 ** (group.abs().amax(-1, keepdim=True).clamp_min(1e-4) / 448).log2().ceil()
        nearest = ((group / scale)[..., None] - grid).abs().argmin(dim=-1)
        rounded.append(grid[nearest] * scale)
    return torch.cat(rounded, dim=-1)


def _product(x: Tensor, weight: Tensor, fp8: frozenset[str]) -> Tensor:
    return (e4m3(x) if "products" in fp8 else x) @ weight.T


def _hadamard(x: Tensor) -> Tensor:
    width = x.shape[-1]
    signs = [[(-1) ** (i & j).bit_count() for j in range(width)] for i in range(width)]
    return x @ torch.tensor(signs, dtype=torch.float32) / math.sqrt(width)


def _attention(config: ModelConfig, part: Mapping[str, Tensor], x: Tensor, fp8: frozenset[str]) -> Tensor:
    length, heads, groups = len(x), config.num_attention_heads, config.num_latent_groups
    rank, rotary, nope = config.kv_lora_rank, config.qk_rope_head_dim, config.qk_nope_head_dim
    if config.q_lora_rank is None:
        source = x
        queries = _product(x, part["self_attn.q_proj.weight"], fp8)
    else:
        query_a = _product(x, part["self_attn.q_a_proj.weight"], fp8)
        source = _norm(query_a, part["self_attn.q_a_layernorm.weight"], config.rms_norm_eps)
        queries = _product(source, part["self_attn.q_b_proj.weight"], fp8)
    queries = queries.reshape(length, heads, nope + rotary)
    key_a = _product(x, part["self_attn.kv_a_proj_with_mqa.weight"], fp8)
    latents = key_a[:, : groups * rank].reshape(length, groups, rank)
    rotary_keys = key_a[:, groups * rank :].reshape(length, groups, rotary)
    if config.kv_latent_norm:
        latents = _norm(latents, part["self_attn.kv_a_layernorm.weight"], config.rms_norm_eps)
    if "latent" in fp8:
        latents = e4m3(latents)
    kv_b = part["self_attn.kv_b_proj.weight"].reshape(heads, nope + config.v_head_dim, rank)
    seen = _selected(config, part, x, source, fp8)
    outputs = torch.zeros(length, heads, config.v_head_dim)
    for head in range(heads):
        group = head * groups // heads
        keys_nope = latents[:, group] @ kv_b[head, :nope].T
        values = latents[:, group] @ kv_b[head, nope:].T
        keys_rotary = torch.stack([_rotate(rotary_keys[t, group], t, config.rope_theta, True) for t in range(length)])
        keys = torch.cat((keys_nope, keys_rotary), dim=1)
        for t in range(length):
            turned = _rotate(queries[t, head, nope:], t, config.rope_theta, True)
            scores = keys @ torch.cat((queries[t, head, :nope], turned)) / math.sqrt(nope + rotary)
            scores[~seen[t]] = -math.inf
            outputs[t, head] = scores.softmax(0) @ values
    return _product(outputs.reshape(length, -1), part["self_attn.o_proj.weight"], fp8)


def _selected(
    config: ModelConfig, part: Mapping[str, Tensor], x: Tensor, source: Tensor, fp8: frozenset[str]
) -> Tensor:
    """bool (query, key): the best index_topk of those that lie not in the future."""
    length, width, rotary = len(x), config.index_head_dim, config.qk_rope_head_dim
    queries = (_product(source, part["self_attn.indexer.wq_b.weight"], fp8)).reshape(
        length, config.index_n_heads, width
    )
    keys = F.layer_norm(
        _product(x, part["self_attn.indexer.wk.weight"], fp8),
        (width,),
        part["self_attn.indexer.k_norm.weight"],
        part["self_attn.indexer.k_norm.bias"],
        1e-6,
    )
    weights = x @ part["self_attn.indexer.weights_proj.weight"].T / math.sqrt(config.index_n_heads * width)
    for t in range(length):
        keys[t, :rotary] = _rotate(keys[t, :rotary], t, config.rope_theta, False)
        for head in range(config.index_n_heads):
            queries[t, head, :rotary] = _rotate(queries[t, head, :rotary], t, config.rope_theta, False)
    if "index" in fp8:
        queries, keys = e4m3(_hadamard(queries)), e4m3(_hadamard(keys))
    seen = torch.zeros(length, length, dtype=torch.bool)
    for t in range(length):
        scores = ((queries[t] @ keys[: t + 1].T).relu() * weights[t][:, None]).sum(0).tolist()
        best = sorted(range(t + 1), key=lambda position: (-scores[position], position))[: config.index_topk]
        seen[t, best] = True
    return seen


def _swiglu(part: Mapping[str, Tensor], prefix: str, x: Tensor, fp8: frozenset[str]) -> Tensor:
    gate, up, down = (part[f"{prefix}.{name}_proj.weight"] for name in ("gate", "up", "down"))
    return _product(F.silu(_product(x, gate, fp8)) * _product(x, up, fp8), down, fp8)


def _moe(config: ModelConfig, part: Mapping[str, Tensor], x: Tensor, fp8: frozenset[str]) -> Tensor:
    scores = (x @ part["mlp.gate.weight"].T).sigmoid()
    biased = scores + part["mlp.gate.e_score_correction_bias"]
    size = config.n_routed_experts // config.n_group
    outputs = _swiglu(part, "mlp.shared_experts", x, fp8)
    for t in range(len(x)):
        rating = [float(biased[t, g * size : (g + 1) * size].sort().values[-2:].sum()) for g in range(config.n_group)]
        groups = sorted(range(config.n_group), key=lambda g: -rating[g])[: config.topk_group]
        open_experts = [e for e in range(config.n_routed_experts) if e // size in groups]
        chosen = sorted(open_experts, key=lambda e: -float(biased[t, e]))[: config.num_experts_per_tok]
        total = sum(float(scores[t, e]) for e in chosen) if config.norm_topk_prob else 1.0
        for e in chosen:
            weight = float(scores[t, e]) / total * config.routed_scaling_factor
            outputs[t] += weight * _swiglu(part, f"mlp.experts.{e}", x[t], fp8)
    return outputs
