"""The MLPs: dense, and mixture of experts with DeepSeek's bias-corrected grouped gate.

Experts whose weights are equal share storage. Where a layer has no more distinct experts than it activates,
all of them and the shared expert are one wide product with the routing weights multiplied in between: the same sum,
since an expert that was not chosen weighs zero. Routing runs and is counted either way.
Legend: T tokens, D hidden, E experts, U distinct experts, K chosen, F expert width, O shared width.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from inference.config import ModelConfig
from inference.model.linear import GatedLinear, Linear, Products
from inference.parallel import ALONE, Ranks


class DenseMLP:
    """down(silu(gate x) * up x)."""

    def __init__(self, gate: Tensor, up: Tensor, down: Tensor, *, products: Products = "plain") -> None:
        self.activate = GatedLinear(gate, up, products)
        self.down = Linear(down, products)

    def __call__(self, x_TD: Tensor) -> Tensor:
        return self.down(self.activate(x_TD).to(x_TD.dtype))


class Gate:
    """noaux_tc: sigmoid scores choose with their bias and weigh without it, first among groups, then among experts."""

    def __init__(self, config: ModelConfig, weight_ED: Tensor, bias_E: Tensor) -> None:
        self._config = config
        self.weight_ED = weight_ED.float()
        self.bias_E = bias_E.float()
        group_size = config.n_routed_experts // config.n_group
        # Where the kept groups hold no more experts than are chosen, their experts are the choice.
        self._chosen_of_group: Tensor | None = None
        if config.topk_group * group_size == config.num_experts_per_tok:
            experts = torch.arange(config.n_routed_experts, device=weight_ED.device)
            self._chosen_of_group = experts.view(config.n_group, group_size)

    def __call__(self, x_TD: Tensor) -> tuple[Tensor, Tensor]:
        """x_TD in fp32; returns the chosen ids int64 (T, K) and their weights fp32 (T, K)."""
        config = self._config
        scores_TE = F.linear(x_TD, self.weight_ED).sigmoid_()
        biased_TGE = torch.unflatten(scores_TE + self.bias_E, -1, (config.n_group, -1))
        group_scores_TG = biased_TGE.topk(2, dim=-1, sorted=False).values.sum(dim=-1)
        kept_groups = group_scores_TG.topk(config.topk_group, dim=-1, sorted=False).indices
        if self._chosen_of_group is not None:
            return self._weigh(scores_TE, self._chosen_of_group[kept_groups].flatten(1))
        dropped_TG = torch.ones_like(group_scores_TG, dtype=torch.bool).scatter_(1, kept_groups, False)
        biased_TE = biased_TGE.masked_fill(dropped_TG[..., None], -torch.inf).flatten(1)
        return self._weigh(scores_TE, biased_TE.topk(config.num_experts_per_tok, dim=-1, sorted=False).indices)

    def _weigh(self, scores_TE: Tensor, ids_TK: Tensor) -> tuple[Tensor, Tensor]:
        weights_TK = scores_TE.gather(1, ids_TK)
        if self._config.norm_topk_prob:
            weights_TK = weights_TK / (weights_TK.sum(dim=-1, keepdim=True) + 1e-20)
        return ids_TK, weights_TK * self._config.routed_scaling_factor


class MoE:
    """Of several ranks each holds a range of the experts and a share of the shared one's width; their sum is meant."""

    def __init__(
        self,
        config: ModelConfig,
        tensor: Callable[[str], Tensor],
        products: Products = "plain",
        ranks: Ranks = ALONE,
    ) -> None:
        self.width = config.moe_intermediate_size
        self.gate = Gate(config, tensor("gate.weight"), tensor("gate.e_score_correction_bias"))
        own = ranks.range_of(config.n_routed_experts)
        experts, distinct_of = read_distinct(own, tensor)
        self.num_distinct = len(experts)
        # Experts of other ranks are all one more, whose weights are dropped.
        distinct_of_E = [distinct_of.get(e, self.num_distinct) for e in range(config.n_routed_experts)]
        self.distinct_of_E = torch.tensor(distinct_of_E, device=experts[0][0].device)
        parts = ("gate", "up", "down")
        has_shared = config.n_shared_experts > 0
        shared = [tuple(tensor(f"shared_experts.{part}_proj.weight") for part in parts)] if has_shared else []
        self.shared_width = len(shared[0][0]) if shared else 0
        self.wide: DenseMLP | None = None
        if len(experts) <= config.num_experts_per_tok and products != "fp8":  # FP8 rounds before the weights come in
            gates, ups, downs = zip(*shared, *experts, strict=True)
            self.wide = DenseMLP(torch.cat(gates), torch.cat(ups), torch.cat(downs, dim=1), products=products)
            return
        self.shared = DenseMLP(*shared[0], products=products) if shared else None
        experts.reverse()  # taken one by one, so that no layer is ever held twice
        self.experts = [DenseMLP(*experts.pop(), products=products) for _ in range(self.num_distinct)]

    @property
    def is_wide(self) -> bool:
        """Whether all distinct experts run as one product."""
        return self.wide is not None

    def __call__(self, x_TD: Tensor, precise_TD: Tensor, in_any_case: bool = False) -> tuple[Tensor, Tensor]:
        """x_TD in the model's type, precise_TD the same in fp32 for the gate; returns (T, D) and chosen ids (T, K).

        `in_any_case` every expert computes every token: which were chosen is known to the device alone.
        """
        ids_TK, weights_TK = self.gate(precise_TD)
        weights_TU = weights_TK.new_zeros(len(x_TD), self.num_distinct + 1)
        weights_TU = weights_TU.scatter_add_(1, self.distinct_of_E[ids_TK], weights_TK)[:, :-1]
        if self.wide is not None:
            return self._evaluate_wide(self.wide, x_TD, weights_TU), ids_TK
        evaluate = self._evaluate_all if in_any_case else self._evaluate_chosen
        return evaluate(x_TD, weights_TU), ids_TK

    def _evaluate_wide(self, wide: DenseMLP, x_TD: Tensor, weights_TU: Tensor) -> Tensor:
        activated = wide.activate(x_TD)
        routed_TUF = torch.unflatten(activated[:, self.shared_width :], -1, (-1, self.width))
        routed_TUF.mul_(weights_TU.to(activated.dtype)[..., None])  # of one type: 630 -> 190 us for 512 rows
        return wide.down(activated.to(x_TD.dtype))

    def _evaluate_all(self, x_TD: Tensor, weights_TU: Tensor) -> Tensor:
        out_TD = torch.zeros_like(x_TD, dtype=torch.float32)
        if self.shared is not None:
            out_TD += self.shared(x_TD)
        for expert, weights_T in zip(self.experts, weights_TU.T, strict=True):
            out_TD += expert(x_TD) * weights_T[:, None]
        return out_TD

    def _evaluate_chosen(self, x_TD: Tensor, weights_TU: Tensor) -> Tensor:
        """One product for each expert that any token chose, summed in fp32."""
        out_TD = torch.zeros_like(x_TD, dtype=torch.float32)
        if self.shared is not None:
            out_TD += self.shared(x_TD)
        for expert in weights_TU.any(dim=0).nonzero()[:, 0].tolist():
            rows = weights_TU[:, expert].nonzero()[:, 0]
            out_TD.index_add_(0, rows, self.experts[expert](x_TD[rows]) * weights_TU[rows, expert, None])
        return out_TD


