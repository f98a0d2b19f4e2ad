"""The experts' products for Hopper alone, in Gluon: a whole expert's tokens meet its weights in one tile.

Plain Triton's tiles are powers of two: of 128 rows, and an expert that has 129 is read twice from the second cache,
whose 5.7 TB/s then bound the product. Here weights are the tile's rows, 256 of them, and tokens its columns in up to
five chunks of 32, of which only those are computed that hold tokens. The producer copies blocks of both by TMA; two
warpgroups hold 64 rows of either half of the weights each, and promote one product while the other computes.
Programs stay and walk over the tiles, so that the next tile's blocks come while a tile's sums are written.
Legend: as in grouped_linear.py.
"""

from __future__ import annotations

from torch import Tensor
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import mbarrier, tma, warpgroup_mma, warpgroup_mma_wait
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

from inference.kernels.gather_rows import gather_rows, scale_stride
from inference.kernels.launch import INTERPRETED, Config, num_multiprocessors
from inference.kernels.permute import Permutation
from inference.quantization import FP8_BLOCK

TILE_ROWS = 160  # five chunks of 32
CONFIGS = (
    Config({"HOPPER": 1, "STAGES": 4, "CONSUMER_REGISTERS": 240, "PRODUCER_REGISTERS": 24}),
    Config({"HOPPER": 1, "STAGES": 3, "CONSUMER_REGISTERS": 240, "PRODUCER_REGISTERS": 24}),
)
_BLOCK = gl.NVMMASharedLayout(128, 8, 2)
_LINE = gl.NVMMASharedLayout(0, 32, 1)


def is_wanted(config: Config) -> bool:
    """The interpreter knows no Gluon: plain Triton stands in."""
    return "HOPPER" in config.blocks and not INTERPRETED


def gate_up_hopper(
    x_TD: Tensor,
    x_scale_TG: Tensor,
    weight_EFD: Tensor,
    weight_scale_EHG: Tensor,
    permutation: Permutation,
    out: tuple[Tensor, Tensor],
    config: Config,
) -> None:
    """See grouped_linear.gate_up. Rows are copied into their order first: 0.06 of 2 ms for 32,768 of them."""
    rows_RD, scale_GR = gather_rows(x_TD, x_scale_TG, permutation)
    _launch(rows_RD, scale_GR, weight_EFD, weight_scale_EHG, *out, permutation, config, is_down=False)


def down_hopper(
    h_RF: Tensor,
    h_scale_RH: Tensor,
    weight_EDF: Tensor,
    weight_scale_EGH: Tensor,
    permutation: Permutation,
    out: Tensor,
    config: Config,
) -> None:
    """See grouped_linear.down."""
    if weight_EDF.shape[1] % 256:
        raise ValueError(f"hidden {weight_EDF.shape[1]}: a multiple of 256 expected")
    num_rows, groups = h_scale_RH.shape
    scale_HR = h_scale_RH.new_empty(groups, scale_stride(num_rows))
    scale_HR[:, :num_rows].copy_(h_scale_RH.T)
    _launch(h_RF, scale_HR, weight_EDF, weight_scale_EGH, out, h_scale_RH, permutation, config, is_down=True)


def _launch(
    x: Tensor,
    x_scale: Tensor,
    weight: Tensor,
    weight_scale: Tensor,
    out: Tensor,
    out_scale: Tensor,
    permutation: Permutation,
    config: Config,
    *,
    is_down: bool,
) -> None:
    experts, rows, inner = weight.shape
    _expert_kernel[(num_multiprocessors(x.device),)](
        TensorDescriptor.from_tensor(x, [32, FP8_BLOCK], _BLOCK),
        TensorDescriptor.from_tensor(x_scale.view(-1), [256], _LINE),
        TensorDescriptor.from_tensor(weight.view(experts * rows, inner), [FP8_BLOCK, FP8_BLOCK], _BLOCK),
        weight_scale,
        out,
        out_scale,
        permutation.tile_MF,
        x_scale.shape[1],
        ROWS=rows,
        INNER=inner,
        IS_DOWN=is_down,
        STRIDE=256 if is_down else 128,  # rows of the weight from tile to tile
        SECOND=128 if is_down else rows // 2,  # rows from a tile's first half to its second
        FIELDS=permutation.tile_MF.shape[1],
        STAGES=config.blocks["STAGES"],
        CONSUMER_REGISTERS=config.blocks["CONSUMER_REGISTERS"],
        PRODUCER_REGISTERS=config.blocks["PRODUCER_REGISTERS"],
        num_warps=4,
    )


