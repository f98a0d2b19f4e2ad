"""The model configuration, read from config.json in both spellings. Knows no tensors.

Releases write `rope_scaling` and `rope_theta`; transformers writes `rope_parameters`, `mlp_layer_types` and
`layer_types` and leaves out `scoring_func` and `topk_method`. What is missing takes the value of DeepSeek-V3.2-Exp,
an unknown key warns, a contradiction stops with the names of both sides.
"""

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

logger = logging.getLogger(__name__)

# What this engine computes; another value would silently be another model.
FIXED: dict[str, object] = {
    "model_type": "deepseek_v32",
    "scoring_func": "sigmoid",
    "topk_method": "noaux_tc",
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "moe_layer_freq": 1,
}
# Keys that say nothing about the forward pass, or that are read elsewhere in this file.
SILENT = frozenset(
    "architectures auto_map attention_dropout aux_loss_alpha dtype ep_size head_dim initializer_range layer_types"
    " mlp_layer_types num_key_value_heads output_router_logits pad_token_id pretraining_tp"
    " qk_head_dim quantization_config rope_parameters rope_scaling rope_theta seq_aux torch_dtype"
    " transformers_version use_cache eos_token_id".split()
)


@dataclass(frozen=True, slots=True)
class Yarn:
    """Context extension by rescaled rotary frequencies."""

    factor: float
    original_max_position_embeddings: int
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    mscale: float = 0.0
    mscale_all_dim: float = 0.0

    def magnitude(self, mscale: float) -> float:
        return 0.1 * mscale * math.log(self.factor) + 1.0 if self.factor > 1 else 1.0

    @property
    def rotary_magnitude(self) -> float:
        """Factor on cos and sin: 1 when mscale equals mscale_all_dim, and the whole magnitude when neither is given."""
        if self.mscale and self.mscale_all_dim:
            return self.magnitude(self.mscale) / self.magnitude(self.mscale_all_dim)
        return self.magnitude(1.0)


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Names are Hugging Face's, defaults are DeepSeek-V3.2-Exp's; the last block extends the family."""

    vocab_size: int = 129280
    hidden_size: int = 7168
    intermediate_size: int = 18432
    moe_intermediate_size: int = 2048
    num_hidden_layers: int = 61
    first_k_dense_replace: int = 3
    num_attention_heads: int = 128
    n_routed_experts: int = 256
    n_shared_experts: int = 1
    num_experts_per_tok: int = 8
    n_group: int = 8
    topk_group: int = 4
    norm_topk_prob: bool = True
    routed_scaling_factor: float = 2.5
    q_lora_rank: int | None = 1536
    kv_lora_rank: int = 512
    qk_nope_head_dim: int = 128
    qk_rope_head_dim: int = 64
    v_head_dim: int = 128
    index_n_heads: int = 64
    index_head_dim: int = 128
    index_topk: int = 2048
    max_position_embeddings: int = 163840
    rope_theta: float = 10000.0
    yarn: Yarn | None = None
    rms_norm_eps: float = 1e-6
    tie_word_embeddings: bool = False
    bos_token_id: int | None = 0
    eos_token_ids: tuple[int, ...] = (1,)
    num_nextn_predict_layers: int = 0  # draft layers that may be stored after the last; releases say 1

    num_latent_groups: int = 1  # heads share latents in this many groups; grouped-query attention is G = kv heads
    kv_latent_norm: bool = True

    def __post_init__(self) -> None:
        for name in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "kv_lora_rank"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least 1")
        self._require_divides("num_latent_groups", "num_attention_heads")
        self._require_divides("n_group", "n_routed_experts")
        self._require_at_most("topk_group", "n_group")
        self._require_at_most("qk_rope_head_dim", "index_head_dim")
        if self.n_routed_experts // self.n_group < 2 and self.first_k_dense_replace < self.num_hidden_layers:
            raise ValueError(f"n_routed_experts / n_group = {self.n_routed_experts}/{self.n_group}: must be at least 2")
        reachable = self.topk_group * self.n_routed_experts // self.n_group
        if self.num_experts_per_tok > reachable:
            raise ValueError(f"num_experts_per_tok = {self.num_experts_per_tok}: at most {reachable} can be reached")
        if self.num_nextn_predict_layers < 0:
            raise ValueError(f"num_nextn_predict_layers = {self.num_nextn_predict_layers}: must be at least 0")
        if self.qk_rope_head_dim % 2 or self.qk_rope_head_dim < 2:
            raise ValueError(f"qk_rope_head_dim = {self.qk_rope_head_dim}: must be even and at least 2")
        if self.index_topk < 1 or self.index_n_heads < 1:
            raise ValueError(f"index_topk = {self.index_topk}, index_n_heads = {self.index_n_heads}: at least 1 each")

    def _require_divides(self, divisor: str, of: str) -> None:
        if getattr(self, divisor) < 1 or getattr(self, of) % getattr(self, divisor):
            raise ValueError(f"{divisor} = {getattr(self, divisor)} must divide {of} = {getattr(self, of)}")

    def _require_at_most(self, small: str, large: str) -> None:
        if not 1 <= getattr(self, small) <= getattr(self, large):
            raise ValueError(f"{small} = {getattr(self, small)}: must be 1 to {large} = {getattr(self, large)}")

    @property
    def eos_token_id(self) -> int | None:
        return self.eos_token_ids[0] if self.eos_token_ids else None

    @property
    def qk_head_dim(self) -> int:
        return self.qk_nope_head_dim + self.qk_rope_head_dim

    @property
    def num_cache_layers(self) -> int:
        """Draft layers cache too, after the layers that answer."""
        return self.num_hidden_layers + self.num_nextn_predict_layers

    @property
    def shared_intermediate_size(self) -> int:
        return self.moe_intermediate_size * self.n_shared_experts

    @property
    def softmax_scale(self) -> float:
        scale = 1.0 / math.sqrt(self.qk_head_dim)
        if self.yarn and self.yarn.mscale_all_dim:
            scale *= self.yarn.magnitude(self.yarn.mscale_all_dim) ** 2
        return scale

    @property
    def index_scale(self) -> float:
        """Of the weights of index heads."""
        scale: float = self.index_n_heads**-0.5 * self.index_head_dim**-0.5
        return scale

    @property
    def rotary_magnitude(self) -> float:
        """Factor on cos and sin of every rotation."""
        return self.yarn.rotary_magnitude if self.yarn else 1.0

    def is_dense(self, layer: int) -> bool:
        return layer < self.first_k_dense_replace

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Reads `path` (config.json, or the directory that holds it); ValueError names the key that is wrong."""
        path = path / "config.json" if path.is_dir() else path
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ValueError(f"no config.json at {path}") from None
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is not JSON: {error}") from None
        if not isinstance(raw, dict):
            raise ValueError(f"{path} holds {type(raw).__name__}, not an object")
        return cls.from_dict(raw)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Self:
        _check_fixed(raw)
        values: dict[str, Any] = {}
        for field in fields(cls):
            if field.name in raw and field.name not in ("rope_theta", "yarn", "eos_token_ids"):
                values[field.name] = _typed(field.name, raw[field.name], field.type)
        values.update(_read_rope(raw))
        if (eos := raw.get("eos_token_id")) is not None:
            values["eos_token_ids"] = tuple(eos) if isinstance(eos, list) else (eos,)
        if (num_dense := _read_dense_layers(raw)) is not None:
            values["first_k_dense_replace"] = num_dense
        config = cls(**values)
        _check_derived(raw, config)
        unknown = sorted(set(raw) - SILENT - set(FIXED) - {field.name for field in fields(cls)})
        if unknown:
            logger.warning("config.json: unknown keys ignored: %s", ", ".join(unknown))
        return config

    def to_dict(self) -> dict[str, Any]:
        """The object to write as config.json, in the spelling of the releases."""
        raw = asdict(self)
        yarn, eos = raw.pop("yarn"), raw.pop("eos_token_ids")
        raw["rope_scaling"] = {"type": "yarn", **yarn} if yarn else None
        raw["eos_token_id"] = eos[0] if len(eos) == 1 else list(eos)
        raw["num_key_value_heads"] = self.num_attention_heads
        return {"architectures": ["DeepseekV32ForCausalLM"], **FIXED, **raw}


