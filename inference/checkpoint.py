"""Ordinary checkpoint directories: config.json and safetensors, single or sharded. Knows names and shapes, no forward.

FP8 weights (128x128 blocks with `weight_scale_inv`, which multiplies despite its name) are expanded while reading.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from inference.config import ModelConfig

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
FP8_BLOCK = 128
# Small enough that the copies a shard needs while it is written fit beside the model on a laptop.
SHARD_BYTES = 512 * 2**20


def tensor_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Every tensor a checkpoint of this configuration must hold, and its shape."""
    hidden = config.hidden_size
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (config.vocab_size, hidden),
        "model.norm.weight": (hidden,),
    }
    if not config.tie_word_embeddings:
        shapes["lm_head.weight"] = (config.vocab_size, hidden)
    for layer in range(config.num_hidden_layers):
        prefix = f"model.layers.{layer}"
        shapes[f"{prefix}.input_layernorm.weight"] = (hidden,)
        shapes[f"{prefix}.post_attention_layernorm.weight"] = (hidden,)
        shapes |= {f"{prefix}.self_attn.{name}": shape for name, shape in _attention_shapes(config).items()}
        shapes |= {f"{prefix}.mlp.{name}": shape for name, shape in _mlp_shapes(config, layer).items()}
    return shapes


def _attention_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    hidden, heads, rank = config.hidden_size, config.num_attention_heads, config.q_lora_rank
    index_heads, index_width = config.index_n_heads, config.index_head_dim
    shapes: dict[str, tuple[int, ...]] = {
        "kv_a_proj_with_mqa.weight": (
            config.num_latent_groups * (config.kv_lora_rank + config.qk_rope_head_dim),
            hidden,
        ),
        "kv_b_proj.weight": (heads * (config.qk_nope_head_dim + config.v_head_dim), config.kv_lora_rank),
        "o_proj.weight": (hidden, heads * config.v_head_dim),
        "indexer.wq_b.weight": (index_heads * index_width, hidden if rank is None else rank),
        "indexer.wk.weight": (index_width, hidden),
        "indexer.k_norm.weight": (index_width,),
        "indexer.k_norm.bias": (index_width,),
        "indexer.weights_proj.weight": (index_heads, hidden),
    }
    if rank is None:
        shapes["q_proj.weight"] = (heads * config.qk_head_dim, hidden)
    else:
        shapes["q_a_proj.weight"] = (rank, hidden)
        shapes["q_a_layernorm.weight"] = (rank,)
        shapes["q_b_proj.weight"] = (heads * config.qk_head_dim, rank)
    if config.kv_latent_norm:
        shapes["kv_a_layernorm.weight"] = (config.kv_lora_rank,)
    return shapes


def _mlp_shapes(config: ModelConfig, layer: int) -> dict[str, tuple[int, ...]]:
    if config.is_dense(layer):
        return _swiglu_shapes("", config.hidden_size, config.intermediate_size)
    shapes: dict[str, tuple[int, ...]] = {
        "gate.weight": (config.n_routed_experts, config.hidden_size),
        "gate.e_score_correction_bias": (config.n_routed_experts,),
    }
    if config.n_shared_experts:
        shapes |= _swiglu_shapes("shared_experts.", config.hidden_size, config.shared_intermediate_size)
    for expert in range(config.n_routed_experts):
        shapes |= _swiglu_shapes(f"experts.{expert}.", config.hidden_size, config.moe_intermediate_size)
    return shapes


def _swiglu_shapes(prefix: str, hidden: int, width: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{prefix}gate_proj.weight": (width, hidden),
        f"{prefix}up_proj.weight": (width, hidden),
        f"{prefix}down_proj.weight": (hidden, width),
    }


