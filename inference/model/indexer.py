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
from inference.model.linear import Linear, Products
from inference.model.rope import rotate_halves
from inference.quantization import round_groups

# Dots of one tile of keys, fp32: 2 MiB stay in a core's cache between product, relu and sum.
TILE_BYTES = 2 * 2**20
KEY_NORM_EPS = 1e-6  # of the published reference, independent of rms_norm_eps


class Indexer:
    """Queries and keys of one layer. The key projection itself is fused with the layer's other inputs."""

    def __init__(self, config: ModelConfig, tensor: Callable[[str], Tensor], products: Products = "plain") -> None:
        self._config = config
        query = tensor("wq_b.weight")
        self._dtype = query.dtype
        self._query = Linear(query, products)
        self._hadamard_JJ = hadamard(config.index_head_dim).to(query.device) if products == "fp8" else None
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
    """fp32 (T, C): sum over heads of weight * relu(query . key), tile by tile of keys so that no (T, I, C) exists."""
    num_rows, num_heads, _ = queries_TIJ.shape
    tile = max(64, TILE_BYTES // (4 * num_rows * num_heads))
    queries = queries_TIJ.flatten(0, 1)
    scores_TC = queries.new_empty(num_rows, len(keys_CJ))
    for start in range(0, len(keys_CJ), tile):
        dots = (queries @ keys_CJ[start : start + tile].float().T).relu_()
        dots_TIC = torch.unflatten(dots, 0, (num_rows, num_heads))
        scores_TC[:, start : start + tile] = torch.bmm(weights_TI[:, None], dots_TIC)[:, 0]
    return scores_TC


def hide_future(scores_TC: Tensor) -> Tensor:
    """In place: the rows are the newest T of C positions, and row t sees no column after its own."""
    num_rows, length = scores_TC.shape
    future_TT = torch.ones(num_rows, num_rows, dtype=torch.bool, device=scores_TC.device).triu_(1)
    scores_TC[:, length - num_rows :].masked_fill_(future_TT, -torch.inf)
    return scores_TC


def select_topk(scores_TC: Tensor, k: int) -> Tensor:
    """int64 (T, min(k, C)), ascending: the positions of the k best scores of each row; -1 pads in front.

    Ties go to the lowest position; NaN and -inf are never chosen. The order of ties is defined because exact zeros are
    common (every head below zero), and prefill and decode must agree on them.
    """
    k = min(k, scores_TC.shape[1])
    candidates_TX, positions_TX, best_outside_T = _candidates(scores_TC, k)
    best = candidates_TX.topk(k, dim=-1)
    threshold_T = best.values[:, -1]
    if best.values.isnan().any():
        return select_topk(scores_TC.masked_fill(scores_TC.isnan(), -torch.inf), k)
    chosen_TK = best.indices if positions_TX is None else positions_TX.gather(1, best.indices)
    chosen_TK.masked_fill_(best.values == -torch.inf, -1)
    at_least_T = (candidates_TX >= threshold_T[:, None]).sum(dim=-1)
    tied_T = (threshold_T > -torch.inf) & ((at_least_T > k) | (best_outside_T >= threshold_T))
    for row in tied_T.nonzero()[:, 0].tolist():
        chosen_TK[row] = _lowest_first(scores_TC[row], threshold_T[row], k)
    return chosen_TK.sort(dim=-1).values


def _candidates(scores_TC: Tensor, k: int) -> tuple[Tensor, Tensor | None, Tensor]:
    """Scores (T, X) that hold the k best of each row, their positions (None: all), and the best maximum outside.

    The k best lie in the k groups of the largest maxima: at 128K and k = 2048, two selections among 16K numbers
    instead of one among 128K. Which of several equal maxima were taken does not change the k-th value.
    """
    num_rows, length = scores_TC.shape
    size = int((length / k) ** 0.5)
    if size < 2:
        return scores_TC, None, scores_TC.new_full((num_rows,), -torch.inf)
    size = 1 << (size.bit_length() - 1)
    if length % size:
        scores_TC = F.pad(scores_TC, (0, -length % size), value=-torch.inf)
    groups_TGS = torch.unflatten(scores_TC, 1, (-1, size))
    maxima = groups_TGS.amax(dim=-1).topk(k + 1, dim=-1)
    groups_TK = maxima.indices[:, :k]
    positions_TKS = groups_TK[..., None] * size + torch.arange(size, device=scores_TC.device)
    candidates_TKS = groups_TGS.gather(1, groups_TK[..., None].expand(-1, -1, size))
    return candidates_TKS.flatten(1), positions_TKS.flatten(1), maxima.values[:, k]


def _lowest_first(scores_C: Tensor, threshold: Tensor, k: int) -> Tensor:
    """The k best positions of one row whose k-th score is not the only one of its value."""
    above = (scores_C > threshold).nonzero()[:, 0]
    level = (scores_C == threshold).nonzero()[:, 0]
    return torch.cat((above, level[: k - len(above)]))