def _check_fixed(raw: Mapping[str, Any]) -> None:
    for name, only in FIXED.items():
        if name in raw and raw[name] != only:
            raise ValueError(f"{name} = {raw[name]!r}: only {only!r} is supported")
    quantization = raw.get("quantization_config")
    if quantization is not None:
        method, block = quantization.get("quant_method"), quantization.get("weight_block_size")
        if (method, block) not in (("fp8", [128, 128]), ("int8", None)):
            raise ValueError(
                f"quantization_config: quant_method {method!r} with weight_block_size {block!r};"
                " only 'fp8' with [128, 128], and 'int8' by rows, are supported"
            )


def _typed(name: str, value: Any, annotation: Any) -> Any:
    """`value` if it has the annotated type; an int where a float is meant becomes one."""
    if annotation is float and type(value) is int:
        return float(value)
    if not isinstance(value, annotation) or (isinstance(value, bool) and annotation is not bool):
        raise ValueError(f"{name} = {value!r}: must be {getattr(annotation, '__name__', annotation)}")
    return value


def _read_rope(raw: Mapping[str, Any]) -> dict[str, Any]:
    new, old = raw.get("rope_parameters"), raw.get("rope_scaling")
    spellings = [_read_yarn(name, value) for name, value in (("rope_parameters", new), ("rope_scaling", old)) if value]
    if len(spellings) == 2 and spellings[0] != spellings[1]:
        raise ValueError("rope_parameters and rope_scaling contradict each other")
    thetas = {float(source["rope_theta"]) for source in (raw, new or {}, old or {}) if "rope_theta" in source}
    if len(thetas) > 1:
        raise ValueError(f"rope_theta is given as {' and as '.join(str(theta) for theta in sorted(thetas))}")
    values: dict[str, Any] = {"yarn": spellings[0] if spellings else None}
    if thetas:
        values["rope_theta"] = thetas.pop()
    return values


