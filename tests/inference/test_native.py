"""The decoder in C++: its parts against PyTorch's, whole steps against the model, alone and beside it."""

import ctypes
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from inference.cache import PagedCache
from inference.config import ModelConfig
from inference.model import Model
from inference.model.indexer import select_topk
from inference.native import library
from inference.native.decoder import FINE_GROUP, GROUP, NativeDecoder, unsupported
from inference.native.model import NativeModel
from tests.inference.plain_reference import forward, random_tensors, with_equal_experts
from tests.inference.stepping import Stepper, random_tokens

pytestmark = pytest.mark.skipif(
    not any(shutil.which(name) for name in library.COMPILERS), reason="no C++ compiler on this machine"
)

CONFIG = ModelConfig(
    vocab_size=250, hidden_size=64, intermediate_size=64, moe_intermediate_size=16, num_hidden_layers=2,
    first_k_dense_replace=0, num_attention_heads=4, n_routed_experts=8, n_shared_experts=4, num_experts_per_tok=4,
    n_group=2, topk_group=1, routed_scaling_factor=4.0, q_lora_rank=None, kv_lora_rank=16, qk_nope_head_dim=0,
    qk_rope_head_dim=16, v_head_dim=16, index_n_heads=16, index_head_dim=16, index_topk=8, max_position_embeddings=512,
    rope_theta=100000.0, rms_norm_eps=1e-5, tie_word_embeddings=True, num_latent_groups=2, kv_latent_norm=False,
)  # fmt: skip
# What each of the three ways to multiply bytes is compiled for; the last is any machine with a compiler.
MACHINES = {"avx512_vnni": library.MACHINE_FLAGS, "avx_vnni": ("-march=x86-64-v3", "-mavxvnni"), "any": ()}


@pytest.fixture(scope="module", params=MACHINES)
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    if request.param != "any" and request.param not in library.cpu_flags():
        pytest.skip(f"this processor has no {request.param}")
    path = tmp_path_factory.mktemp("native") / "decode.so"
    library.build(path, MACHINES[request.param])
    return ctypes.CDLL(str(path))


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    """Two replicas of four shards, so that four distinct experts run as one product; all values fit bfloat16."""
    tensors = with_equal_experts(random_tensors(CONFIG), 4)
    return {name: tensor.to(torch.bfloat16).float() for name, tensor in tensors.items()}


def native_model(
    compiled: ctypes.CDLL, tensors: dict[str, Tensor], config: ModelConfig = CONFIG, num_threads: int = 2
) -> NativeModel:
    decoder = NativeDecoder(compiled, config, tensors.__getitem__, num_threads)
    return NativeModel(Model(config, lambda name: tensors[name].to(torch.bfloat16)), decoder)


class DecodingStepper(Stepper):
    """Steps the decoder alone, whatever the number of rows."""

    def __init__(self, native: NativeModel) -> None:
        super().__init__(native.model)
        self.model = native.decoder  # type: ignore[assignment]


# --- its parts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [GROUP, FINE_GROUP])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9, 17])
def test_products_are_those_of_rounded_rows_and_weights(compiled: ctypes.CDLL, count: int, group: int) -> None:
    generator = torch.Generator().manual_seed(count)
    x_TI = torch.randn(count, 128, generator=generator) * 3
    x_TI[:, 5] *= 30  # an outlier costs its own group its precision, and no other
    weight_OI = torch.randn(37, 128, generator=generator)
    packed = torch.full((64 * 128,), 7, dtype=torch.uint8)
    scale_O = torch.full((64,), math.nan)
    address = lambda tensor: ctypes.c_void_p(tensor.data_ptr())  # noqa: E731
    compiled.sonde_pack(address(weight_OI), 37, 128, address(packed), address(scale_O))
    out_TO = torch.full((count, len(scale_O)), math.nan)

    class Matrix(ctypes.Structure):
        _fields_ = [
            *((name, ctypes.c_void_p) for name in ("weight", "scale")),
            *((name, ctypes.c_int32) for name in ("rows", "cols", "group")),
        ]

    matrix = Matrix(packed.data_ptr(), scale_O.data_ptr(), len(scale_O), 128, group)
    compiled.sonde_multiply(
        ctypes.byref(matrix), ctypes.c_void_p(x_TI.data_ptr()), count, ctypes.c_void_p(out_TO.data_ptr())
    )

    groups_TGI = torch.unflatten(x_TI, 1, (-1, group)).double()
    step_TG1 = groups_TGI.abs().amax(-1, keepdim=True) / 127
    rounded_TI = ((groups_TGI / step_TG1).round() * step_TG1).flatten(1)
    scale_O1 = weight_OI.double().abs().amax(1, keepdim=True) / 127
    right_TO = rounded_TI @ ((weight_OI / scale_O1).round() * scale_O1).T
    assert float((out_TO[:, :37] - right_TO).abs().max()) < 2e-5 * float(right_TO.abs().max())
    assert (out_TO[:, 37:] == 0).all(), "padded rows are zero"


