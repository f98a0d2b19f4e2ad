"""The keys that extend the family, against the plain reference: latent groups, no query latent, no latent norm."""

from dataclasses import replace

import pytest
import torch

from inference.config import ModelConfig
from inference.model import Model
from inference.model.moe import MoE
from tests.inference.plain_reference import forward, random_tensors, with_equal_experts
from tests.inference.stepping import Stepper, random_tokens

TOLERANCE = 1e-4

GROUPED = ModelConfig(
    vocab_size=256, hidden_size=48, intermediate_size=64, moe_intermediate_size=16, num_hidden_layers=2,
    first_k_dense_replace=0, num_attention_heads=6, n_routed_experts=8, n_shared_experts=2, num_experts_per_tok=4,
    n_group=2, topk_group=1, routed_scaling_factor=4.0, q_lora_rank=None, kv_lora_rank=8, qk_nope_head_dim=0,
    qk_rope_head_dim=8, v_head_dim=8, index_n_heads=16, index_head_dim=8, index_topk=6, max_position_embeddings=512,
    rope_theta=100000.0, rms_norm_eps=1e-5, tie_word_embeddings=True, num_latent_groups=3, kv_latent_norm=False,
)  # fmt: skip
VARIANTS = {
    "grouped queries": GROUPED,
    "groups with a part without position": replace(GROUPED, qk_nope_head_dim=4, num_latent_groups=2),
    "latent wider than the values": replace(GROUPED, kv_lora_rank=24, qk_nope_head_dim=4, kv_latent_norm=True),
    "query latent, wider index heads, dense first": replace(
        GROUPED, q_lora_rank=16, index_head_dim=16, first_k_dense_replace=1, tie_word_embeddings=False
    ),
    "weights not normalised, all groups": replace(GROUPED, norm_topk_prob=False, topk_group=2, num_latent_groups=1),
}


@pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS.keys())
def test_logits_equal_the_plain_reference(config: ModelConfig) -> None:
    tensors, tokens = random_tensors(config), random_tokens(20)
    right = forward(config, tensors, tokens)
    stepper = Stepper(Model(config, tensors.__getitem__))
    for chunks in ([20], [3, 1, 9], []):
        assert float((stepper.run(tokens, chunks) - right).abs().max()) < TOLERANCE


def test_equal_experts_share_storage_and_one_wide_product() -> None:
    """Two replicas of four shards: four distinct experts, as many as are active, so all run as one."""
    tensors = with_equal_experts(random_tensors(GROUPED), 4)
    model, tokens = Model(GROUPED, tensors.__getitem__), random_tokens(20)
    moe = model.layers[0].mlp
    assert isinstance(moe, MoE) and moe.num_distinct == 4 and moe.is_wide
    right = forward(GROUPED, tensors, tokens)
    assert float((Stepper(model).run(tokens, [15]) - right).abs().max()) < TOLERANCE
    assert model.expert_counts.sum(dim=1).tolist() == [80, 80]
    assert (model.expert_counts[:, 4:].sum(dim=1) > 0).all(), "replicas are counted apart"


def test_bfloat16_stays_close_to_fp32() -> None:
    tensors, tokens = random_tensors(GROUPED), random_tokens(20)
    dense = replace(GROUPED, index_topk=32)  # a rounded score may choose another token, which is no rounding error
    model = Model(dense, lambda name: tensors[name].to(torch.bfloat16))
    right = forward(dense, tensors, tokens)
    error = (Stepper(model).run(tokens, [15]) - right).abs().max()
    assert float(error) < 0.05 * float(right.abs().max())
