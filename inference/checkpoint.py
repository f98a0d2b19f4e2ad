"""Ordinary checkpoint directories: config.json and safetensors, single or sharded. Knows names and shapes, no forward.

Read tensor by tensor with one shard open at a time, so that memory never holds more than the weights and one shard.
Quantised weights (see quantization.py) are expanded while reading and made while writing.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from inference.config import ModelConfig
from inference.layout import Part, Shape, draft_shapes, is_correction_bias, is_quantized, num_elements, tensor_shapes
from inference.quantization import FP8_BLOCK, dequantize_blocks, dequantize_rows, quantize_blocks, quantize_rows

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
FP8_SCALE = "_scale_inv"  # X.weight_scale_inv, one fp32 number a block of 128x128
INT8_SCALE = "_scale"  # X.weight_scale, one fp32 number a row
# Small enough that the copies a shard needs while it is written fit beside the model on a laptop.
SHARD_BYTES = 512 * 2**20

Quantization = Literal["fp8", "int8"]
QUANTIZATION_CONFIGS: dict[Quantization, dict[str, object]] = {
    "fp8": {
        "quant_method": "fp8",
        "fmt": "e4m3",
        "activation_scheme": "dynamic",
        "weight_block_size": [FP8_BLOCK, FP8_BLOCK],
        "scale_fmt": "ue8m0",
    },
    "int8": {"quant_method": "int8", "activation_scheme": None},
}


class Checkpoint:
    """A checkpoint whose names and shapes have been checked; reads one tensor at a time."""

    def __init__(self, path: Path) -> None:
        self.config = ModelConfig.from_file(path)
        self._path = path
        self._file_of: dict[str, str] = {}
        self._stored: dict[str, tuple[str, Shape]] = {}  # number format and shape
        for file, names in _names_by_file(path).items():
            self._read_header(file, names)
        self._check()
        self._opened: tuple[str, Any] = ("", None)
        self._open_shard = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._open_shard.close()

    @property
    def has_draft(self) -> bool:
        """Whether the layers of multi-token prediction are stored too."""
        return any(name in self._file_of for name in draft_shapes(self.config))

    def is_fp8(self, name: str) -> bool:
        return self._stored[name][0] == "F8_E4M3"

    def shape(self, name: str) -> Shape:
        return self._stored[name][1]

    def read(self, name: str, dtype: torch.dtype, part: Part | None = None) -> Tensor:
        """The tensor in `dtype`, expanded where it is stored in FP8 or int8; always memory of its own.

        The correction bias comes in fp32, whatever is asked for. Of a part, nothing else is read, but for the rest of
        the FP8 blocks at its ends.
        """
        dtype = _held_dtype(name, dtype)
        if f"{name}{FP8_SCALE}" in self._file_of:
            blocks = part and Part(part.dim, part.start // FP8_BLOCK, -(-part.stop // FP8_BLOCK))
            whole = blocks and Part(blocks.dim, blocks.start * FP8_BLOCK, blocks.stop * FP8_BLOCK)
            expanded = dequantize_blocks(self._get(name, whole), self._get(f"{name}{FP8_SCALE}", blocks))
            if part and whole:
                expanded = expanded.narrow(part.dim, part.start - whole.start, part.stop - part.start).clone()
            return expanded.to(dtype)
        tensor = self._get(name, part)
        if f"{name}{INT8_SCALE}" in self._file_of:
            rows = part if part and part.dim == 0 else None
            return dequantize_rows(tensor, self._get(f"{name}{INT8_SCALE}", rows)).to(dtype)
        # Without a copy one small tensor holds its whole shard mapped: 1318 MiB idle instead of 653.
        return tensor.to(dtype, copy=True)

    def _get(self, name: str, part: Part | None = None) -> Tensor:
        """Opening is cheap; a shard left open would keep every page that was read from it."""
        file = self._file_of[name]
        if self._opened[0] != file:
            self._open_shard.close()
            self._opened = (file, self._open_shard.enter_context(_open(self._path / file)))
        if part is None:
            tensor: Tensor = self._opened[1].get_tensor(name)
            return tensor
        stored, indices = self._opened[1].get_slice(name), slice(part.start, part.stop)
        sliced: Tensor = stored[indices] if part.dim == 0 else stored[:, indices]
        return sliced

    def _read_header(self, file: str, names: list[str]) -> None:
        with _open(self._path / file) as opened:
            held = set(opened.keys())
            if absent := sorted(set(names) - held):
                raise ValueError(f"tensor {absent[0]} is missing from {file}, where {INDEX} has it")
            for name in held:
                stored = opened.get_slice(name)
                self._stored[name] = (stored.get_dtype(), tuple(stored.get_shape()))
        self._file_of |= dict.fromkeys(held, file)

    def _check(self) -> None:
        expected = tensor_shapes(self.config)
        if self.has_draft:
            expected |= draft_shapes(self.config)
        for name, shape in list(expected.items()):
            self._check_tensor(name, shape)
            if (scale := self._scale(name, shape)) is not None:
                self._check_tensor(*scale)
                expected[scale[0]] = scale[1]
        for name in sorted(set(self._file_of) - set(expected)):
            raise ValueError(f"tensor {name} in {self._path} is not part of this configuration")

    def _check_tensor(self, name: str, shape: Shape) -> None:
        if name not in self._file_of:
            raise ValueError(f"tensor {name} is missing from {self._path}")
        if self._stored[name][1] != shape:
            raise ValueError(f"tensor {name} has shape {self._stored[name][1]}, the configuration makes it {shape}")

    def _scale(self, name: str, shape: Shape) -> tuple[str, Shape] | None:
        """Name and shape of the scales that a quantised tensor needs."""
        kind = self._stored[name][0]
        if kind == "F8_E4M3":
            return f"{name}{FP8_SCALE}", tuple(-(-size // FP8_BLOCK) for size in shape)
        return (f"{name}{INT8_SCALE}", (shape[0], 1)) if kind == "I8" else None


def open_checkpoint(path: Path) -> Checkpoint:
    """Use as a context manager; ValueError names the first missing, surplus or misshapen tensor."""
    return Checkpoint(path)


def _open(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt")
    except SafetensorError as error:
        raise ValueError(f"{path} is no whole safetensors file: {error}") from None


def _names_by_file(path: Path) -> dict[str, list[str]]:
    """Every shard, with the names the index promises in it."""
    single, index = path / SINGLE, path / INDEX
    if not index.exists():
        if not single.exists():
            raise ValueError(f"no {SINGLE} and no {INDEX} in {path}")
        return {SINGLE: []}
    names_by_file: dict[str, list[str]] = {}
    for name, file in json.loads(index.read_text(encoding="utf-8"))["weight_map"].items():
        names_by_file.setdefault(file, []).append(name)
    for file in names_by_file:
        if not (path / file).exists():
            raise ValueError(f"{INDEX} names {file}, which is not in {path}")
    return names_by_file


def save_checkpoint(
    path: Path,
    config: ModelConfig,
    tensors: Mapping[str, Tensor],
    dtype: torch.dtype,
    shard_bytes: int = SHARD_BYTES,
    quantization: Quantization | None = None,
) -> None:
    """Writes config.json and safetensors into `path`, an existing directory; the correction bias stays fp32.

    The draft layers are written where `tensors` has them. Tensors are asked for shard by shard and copied: they may
    share memory (replicas do), or be read only then.
    """
    draft = draft_shapes(config)
    if not set(draft) & set(tensors):
        config, draft = replace(config, num_nextn_predict_layers=0), {}
    shapes = tensor_shapes(config) | draft
    for name in sorted(set(shapes) ^ set(tensors)):
        raise ValueError(f"tensor {name} is {'missing' if name in shapes else 'not part of this configuration'}")
    raw = {**config.to_dict(), "torch_dtype": str(dtype).removeprefix("torch.")}
    if quantization is not None:
        raw["quantization_config"] = QUANTIZATION_CONFIGS[quantization]
    (path / "config.json").write_text(json.dumps(raw, indent=2) + "\n", encoding="utf-8")
    shards = list(_shards({name: shapes[name] for name in tensors}, dtype, shard_bytes, quantization))
    weight_map: dict[str, str] = {}
    total_size = 0
    for number, names in enumerate(shards, start=1):
        file = SINGLE if len(shards) == 1 else f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        stored: dict[str, Tensor] = {}
        for name in names:
            stored |= _stored(name, tensors[name], dtype, quantization)
        weight_map |= dict.fromkeys(stored, file)
        total_size += sum(tensor.nbytes for tensor in stored.values())
        save_file(stored, path / file, metadata={"format": "pt"})
        (path / file).chmod(0o644)  # save_file makes it private, which a service user could not read
    if len(shards) > 1:
        index = {"metadata": {"total_size": total_size}, "weight_map": weight_map}
        (path / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _shards(
    shapes: Mapping[str, Shape], dtype: torch.dtype, shard_bytes: int, quantization: Quantization | None
) -> Iterator[list[str]]:
    names: list[str] = []
    size = 0
    for name, shape in shapes.items():
        bytes_ = num_elements(shape) * (1 if quantization and is_quantized(name) else _held_dtype(name, dtype).itemsize)
        if names and size + bytes_ > shard_bytes:
            yield names
            names, size = [], 0
        names.append(name)
        size += bytes_
    yield names


def _stored(name: str, tensor: Tensor, dtype: torch.dtype, quantization: Quantization | None) -> dict[str, Tensor]:
    """What the file holds for one tensor: itself, or its quantised values and their scales."""
    if quantization is None or not is_quantized(name):
        return {name: tensor.to(_held_dtype(name, dtype), copy=True).contiguous()}
    quantize, suffix = (quantize_blocks, FP8_SCALE) if quantization == "fp8" else (quantize_rows, INT8_SCALE)
    values, scale = quantize(tensor)
    return {name: values.contiguous(), f"{name}{suffix}": scale.contiguous()}


def _held_dtype(name: str, dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if is_correction_bias(name) else dtype
