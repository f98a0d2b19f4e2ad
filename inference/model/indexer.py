"""The lightning indexer: scores every cached token for every new one and keeps the best index_topk.

The published kernels rotate queries and keys by the orthonormal Hadamard matrix, which spreads outliers, and round
them to FP8. Exact arithmetic leaves both out: the rotation changes no dot product. Reference arithmetic does both.
Legend: T tokens of the step, C cached tokens of one sequence, I index heads, J index head width, K kept.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from inference.config import ModelConfig
from inference.model.linear import Linear, Products, can_pack, product
from inference.model.rope import rotate_halves
from inference.quantization import round_groups

# Dots of one tile of keys, fp32: 2 MiB stay in a core's cache between product, relu and sum. A GPU wants few launches.
TILE_BYTES = 2 * 2**20
GPU_TILE_BYTES = 256 * 2**20
MANY_ROWS = 32  # fewer: oneDNN would compile a product for each length of context, MKL does not
KEY_NORM_EPS = 1e-6  # of the published reference, independent of rms_norm_eps


class Indexer:
    """Queries and keys of one layer. The key projection itself is fused with the layer's other inputs."""

    def __init__(self, config: ModelConfig, tensor: Callable[[str], Tensor], products: Products = "plain") -> None:
        self._config = config
        query = tensor("wq_b.weight")
        self._dtype = query.dtype
        self._fuses = products != "fp8" and can_pack(query)
        self.query = Linear(query, products)
        self._hadamard_JJ = hadamard(config.index_head_dim).to(query.device) if products == "fp8" else None
        self.weights = tensor("weights_proj.weight").float()
        self.norm_weight = tensor("k_norm.weight").float()
        self.norm_bias = tensor("k_norm.bias").float()
        self._scale = config.index_scale

    def keys(self, projected_TJ: Tensor, rope: Tensor) -> Tensor:
        """fp32 (T, J): normalised and rotated, ready to be cached."""
        keys_TJ = F.layer_norm(
            projected_TJ.float(), self.norm_weight.shape, self.norm_weight, self.norm_bias, KEY_NORM_EPS
        )
        return self._round(self._rotate(keys_TJ[:, None], rope)[:, 0])

    def queries(self, source_TD: Tensor, rope: Tensor) -> Tensor:
        """(T, I, J), from the normalised query latent (or from x where there is none).

        fp32, or bfloat16 where relu rides on their products.
        """
        queries_TIJ = torch.unflatten(self.query(source_TD).float(), -1, (self._config.index_n_heads, -1))
        queries_TIJ = self._round(self._rotate(queries_TIJ, rope))
        return queries_TIJ.to(self._dtype) if self._fuses and len(source_TD) >= MANY_ROWS else queries_TIJ

    def head_weights(self, x_TD: Tensor) -> Tensor:
        """fp32 (T, I), both scales included; may be negative."""
        weights_TI: Tensor = F.linear(x_TD.float(), self.weights) * self._scale
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
    """fp32 (T, C): sum over heads of weight * relu(query . key), tile by tile of keys so that no (T, I, C) exists."""
    num_rows, num_heads, _ = queries_TIJ.shape
    tile_bytes = TILE_BYTES if keys_CJ.device.type == "cpu" else GPU_TILE_BYTES
    tile = max(64, tile_bytes // (4 * num_rows * num_heads))
    queries = queries_TIJ.flatten(0, 1)
    scores_TC = weights_TI.new_empty(num_rows, len(keys_CJ))
    for start in range(0, len(keys_CJ), tile):
        keys = keys_CJ[start : start + tile]
        if queries.dtype == torch.bfloat16:  # 15 -> 9 ms on one core: 512 rows, 2048 keys, 8 heads
            dots = product(queries, keys, "relu").float()
        else:
            dots = (queries @ keys.float().T).relu_()
        dots_TIC = torch.unflatten(dots, 0, (num_rows, num_heads))
        scores_TC[:, start : start + tile] = torch.bmm(weights_TI[:, None], dots_TIC)[:, 0]
    return scores_TC


def hide_future(scores_TC: Tensor) -> Tensor:
    """In place: the rows are the newest T of C positions, and row t sees no column after its own."""
    num_rows, length = scores_TC.shape
    if num_rows > 1:
        future_TT = torch.ones(num_rows, num_rows, dtype=torch.bool, device=scores_TC.device).triu_(1)
        scores_TC[:, length - num_rows :].masked_fill_(future_TT, -torch.inf)
    return scores_TC


def keep_topk(scores_TC: Tensor, k: int) -> Tensor:
    """bool (T, C): the k best scores of each row, or as many as there are; NaN and -inf are never kept.

    Ties go to the lowest position. Their order is defined because exact zeros are common (every head below zero), and
    prefill and decode must agree on them.
    """
    k = min(k, scores_TC.shape[1])
    threshold_T1 = _kth_best(scores_TC, k)
    kept_TC = scores_TC >= threshold_T1
    surplus_T = _count(kept_TC) - k
    if not surplus_T.any() and float(threshold_T1.min()) > -torch.inf:  # as nearly always
        return kept_TC
    has_few_T = threshold_T1[:, 0] == -torch.inf
    if has_few_T.any():
        kept_TC &= scores_TC > -torch.inf
        surplus_T = _count(kept_TC) - k
    if ((surplus_T < 0) & ~has_few_T).any():  # NaN was taken for the best
        return keep_topk(scores_TC.masked_fill(scores_TC.isnan(), -torch.inf), k)
    for row in (surplus_T > 0).nonzero()[:, 0].tolist():
        tied = (scores_TC[row] == threshold_T1[row]).nonzero()[:, 0]
        kept_TC[row, tied[-int(surplus_T[row]) :]] = False
    return kept_TC


def select_topk(scores_TC: Tensor, k: int) -> Tensor:
    """int64 (T, min(k, C)): the positions that keep_topk keeps, ascending; -1 pads in front."""
    kept_TC, k = keep_topk(scores_TC, k), min(k, scores_TC.shape[1])
    rows, positions = kept_TC.nonzero(as_tuple=True)
    if len(rows) == len(kept_TC) * k:
        return positions.view(-1, k)
    last_T = _count(kept_TC).cumsum(0)
    chosen_TK = positions.new_full((len(kept_TC), k), -1)
    chosen_TK[rows, torch.arange(k, k + len(rows), device=rows.device) - last_T[rows]] = positions
    return chosen_TK


def _kth_best(scores_TC: Tensor, k: int) -> Tensor:
    """(T, 1). On a CPU numpy's: for 512 of 512 times 2048 scores torch.topk takes 18 ms on one core, this 2."""
    if scores_TC.device.type != "cpu":
        return scores_TC.topk(k, dim=-1).values[:, -1:]
    place = scores_TC.shape[1] - k
    return torch.from_numpy(np.partition(scores_TC.numpy(), place, axis=-1)[:, place : place + 1])


def _count(kept_TC: Tensor) -> Tensor:
    """int64 (T,). numpy's again: 512 times 2048 take 2 ms or 0.3."""
    if kept_TC.device.type != "cpu":
        return torch.count_nonzero(kept_TC, dim=-1)
    return torch.from_numpy(np.count_nonzero(kept_TC.numpy(), axis=-1))
