"""What a checkpoint of the family holds: tensor names, shapes, number formats, and how several GPUs divide them.

Knows names and shapes; reads nothing.
"""

from dataclasses import dataclass
from typing import Literal

from inference.config import ModelConfig

Shape = tuple[int, ...]
WeightFormat = Literal["bfloat16", "float32", "fp8", "int8"]

# Split among GPUs along rows or along columns. Everything else is whole on each: norms, the router, q_a, kv_a, and all
# of the indexer, although its wq_b shares a leaf name with a split matrix in the published reference.
SPLIT_ROWS = ("q_b_proj", "q_proj", "kv_b_proj", "gate_proj", "up_proj", "embed_tokens", "lm_head", "head")
SPLIT_COLUMNS = ("o_proj", "down_proj")


def tensor_shapes(config: ModelConfig) -> dict[str, Shape]:
    """Every tensor a checkpoint of this configuration must hold, and its shape."""
    shapes: dict[str, Shape] = {
        "model.embed_tokens.weight": (config.vocab_size, config.hidden_size),
        "model.norm.weight": (config.hidden_size,),
    }
    if not config.tie_word_embeddings:
        shapes["lm_head.weight"] = (config.vocab_size, config.hidden_size)
    for layer in range(config.num_hidden_layers):
        shapes |= _layer_shapes(config, layer)
    return shapes


def draft_shapes(config: ModelConfig) -> dict[str, Shape]:
    """Multi-token prediction: further decoder layers after the last, each with an input and a head of its own."""
    vocab, hidden = config.vocab_size, config.hidden_size
    shapes: dict[str, Shape] = {}
    for layer in range(config.num_hidden_layers, config.num_hidden_layers + config.num_nextn_predict_layers):
        prefix = f"model.layers.{layer}"
        shapes |= _layer_shapes(config, layer)
        shapes |= {
            f"{prefix}.embed_tokens.weight": (vocab, hidden),
            f"{prefix}.enorm.weight": (hidden,),
            f"{prefix}.hnorm.weight": (hidden,),
            f"{prefix}.eh_proj.weight": (hidden, 2 * hidden),
            f"{prefix}.shared_head.norm.weight": (hidden,),
            f"{prefix}.shared_head.head.weight": (vocab, hidden),
        }
    return shapes


def is_quantized(name: str) -> bool:
    """Whether quantised checkpoints store this tensor so: the layers' products, but not what chooses among them."""
    leaf = name.removesuffix(".weight").rpartition(".")[2]
    if leaf in ("weights_proj", "eh_proj"):
        return False
    return name.endswith(".weight") and (leaf.endswith("_proj") or leaf in ("kv_a_proj_with_mqa", "wq_b", "wk"))


def is_correction_bias(name: str) -> bool:
    """Kept in fp32 by every format: it decides between experts whose scores are close."""
    return name.endswith("e_score_correction_bias")


def stored_bytes(name: str, shape: Shape, weights: WeightFormat) -> int:
    """Bytes of one tensor with its scales."""
    count = num_elements(shape)
    if is_correction_bias(name):
        return 4 * count
    if not is_quantized(name) or weights in ("bfloat16", "float32"):
        return count * (4 if weights == "float32" else 2)
    scales = -(-shape[0] // 128) * -(-shape[1] // 128) if weights == "fp8" else shape[0]
    return count + 4 * scales


def is_split(name: str) -> bool:
    """Whether each of N GPUs holds one Nth: of a matrix, or of the experts."""
    leaf = name.removesuffix(".weight").rpartition(".")[2]
    return ".experts." in name or leaf in SPLIT_ROWS or leaf in SPLIT_COLUMNS


@dataclass(frozen=True, slots=True)
class Part:
    """Indices [start, stop) of one dimension of a matrix."""

    dim: int
    start: int
    stop: int


def part_of(name: str, shape: Shape, rank: int, size: int) -> Part | None:
    """What one of `size` ranks holds of a matrix that is split; None where it is read whole, as an expert is."""
    leaf = name.removesuffix(".weight").rpartition(".")[2]
    if size == 1 or ".experts." in name or not is_split(name):
        return None
    dim = 0 if leaf in SPLIT_ROWS else 1
    width = shape[dim] // size
    return Part(dim, rank * width, (rank + 1) * width)


def divided_sizes(config: ModelConfig) -> dict[str, int]:
    """What several GPUs or processes divide among them, by its name in the configuration."""
    names = ["num_attention_heads", "num_latent_groups", "vocab_size"]
    if config.first_k_dense_replace:
        names.append("intermediate_size")
    if config.first_k_dense_replace < config.num_hidden_layers:
        names += ["n_routed_experts", "shared_intermediate_size"]
    return {name: getattr(config, name) for name in names}


def indivisible(config: ModelConfig, size: int) -> str | None:
    """The first of these that does not divide by `size`. Fewer latent groups than ranks are shared by several."""
    for name, count in divided_sizes(config).items():
        if count % size and not (name == "num_latent_groups" and size % count == 0):
            return name
    return None


def rounded_widths(config: ModelConfig) -> dict[str, int]:
    """The widths along which matrices are split, which FP8 cuts into groups of 128."""
    heads = config.num_attention_heads
    widths = {
        "num_attention_heads * qk_head_dim": heads * config.qk_head_dim,
        "num_attention_heads * (qk_nope_head_dim + v_head_dim)": heads * (config.qk_nope_head_dim + config.v_head_dim),
        "num_attention_heads * v_head_dim": heads * config.v_head_dim,
    }
    return widths | {name: size for name, size in divided_sizes(config).items() if name.endswith("intermediate_size")}


def num_elements(shape: Shape) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _layer_shapes(config: ModelConfig, layer: int) -> dict[str, Shape]:
    prefix, hidden = f"model.layers.{layer}", config.hidden_size
    shapes: dict[str, Shape] = {
        f"{prefix}.input_layernorm.weight": (hidden,),
        f"{prefix}.post_attention_layernorm.weight": (hidden,),
    }
    shapes |= {f"{prefix}.self_attn.{name}": shape for name, shape in _attention_shapes(config).items()}
    return shapes | {f"{prefix}.mlp.{name}": shape for name, shape in _mlp_shapes(config, layer).items()}


def _attention_shapes(config: ModelConfig) -> dict[str, Shape]:
    hidden, heads, rank = config.hidden_size, config.num_attention_heads, config.q_lora_rank
    index_heads, index_width = config.index_n_heads, config.index_head_dim
    shapes: dict[str, Shape] = {
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


def _mlp_shapes(config: ModelConfig, layer: int) -> dict[str, Shape]:
    if config.is_dense(layer):
        return _swiglu_shapes("", config.hidden_size, config.intermediate_size)
    shapes: dict[str, Shape] = {
        "gate.weight": (config.n_routed_experts, config.hidden_size),
        "gate.e_score_correction_bias": (config.n_routed_experts,),
    }
    if config.n_shared_experts:
        shapes |= _swiglu_shapes("shared_experts.", config.hidden_size, config.shared_intermediate_size)
    for expert in range(config.n_routed_experts):
        shapes |= _swiglu_shapes(f"experts.{expert}.", config.hidden_size, config.moe_intermediate_size)
    return shapes


def _swiglu_shapes(prefix: str, hidden: int, width: int) -> dict[str, Shape]:
    return {
        f"{prefix}gate_proj.weight": (width, hidden),
        f"{prefix}up_proj.weight": (width, hidden),
        f"{prefix}down_proj.weight": (hidden, width),
    }