SCORES: dict[str, Callable[[Tensor], Tensor]] = {
    "any": lambda scores: scores,
    "many equal": lambda scores: (scores * 2).round(),
    "mostly zero": lambda scores: scores.relu() * (scores > 1.5),
    "one value": torch.zeros_like,
    "not a number": lambda scores: torch.where(scores > 0.3, torch.nan, scores),
    "minus infinity": lambda scores: torch.where(scores < 0.9, -torch.inf, scores),
    "signs of zero": lambda scores: torch.copysign(torch.zeros_like(scores), scores),
}


@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize(("length", "k"), [(1, 4), (9, 8), (100, 100), (1000, 64), (5000, 512)])
def test_the_same_positions_are_chosen(compiled: ctypes.CDLL, kind: str, length: int, k: int) -> None:
    scores_C = SCORES[kind](torch.randn(length, generator=torch.Generator().manual_seed(length))).contiguous()
    chosen_K = torch.full((k,), -7, dtype=torch.int32)
    found = compiled.sonde_select_topk(
        ctypes.c_void_p(scores_C.data_ptr()), length, k, ctypes.c_void_p(chosen_K.data_ptr())
    )
    right_K = select_topk(scores_C[None], k)[0]
    assert chosen_K[:found].tolist() == [position for position in right_K.tolist() if position >= 0]


# --- whole steps ----------------------------------------------------------------------------------------------------


def relative_error(found: Tensor, right: Tensor) -> float:
    return float((found - right).norm() / right.norm())


@pytest.mark.parametrize("topk", [8, 512], ids=["sparse", "dense"])
def test_steps_stay_close_to_the_plain_reference(compiled: ctypes.CDLL, tensors: dict[str, Tensor], topk: int) -> None:
    """8-bit products leave 3 to 4 percent in a random model; what is wrong by kind leaves ten times that."""
    config, tokens = replace(CONFIG, index_topk=topk), random_tokens(40, 250)
    native = native_model(compiled, tensors, config)
    right = forward(config, tensors, tokens)
    for chunks in ([], [5, 1, 8, 2], [40]):
        logits = DecodingStepper(native).run(tokens, chunks)
        error = (logits - right).norm(dim=-1) / right.norm(dim=-1)
        assert float(error.median()) < 0.06, "a row"
        assert relative_error(logits, right) < 0.15, "a chosen position may differ where scores are close"
    assert relative_error(forward(replace(config, index_topk=520 - topk), tensors, tokens), right) > 0.3


def test_a_row_is_the_same_whatever_is_computed_beside_it(compiled: ctypes.CDLL, tensors: dict[str, Tensor]) -> None:
    tokens = {f"sequence {n}": random_tokens(30 - n, 250, seed=n) for n in range(9)}
    alone: dict[str, Tensor] = {}
    for name, ids in tokens.items():
        alone[name] = DecodingStepper(native_model(compiled, tensors, num_threads=1)).run(ids, [])
    stepper = DecodingStepper(native_model(compiled, tensors, num_threads=3))
    together: dict[str, list[Tensor]] = {name: [] for name in tokens}
    for start in range(30):
        for name, logits in stepper.step(
            {name: [ids[start]] for name, ids in tokens.items() if start < len(ids)}
        ).items():
            together[name].append(logits)
    for name, logits in alone.items():
        assert torch.equal(logits, torch.cat(together[name])), name


@pytest.mark.parametrize("topk", [8, 24, 512])
def test_a_prompt_is_read_to_the_same_digits_in_any_pieces(
    compiled: ctypes.CDLL, tensors: dict[str, Tensor], topk: int
) -> None:
    """Many rows share the laying out of keys and weights, few do not: neither may be seen in a row."""
    native, tokens = native_model(compiled, tensors, replace(CONFIG, index_topk=topk)), random_tokens(70, 250)
    alone = DecodingStepper(native).run(tokens, [])
    for chunks in ([70], [9, 1, 33, 8], [16, 17]):
        assert torch.equal(alone, DecodingStepper(native).run(tokens, chunks))