@gluon.jit
def _find_tile(tile_ptr: gl.tensor, place: gl.tensor, COLUMNS: gl.constexpr, FIELDS: gl.constexpr) -> gl.tuple:
    """As expert_tiles.find_tile, of any place in the order."""
    fields = tile_ptr + (place // COLUMNS) * FIELDS
    expert = gl.load(fields)
    first_tile = gl.load(fields + 3)
    num_tiles = gl.load(fields + 4)
    place -= first_tile * COLUMNS
    fields = tile_ptr + (first_tile + place % num_tiles) * FIELDS
    return expert, gl.load(fields + 1), gl.load(fields + 2), place // num_tiles


@gluon.jit
def _copy_blocks(
    shared: gl.tuple,
    barriers: gl.tuple,
    x_desc: gl.tensor,
    scale_desc: gl.tensor,
    weight_desc: gl.tensor,
    tile_ptr: gl.tensor,
    stride: gl.tensor,
    ROWS: gl.constexpr,
    INNER: gl.constexpr,
    IS_DOWN: gl.constexpr,
    STRIDE: gl.constexpr,
    SECOND: gl.constexpr,
    FIELDS: gl.constexpr,
    STAGES: gl.constexpr,
) -> None:
    """Blocks of 128 of the inner dimension: two of the weights, and as many chunks of tokens as there are."""
    weights, tokens, scales, peaks = shared
    full, empty, peaks_full = barriers
    COLUMNS: gl.constexpr = ROWS // 256
    num_places = gl.load(tile_ptr + 5) * COLUMNS
    count = 0
    for place in range(gl.program_id(0), num_places, gl.num_programs(0)):
        expert, start, end, column = _find_tile(tile_ptr, place, COLUMNS, FIELDS)
        chunks = (end - start + 31) // 32
        row = expert * ROWS + column * STRIDE
        for k in range(INNER // 128):
            stage = count % STAGES
            barrier = full.index(stage)
            mbarrier.wait(empty.index(stage), (count // STAGES & 1) ^ 1)
            for number in gl.static_range(1, 6):
                mbarrier.expect(barrier, 2 * 16384 + 1024 + number * 4096, pred=chunks == number)
            tma.async_copy_global_to_shared(weight_desc, [row, k * 128], barrier, weights.index(2 * stage))
            tma.async_copy_global_to_shared(weight_desc, [row + SECOND, k * 128], barrier, weights.index(2 * stage + 1))
            tma.async_copy_global_to_shared(scale_desc, [k * stride + start], barrier, scales.index(stage))
            for chunk in gl.static_range(5):
                tma.async_copy_global_to_shared(
                    x_desc,
                    [start + chunk * 32, k * 128],
                    barrier,
                    tokens.index(5 * stage + chunk),
                    pred=chunks > chunk,
                )
            count += 1


@gluon.jit
def _multiply_chunk(
    shared: gl.tuple,
    stage: gl.tensor,
    first_scale: gl.tensor,
    second_scale: gl.tensor,
    first: gl.tensor,
    second: gl.tensor,
    CHUNK: gl.constexpr,
    SIDE: gl.constexpr,
) -> gl.tuple:
    """64 rows of either half of the weights by 32 tokens: both are under way before the first is promoted."""
    weights, tokens, scales, peaks = shared
    MMA: gl.constexpr = first.type.layout
    zero = gl.zeros([64, 32], gl.float32, MMA)
    chunk = tokens.index(5 * stage + CHUNK).permute([1, 0])
    first_weight = weights.index(2 * stage).slice(SIDE * 64, 64, 0)
    second_weight = weights.index(2 * stage + 1).slice(SIDE * 64, 64, 0)
    product = warpgroup_mma(first_weight, chunk, zero, use_acc=False, is_async=True)
    second_product = warpgroup_mma(second_weight, chunk, zero, use_acc=False, is_async=True)
    scale = scales.index(stage).slice(CHUNK * 32, 32, 0).load(gl.SliceLayout(0, MMA))
    product = warpgroup_mma_wait(1, deps=[product])
    first += product * (scale * first_scale)[None, :]
    second_product = warpgroup_mma_wait(0, deps=[second_product])
    second += second_product * (scale * second_scale)[None, :]
    return first, second


@gluon.jit
def _multiply(
    shared: gl.tuple,
    barriers: gl.tuple,
    weight_scale_ptr: gl.tensor,
    out_ptr: gl.tensor,
    out_scale_ptr: gl.tensor,
    tile_ptr: gl.tensor,
    stride: gl.tensor,
    ROWS: gl.constexpr,
    INNER: gl.constexpr,
    IS_DOWN: gl.constexpr,
    STRIDE: gl.constexpr,
    SECOND: gl.constexpr,
    FIELDS: gl.constexpr,
    STAGES: gl.constexpr,
    SIDE: gl.constexpr,
) -> None:
    """Rows SIDE * 64 and on of either half of the tile's weights."""
    weights, tokens, scales, peaks = shared
    full, empty, peaks_full = barriers
    MMA: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, 32, 32])
    COLUMNS: gl.constexpr = ROWS // 256
    STEPS: gl.constexpr = INNER // 128
    num_places = gl.load(tile_ptr + 5) * COLUMNS
    count = 0
    tile = 0
    for place in range(gl.program_id(0), num_places, gl.num_programs(0)):
        expert, start, end, column = _find_tile(tile_ptr, place, COLUMNS, FIELDS)
        chunks = (end - start + 31) // 32
        block = expert * (ROWS // 128) + column * (STRIDE // 128)
        first_scales = weight_scale_ptr + block.to(gl.int64) * STEPS
        second_scales = first_scales + (SECOND // 128) * STEPS
        a0 = gl.zeros([64, 32], gl.float32, MMA)
        a1, a2, a3, a4 = a0, a0, a0, a0
        b0, b1, b2, b3, b4 = a0, a0, a0, a0, a0
        next_first = gl.load(first_scales)
        next_second = gl.load(second_scales)
        for k in range(STEPS):
            first_scale, second_scale = next_first, next_second
            ahead = gl.minimum(k + 1, STEPS - 1)
            next_first = gl.load(first_scales + ahead)
            next_second = gl.load(second_scales + ahead)
            stage = count % STAGES
            mbarrier.wait(full.index(stage), count // STAGES & 1)
            # The first chunk asks as the others do, though there is always one: else its sums are spilled.
            if chunks > 0:
                a0, b0 = _multiply_chunk(shared, stage, first_scale, second_scale, a0, b0, 0, SIDE)
            if chunks > 1:
                a1, b1 = _multiply_chunk(shared, stage, first_scale, second_scale, a1, b1, 1, SIDE)
            if chunks > 2:
                a2, b2 = _multiply_chunk(shared, stage, first_scale, second_scale, a2, b2, 2, SIDE)
            if chunks > 3:
                a3, b3 = _multiply_chunk(shared, stage, first_scale, second_scale, a3, b3, 3, SIDE)
            if chunks > 4:
                a4, b4 = _multiply_chunk(shared, stage, first_scale, second_scale, a4, b4, 4, SIDE)
            gl.thread_barrier()
            mbarrier.arrive(empty.index(stage), count=1)
            count += 1
        if IS_DOWN:
            out = out_ptr + start.to(gl.int64) * ROWS + column * 256 + SIDE * 64
            num_rows = end - start
            _store_chunk(out, a0, num_rows, 0, ROWS)
            _store_chunk(out + 128, b0, num_rows, 0, ROWS)
            if chunks > 1:
                _store_chunk(out, a1, num_rows, 32, ROWS)
                _store_chunk(out + 128, b1, num_rows, 32, ROWS)
            if chunks > 2:
                _store_chunk(out, a2, num_rows, 64, ROWS)
                _store_chunk(out + 128, b2, num_rows, 64, ROWS)
            if chunks > 3:
                _store_chunk(out, a3, num_rows, 96, ROWS)
                _store_chunk(out + 128, b3, num_rows, 96, ROWS)
            if chunks > 4:
                _store_chunk(out, a4, num_rows, 128, ROWS)
                _store_chunk(out + 128, b4, num_rows, 128, ROWS)
        else:
            WIDTH: gl.constexpr = ROWS // 2
            own = peaks.index(tile % 2 * 2 + SIDE)
            other = peaks.index(tile % 2 * 2 + 1 - SIDE)
            a0 = _activate(a0, b0, own.slice(0, 32, 0))
            a1 = _activate(a1, b1, own.slice(32, 32, 0))
            a2 = _activate(a2, b2, own.slice(64, 32, 0))
            a3 = _activate(a3, b3, own.slice(96, 32, 0))
            a4 = _activate(a4, b4, own.slice(128, 32, 0))
            gl.thread_barrier()
            mbarrier.arrive(peaks_full.index(SIDE), count=1)
            mbarrier.wait(peaks_full.index(1 - SIDE), tile & 1)
            out = out_ptr + start.to(gl.int64) * WIDTH + column * 128 + SIDE * 64
            out_scale = out_scale_ptr + start * COLUMNS + column
            num_rows = end - start
            _quantize_chunk(out, out_scale, a0, own, other, num_rows, 0, WIDTH, SIDE)
            if chunks > 1:
                _quantize_chunk(out, out_scale, a1, own, other, num_rows, 32, WIDTH, SIDE)
            if chunks > 2:
                _quantize_chunk(out, out_scale, a2, own, other, num_rows, 64, WIDTH, SIDE)
            if chunks > 3:
                _quantize_chunk(out, out_scale, a3, own, other, num_rows, 96, WIDTH, SIDE)
            if chunks > 4:
                _quantize_chunk(out, out_scale, a4, own, other, num_rows, 128, WIDTH, SIDE)
        tile += 1


@gluon.jit
def _store_chunk(
    out: gl.tensor, values: gl.tensor, num_rows: gl.tensor, FIRST: gl.constexpr, WIDTH: gl.constexpr
) -> None:
    """(64, 32), its columns' rows of the result."""
    LINES: gl.constexpr = gl.BlockedLayout([8, 1], [8, 4], [1, 4], [0, 1])
    values = gl.convert_layout(values.to(out.dtype.element_ty), LINES)
    row = FIRST + gl.arange(0, 32, gl.SliceLayout(0, LINES))
    column = gl.arange(0, 64, gl.SliceLayout(1, LINES))
    gl.store(out + row[None, :] * WIDTH + column[:, None], values, mask=(row < num_rows)[None, :])


@gluon.jit
def _activate(gate: gl.tensor, up: gl.tensor, peaks: gl.tensor) -> gl.tensor:
    """silu(gate) * up; its largest magnitude a token is left in `peaks`."""
    h = gate / (1 + gl.exp(-gate)) * up
    peaks.store(gl.max(gl.abs(h), 0))
    return h


@gluon.jit
def _quantize_chunk(
    out: gl.tensor,
    out_scale: gl.tensor,
    h: gl.tensor,
    own: gl.tensor,
    other: gl.tensor,
    num_rows: gl.tensor,
    FIRST: gl.constexpr,
    WIDTH: gl.constexpr,
    SIDE: gl.constexpr,
) -> None:
    """The scale is that of e4m3.ceil_power_of_two."""
    TOKEN: gl.constexpr = gl.SliceLayout(0, h.type.layout)
    LINES: gl.constexpr = gl.BlockedLayout([16, 1], [4, 8], [1, 4], [0, 1])
    peak = gl.maximum(own.slice(FIRST, 32, 0).load(TOKEN), other.slice(FIRST, 32, 0).load(TOKEN))
    bits = gl.maximum(peak, 1e-4).to(gl.int32, bitcast=True)
    scale = ((bits + 0x1FFFFF) & 0x7F800000) - (8 << 23)
    inverse = ((254 << 23) - scale).to(gl.float32, bitcast=True)
    values = gl.convert_layout((h * inverse[None, :]).to(gl.float8e4nv), LINES)
    row = FIRST + gl.arange(0, 32, gl.SliceLayout(0, LINES))
    column = gl.arange(0, 64, gl.SliceLayout(1, LINES))
    gl.store(out + row[None, :] * WIDTH + column[:, None], values, mask=(row < num_rows)[None, :])
    if SIDE == 0:
        row = FIRST + gl.arange(0, 32, TOKEN)
        gl.store(out_scale + row * (WIDTH // 128), scale.to(gl.float32, bitcast=True), mask=row < num_rows)


@gluon.jit
def _expert_kernel(
    x_desc: gl.tensor,
    scale_desc: gl.tensor,
    weight_desc: gl.tensor,
    weight_scale_ptr: gl.tensor,
    out_ptr: gl.tensor,
    out_scale_ptr: gl.tensor,
    tile_ptr: gl.tensor,
    stride: gl.tensor,
    ROWS: gl.constexpr,
    INNER: gl.constexpr,
    IS_DOWN: gl.constexpr,
    STRIDE: gl.constexpr,
    SECOND: gl.constexpr,
    FIELDS: gl.constexpr,
    STAGES: gl.constexpr,
    CONSUMER_REGISTERS: gl.constexpr,
    PRODUCER_REGISTERS: gl.constexpr,
) -> None:
    LINE: gl.constexpr = gl.SwizzledSharedLayout(1, 1, 1, [0])
    weights = gl.allocate_shared_memory(gl.float8e4nv, [2 * STAGES, 128, 128], weight_desc.layout)
    tokens = gl.allocate_shared_memory(gl.float8e4nv, [5 * STAGES, 32, 128], x_desc.layout)
    scales = gl.allocate_shared_memory(gl.float32, [STAGES, 256], scale_desc.layout)
    peaks = gl.allocate_shared_memory(gl.float32, [4, 256], LINE)
    full = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
    empty = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
    peaks_full = gl.allocate_shared_memory(gl.int64, [2, 1], mbarrier.MBarrierLayout())
    for stage in gl.static_range(STAGES):
        mbarrier.init(full.index(stage), count=1)
        mbarrier.init(empty.index(stage), count=2)
    for side in gl.static_range(2):
        mbarrier.init(peaks_full.index(side), count=1)
    gl.thread_barrier()
    shared = (weights, tokens, scales, peaks)
    barriers = (full, empty, peaks_full)
    # fmt: off
    gl.warp_specialize(
        [
            (_multiply, (shared, barriers, weight_scale_ptr, out_ptr, out_scale_ptr, tile_ptr, stride,
                         ROWS, INNER, IS_DOWN, STRIDE, SECOND, FIELDS, STAGES, gl.constexpr(0))),
            (_multiply, (shared, barriers, weight_scale_ptr, out_ptr, out_scale_ptr, tile_ptr, stride,
                         ROWS, INNER, IS_DOWN, STRIDE, SECOND, FIELDS, STAGES, gl.constexpr(1))),
            (_copy_blocks, (shared, barriers, x_desc, scale_desc, weight_desc, tile_ptr, stride,
                            ROWS, INNER, IS_DOWN, STRIDE, SECOND, FIELDS, STAGES)),
        ],
        [4, 1],
        [CONSUMER_REGISTERS, PRODUCER_REGISTERS],
    )
    # fmt: on
