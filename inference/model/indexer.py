"""The lightning indexer: scores every cached token for every new one and keeps the best index_topk.

The published kernels rotate queries and keys by the orthonormal Hadamard matrix, which spreads outliers, and round
them to FP8. Exact arithmetic leaves both out: the rotation changes no dot product. Reference arithmetic does both.
Legend: T tokens of the step, C cached tokens of one sequence, I index heads, J index head width, K kept.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from inference.config import ModelConfig
from inference.model.linear import Linear
from inference.model.rope import rotate_halves
from inference.quantization import round_groups

KEY_NORM_EPS = 1e-6  # of the published reference, independent of rms_norm_eps


class Indexer:
    """Queries and keys of one layer. The key projection itself is fused with the layer's other inputs."""

    def __init__(self, config: ModelConfig, tensor: Callable[[str], Tensor], fp8: bool = False) -> None:
        self._config = config
        query = tensor("wq_b.weight")
        self._dtype = query.dtype
        self._query = Linear(query, fp8)
        self._hadamard_JJ = hadamard(config.index_head_dim).to(query.device) if fp8 else None
        self._weights = tensor("weights_proj.weight").float()
        self._norm_weight = tensor("k_norm.weight").float()
        self._norm_bias = tensor("k_norm.bias").float()
        self._scale = config.index_n_heads**-0.5 * config.index_head_dim**-0.5

    def keys(self, projected_TJ: Tensor, rope: Tensor) -> Tensor:
        """fp32 (T, J): normalised and rotated, ready to be cached."""
        keys_TJ = F.layer_norm(
            projected_TJ.float(), self._norm_weight.shape, self._norm_weight, self._norm_bias, KEY_NORM_EPS
        )
        return self._round(self._rotate(keys_TJ[:, None], rope)[:, 0])

    def queries(self, source_TD: Tensor, rope: Tensor) -> Tensor:
        """fp32 (T, I, J), from the normalised query latent (or from x where there is none)."""
        queries_TIJ = torch.unflatten(self._query(source_TD).float(), -1, (self._config.index_n_heads, -1))
        return self._round(self._rotate(queries_TIJ, rope))

    def head_weights(self, x_TD: Tensor) -> Tensor:
        """fp32 (T, I), both scales included; may be negative."""
        weights_TI: Tensor = F.linear(x_TD.float(), self._weights) * self._scale
        return weights_TI

    def _rotate(self, x_THJ: Tensor, rope: Tensor) -> Tensor:
        width = self._config.qk_rope_head_dim
        rotated = rotate_halves(x_THJ[..., :width], rope)
        return rotated if width == x_THJ.shape[-1] else torch.cat((rotated, x_THJ[..., width:]), dim=-1)

    def _round(self, x: Tensor) -> Tensor:
        """As FP8 scores read it. The scales, powers of two, stay in: relu and the sum over heads let them pass."""
        if self._hadamard_JJ is None:
            return x
        rotated = x.to(self._dtype).float() @ self._hadamard_JJ
        return round_groups(rotated.to(self._dtype)).float()


def hadamard(order: int) -> Tensor:
    """The orthonormal Hadamard matrix in Sylvester's order, fp32."""
    if order & (order - 1):
        raise ValueError(f"index_head_dim = {order}: reference arithmetic needs a power of two")
    matrix = torch.ones(1, 1)
    while len(matrix) < order:
        matrix = torch.cat((torch.cat((matrix, matrix), dim=1), torch.cat((matrix, -matrix), dim=1)))
    return matrix / math.sqrt(order)


def score(queries_TIJ: Tensor, weights_TI: Tensor, keys_CJ: Tensor) -> Tensor:
    """fp32 (T, C): sum over heads of weight * relu(query . key). Takes 4 * T * I * C bytes on the way."""
    dots = (queries_TIJ.flatten(0, 1) @ keys_CJ.float().T).relu_()
    dots_TIC = dots.view(*queries_TIJ.shape[:2], -1)
    return torch.bmm(weights_TI[:, None], dots_TIC)[:, 0]


def select_topk(scores_TC: Tensor, visible_TC: Tensor, k: int) -> Tensor:
    """bool (T, C): the k best visible positions of each row; ties go to the lowest position, NaN is never chosen.

    A row with fewer than k eligible positions gets all of them. The order of ties is defined because exact zeros
    are common (every head below zero), and prefill and decode must agree on them.
    """
    eligible = visible_TC & ~scores_TC.isnan()
    scores_TC = scores_TC.masked_fill(~eligible, -torch.inf)
    if k >= scores_TC.shape[-1]:
        return eligible
    threshold_T1 = scores_TC.topk(k, dim=-1).values[:, -1:]
    above = scores_TC > threshold_T1
    level = (scores_TC == threshold_T1) & eligible
    room_T1 = k - above.sum(dim=-1, keepdim=True)
    return above | (level & (level.cumsum(dim=-1) <= room_T1))