def test_threads_change_no_digit(compiled: ctypes.CDLL) -> None:
    """At the default model's widths, where sums are long enough to be ordered by where their data lie."""
    config = replace(
        CONFIG, hidden_size=576, moe_intermediate_size=128, num_hidden_layers=1, num_attention_heads=9,
        num_latent_groups=3, n_routed_experts=8, n_group=2, num_experts_per_tok=4, kv_lora_rank=64, v_head_dim=64,
        qk_rope_head_dim=64, index_head_dim=64, index_n_heads=8, index_topk=24,
    )  # fmt: skip
    drawn = with_equal_experts(random_tensors(config), 4)
    tensors = {name: tensor.to(torch.bfloat16).float() for name, tensor in drawn.items()}
    tokens = random_tokens(60, 250)
    alone, *others = (
        DecodingStepper(native_model(compiled, tensors, config, num_threads)).run(tokens, [7, 1, 3])
        for num_threads in (1, 2, 3, 2)
    )
    assert all(torch.equal(alone, other) for other in others)


def test_prompts_and_answers_of_one_step_are_shared_out(compiled: ctypes.CDLL, tensors: dict[str, Tensor]) -> None:
    """Long parts go to PyTorch, short ones to C++, and each row's logits come back to its own place."""
    native = native_model(compiled, tensors, replace(CONFIG, index_topk=512))
    stepper = Stepper(native.model)
    stepper.model = native  # type: ignore[assignment]
    tokens = {
        "answer": random_tokens(20, 250, 1),
        "prompt": random_tokens(20, 250, 2),
        "other": random_tokens(9, 250, 3),
    }
    rights = {name: forward(native.model.config, tensors, ids) for name, ids in tokens.items()}
    found: dict[str, list[Tensor]] = {name: [] for name in tokens}
    for step in (
        {"answer": tokens["answer"][:17]},
        {"answer": tokens["answer"][17:18], "prompt": tokens["prompt"][:12], "other": tokens["other"][:8]},
        {"prompt": tokens["prompt"][12:], "answer": tokens["answer"][18:], "other": tokens["other"][8:]},
    ):
        for name, logits in stepper.step(step).items():
            found[name].append(logits)
    for name, right in rights.items():
        assert relative_error(torch.cat(found[name]), right) < 0.08
    assert int(native.expert_counts.sum()) == 49 * 2 * CONFIG.num_experts_per_tok
    assert int(native.decoder.expert_counts.sum()) > 0 and int(native.model.expert_counts.sum()) > 0


def test_what_is_not_finite_reaches_the_sampler(compiled: ctypes.CDLL, tensors: dict[str, Tensor]) -> None:
    poisoned = dict(tensors)
    poisoned["model.embed_tokens.weight"] = tensors["model.embed_tokens.weight"].clone()
    poisoned["model.embed_tokens.weight"][7] = math.inf
    untied = replace(CONFIG, tie_word_embeddings=False)
    poisoned["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    stepper = DecodingStepper(native_model(compiled, poisoned, untied))
    logits = stepper.step({"good": [3], "bad": [7], "too": [4]})
    assert not logits["bad"].isfinite().any()
    assert logits["good"].isfinite().all() and logits["too"].isfinite().all()


# --- where it is not for --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"q_lora_rank": 16}, "q_lora_rank"),
        ({"qk_nope_head_dim": 16}, "qk_nope_head_dim"),
        ({"kv_latent_norm": True}, "kv_latent_norm"),
        ({"first_k_dense_replace": 1}, "dense layers"),
        ({"num_nextn_predict_layers": 1}, "draft layers"),
        ({"hidden_size": 48}, "multiple of 64"),
        ({"index_head_dim": 32}, "16 or all 64"),
    ],
)
def test_other_kinds_of_models_are_refused_by_name(
    compiled: ctypes.CDLL, tensors: dict[str, Tensor], change: dict[str, object], told: str
) -> None:
    config = replace(CONFIG, **change)  # type: ignore[arg-type]
    assert told in (unsupported(config) or "")
    with pytest.raises(ValueError, match=told):
        NativeDecoder(compiled, config, tensors.__getitem__, 1)


def test_distinct_experts_and_other_caches_are_refused(compiled: ctypes.CDLL, tensors: dict[str, Tensor]) -> None:
    with pytest.raises(ValueError, match="8 distinct experts"):
        NativeDecoder(compiled, CONFIG, random_tensors(CONFIG).__getitem__, 1)
    native = native_model(compiled, tensors)
    with pytest.raises(ValueError, match="bfloat16 cache"):
        DecodingStepper(native).model.forward(None, PagedCache(CONFIG, 4))  # type: ignore[arg-type]


def test_a_source_that_does_not_compile_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(library.BuildError, match="does not compile"):
        library.build(tmp_path / "decode.so", ("-march=no-such-machine",))
    assert list(tmp_path.iterdir()) == []