def _read_yarn(name: str, raw: Mapping[str, Any]) -> Yarn | None:
    kind = raw.get("rope_type", raw.get("type", "default"))
    if kind == "default":
        return None
    if kind != "yarn":
        raise ValueError(f"{name}: type {kind!r}: only 'yarn' and 'default' are supported")
    known = {field.name: field.type for field in fields(Yarn)}
    unknown = sorted(set(raw) - set(known) - {"type", "rope_type", "rope_theta"})
    if unknown:
        raise ValueError(f"{name}: unknown keys {', '.join(unknown)}")
    try:
        return Yarn(**{key: _typed(f"{name}.{key}", raw[key], kind) for key, kind in known.items() if key in raw})
    except TypeError:
        raise ValueError(f"{name}: yarn needs factor and original_max_position_embeddings") from None


def _read_dense_layers(raw: Mapping[str, Any]) -> int | None:
    """first_k_dense_replace as `mlp_layer_types` spells it; None where that key is absent."""
    kinds = raw.get("mlp_layer_types")
    if kinds is None:
        return None
    num_dense = int(kinds.count("dense"))
    if kinds != ["dense"] * num_dense + ["sparse"] * (len(kinds) - num_dense):
        raise ValueError("mlp_layer_types: only dense layers first, then sparse ones, are supported")
    told = raw.get("first_k_dense_replace", num_dense)
    if min(told, len(kinds)) != num_dense:
        raise ValueError(f"first_k_dense_replace = {told} contradicts mlp_layer_types with {num_dense} dense layers")
    return num_dense


def _check_derived(raw: Mapping[str, Any], config: ModelConfig) -> None:
    expected = {
        "num_key_value_heads": config.num_attention_heads,
        "qk_head_dim": config.qk_head_dim,
        "head_dim": config.qk_rope_head_dim,
    }
    for name, value in expected.items():
        if raw.get(name, value) != value:
            raise ValueError(f"{name} = {raw[name]!r} contradicts the other keys, which make it {value}")
    for name, kind in (("layer_types", "indexed_attention"), ("mlp_layer_types", None)):
        kinds = raw.get(name)
        if kinds is not None and len(kinds) != config.num_hidden_layers:
            raise ValueError(f"{name} names {len(kinds)} layers, num_hidden_layers = {config.num_hidden_layers}")
        if kinds is not None and kind and set(kinds) - {kind}:
            raise ValueError(f"{name}: only {kind!r} is supported, got {sorted(set(kinds) - {kind})}")
