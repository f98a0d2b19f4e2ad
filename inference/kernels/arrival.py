"""The last of several programs to arrive: for sums whose parts several programs make, without a second launch.

The parts are summed in the order of their numbers whoever comes last, so that a sum has the same bits every time.
Arrivals are counted in int32 that begin at zero and are left at zero. A caller may keep them from launch to launch, as
long as no two launches use the same ones at once: making new ones is a launch of its own, 2 us of a decode step's 40.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


def counters_for(count: int, device: torch.device, kept: Tensor | None = None) -> Tensor:
    """The kept ones if there are any, else new ones."""
    if kept is None:
        return torch.zeros(count, dtype=torch.int32, device=device)
    if kept.dtype != torch.int32 or kept.numel() < count:
        raise ValueError(f"counters {kept.dtype} ({kept.numel()},): at least {count} int32 expected")
    return kept


@triton.jit
def is_last(counter_ptr: tl.tensor, num_programs: tl.constexpr) -> tl.tensor:
    """Whether this program is the last of `num_programs`; then it sees what all of them stored.

    The parts must be read with cache_modifier=".cg": other multiprocessors wrote them.
    """
    tl.debug_barrier()  # every thread's stores come before the arrival
    arrived = tl.atomic_add(counter_ptr, 1, sem="acq_rel", scope="gpu")
    tl.debug_barrier()
    if arrived == num_programs - 1:
        tl.store(counter_ptr, 0)
    return arrived == num_programs - 1
