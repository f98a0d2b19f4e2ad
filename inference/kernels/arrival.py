"""The last of several programs to arrive: for sums whose parts several programs make, without a second launch.

The parts are summed in the order of their numbers whoever comes last, so that a sum has the same bits every time.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def is_last(counter_ptr: tl.tensor, num_programs: tl.constexpr) -> tl.tensor:
    """Whether this program is the last of `num_programs`; then it sees what all of them stored. The counter begins at
    zero. The parts must be read with cache_modifier=".cg": another multiprocessor wrote them."""
    tl.debug_barrier()  # every thread's stores come before the arrival
    arrived = tl.atomic_add(counter_ptr, 1, sem="acq_rel", scope="gpu")
    tl.debug_barrier()
    return arrived == num_programs - 1