def read_distinct(
    experts: range, tensor: Callable[[str], Tensor]
) -> tuple[list[tuple[Tensor, Tensor, Tensor]], dict[int, int]]:
    """The distinct experts in order of first appearance, and for every expert which of them it is."""
    distinct: list[tuple[Tensor, Tensor, Tensor]] = []
    distinct_of: dict[int, int] = {}
    alike: dict[bytes, list[int]] = {}  # by one row: few are compared, and a comparison is five times as fast as a hash
    for e in experts:
        gate, up, down = (tensor(f"experts.{e}.{part}_proj.weight") for part in ("gate", "up", "down"))
        candidates = alike.setdefault(_first_row(gate), [])
        same = next((u for u in candidates if _are_equal((gate, up, down), distinct[u])), None)
        if same is None:
            same = len(distinct)
            distinct.append((gate, up, down))
            candidates.append(same)
        distinct_of[e] = same
    return distinct, distinct_of


def _first_row(gate: Tensor) -> bytes:
    return b"" if gate.is_meta else gate[0].view(torch.uint8).cpu().numpy().tobytes()


def _are_equal(left: tuple[Tensor, ...], right: tuple[Tensor, ...]) -> bool:
    """Without content every expert counts."""
    return not left[0].is_meta and all(map(torch.equal, left, right))