class Checkpoint:
    """An open checkpoint whose names and shapes have been checked; reads one tensor at a time."""

    def __init__(self, path: Path) -> None:
        self.config = ModelConfig.from_file(path)
        self._open_files = ExitStack()
        try:
            self._file_of = self._open(path)
            self._check(path)
        except BaseException:
            self._open_files.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._open_files.close()

    def read(self, name: str, dtype: torch.dtype) -> Tensor:
        """The tensor in `dtype`, dequantised where it is stored in FP8."""
        tensor: Tensor = self._file_of[name].get_tensor(name)
        scale_name = f"{name}_scale_inv"
        if scale_name in self._file_of:
            scale = self._file_of[scale_name].get_tensor(scale_name)
            return _dequantise(tensor, scale).to(dtype)
        return tensor.to(dtype)

    def _open(self, path: Path) -> dict[str, Any]:
        """Every stored tensor name and the open file that holds it."""
        single, index = path / SINGLE, path / INDEX
        if index.exists():
            names_by_file: dict[str, list[str]] = {}
            for name, file in json.loads(index.read_text(encoding="utf-8"))["weight_map"].items():
                names_by_file.setdefault(file, []).append(name)
        elif single.exists():
            names_by_file = {SINGLE: []}
        else:
            raise ValueError(f"no {SINGLE} and no {INDEX} in {path}")
        file_of: dict[str, Any] = {}
        for file, names in names_by_file.items():
            if not (path / file).exists():
                raise ValueError(f"{INDEX} names {file}, which is not in {path}")
            opened = self._open_files.enter_context(safe_open(path / file, framework="pt"))
            held = set(opened.keys())
            if absent := sorted(set(names) - held):
                raise ValueError(f"tensor {absent[0]} is missing from {file}, where {INDEX} has it")
            file_of |= dict.fromkeys(held, opened)
        return file_of

    def _check(self, path: Path) -> None:
        expected = tensor_shapes(self.config)
        for name, shape in expected.items():
            if name not in self._file_of:
                raise ValueError(f"tensor {name} is missing from {path}")
            stored = tuple(self._file_of[name].get_slice(name).get_shape())
            if stored != shape:
                raise ValueError(f"tensor {name} has shape {stored}, the configuration makes it {shape}")
        known = set(expected) | {f"{name}_scale_inv" for name in expected}
        for name in sorted(self._file_of):
            if name not in known and not self._is_draft_layer(name):
                raise ValueError(f"tensor {name} in {path} is not part of this configuration")

    def _is_draft_layer(self, name: str) -> bool:
        """Multi-token prediction is stored as one more layer; it is not needed to answer."""
        parts = name.split(".")
        return parts[:2] == ["model", "layers"] and int(parts[2]) >= self.config.num_hidden_layers


def open_checkpoint(path: Path) -> Checkpoint:
    """Use as a context manager; ValueError names the first missing, surplus or misshapen tensor."""
    return Checkpoint(path)


def _dequantise(weight_OI: Tensor, scale: Tensor) -> Tensor:
    """w = w_fp8 * scale of its 128x128 block; the last block may be partial."""
    rows, columns = weight_OI.shape
    spread = scale.repeat_interleave(FP8_BLOCK, 0)[:rows].repeat_interleave(FP8_BLOCK, 1)[:, :columns]
    return weight_OI.float() * spread


def save_checkpoint(
    path: Path,
    config: ModelConfig,
    tensors: Mapping[str, Tensor],
    dtype: torch.dtype,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Writes config.json and safetensors into `path`, an existing directory; the correction bias stays fp32.

    Tensors may share memory (replicas do): they are copied shard by shard.
    """
    shapes = tensor_shapes(config)
    for name in sorted(set(shapes) ^ set(tensors)):
        raise ValueError(f"tensor {name} is {'missing' if name in shapes else 'not part of this configuration'}")
    raw = {**config.to_dict(), "torch_dtype": str(dtype).removeprefix("torch.")}
    (path / "config.json").write_text(json.dumps(raw, indent=2) + "\n", encoding="utf-8")
    shards = list(_shards(tensors, dtype, shard_bytes))
    weight_map: dict[str, str] = {}
    for number, names in enumerate(shards, start=1):
        file = SINGLE if len(shards) == 1 else f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        weight_map |= dict.fromkeys(names, file)
        stored = {name: tensors[name].to(_stored_dtype(name, dtype), copy=True).contiguous() for name in names}
        save_file(stored, path / file, metadata={"format": "pt"})
        (path / file).chmod(0o644)  # save_file makes it private, which a service user could not read
    if len(shards) > 1:
        total = sum(_stored_bytes(name, tensor, dtype) for name, tensor in tensors.items())
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (path / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _shards(tensors: Mapping[str, Tensor], dtype: torch.dtype, shard_bytes: int) -> Iterator[list[str]]:
    names: list[str] = []
    size = 0
    for name, tensor in tensors.items():
        bytes_ = _stored_bytes(name, tensor, dtype)
        if names and size + bytes_ > shard_bytes:
            yield names
            names, size = [], 0
        names.append(name)
        size += bytes_
    yield names


def _stored_dtype(name: str, dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if name.endswith("e_score_correction_bias") else dtype


def _stored_bytes(name: str, tensor: Tensor, dtype: torch.dtype) -> int:
    return tensor.numel() * _stored_dtype(name, dtype).itemsize
