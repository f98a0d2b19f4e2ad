"""The card draws the token that the sampler draws, row by row, whatever the rows beside it ask for."""

from collections.abc import Sequence as Rows

import pytest
import torch
import triton
import triton.language as tl
from torch import Tensor

from inference.kernels import noise
from inference.kernels.sample import CONFIGS, Draws, plain_sample, sample
from inference.sampler import Sampler, SamplingError, gumbel_noise, noise_key
from inference.sequence import GenerationRequest, SamplingParams, Sequence

VOCABULARY = 3001


def drawing(num_rows: int) -> Draws:
    """Greedy, until a test says otherwise."""
    return Draws(
        temperature_S=torch.zeros(num_rows),
        top_k_S=torch.zeros(num_rows, dtype=torch.int32),
        top_p_S=torch.ones(num_rows, dtype=torch.float64),
        seed_S=torch.zeros(num_rows, dtype=torch.int64),
        choice_S=torch.zeros(num_rows, dtype=torch.int64),
        position_S=torch.zeros(num_rows, dtype=torch.int64),
    )


def asked(sequences: Rows[Sequence]) -> Draws:
    params = [sequence.params for sequence in sequences]
    return Draws(
        temperature_S=torch.tensor([p.temperature for p in params], dtype=torch.float32),
        top_k_S=torch.tensor([p.top_k for p in params], dtype=torch.int32),
        top_p_S=torch.tensor([p.top_p for p in params], dtype=torch.float64),
        seed_S=torch.tensor([p.seed for p in params]),
        choice_S=torch.tensor([sequence.choice for sequence in sequences]),
        position_S=torch.tensor([sequence.num_output_tokens for sequence in sequences]),
    )


def sequence_of(seed: int, choice: int, position: int, temperature: float, top_k: int, top_p: float) -> Sequence:
    params = SamplingParams(10**6, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    return Sequence.from_request(GenerationRequest("r", (0,), params, (1,) * position), choice)


@triton.jit
def _noise(
    seed: tl.tensor, choice: tl.tensor, position: tl.tensor, exact_N: tl.tensor, rough_N: tl.tensor, SIZE: tl.constexpr
) -> None:
    ids = tl.arange(0, SIZE)
    key = noise.noise_key(tl.load(seed), tl.load(choice), tl.load(position))
    bits = noise.uniform_bits(key, ids)
    tl.store(exact_N + ids, noise.gumbel(bits))
    tl.store(rough_N + ids, noise.rough_gumbel(bits))


@triton.jit
def _rough(bits_N: tl.tensor, exact_N: tl.tensor, rough_N: tl.tensor, SIZE: tl.constexpr) -> None:
    places = tl.arange(0, SIZE)
    bits = tl.load(bits_N + places).to(tl.uint64)
    tl.store(exact_N + places, noise.gumbel(bits))
    tl.store(rough_N + places, noise.rough_gumbel(bits))


@pytest.mark.parametrize("parts", [(0, 0, 0), (-5, 2, 9), (2**63 - 1, 1, 100_000)], ids=str)
def test_noise_is_the_samplers(parts: tuple[int, int, int]) -> None:
    exact, rough = torch.full((4096,), torch.nan, dtype=torch.float64), torch.full((4096,), torch.nan)
    _noise[(1,)](*(torch.tensor([part]) for part in parts), exact, rough, SIZE=4096)
    expected = gumbel_noise(noise_key(*parts), torch.arange(4096))
    torch.testing.assert_close(exact, expected, rtol=1e-14, atol=1e-14)
    assert (rough.double() - expected).abs().max() < 2.0**-14


def test_rough_noise_stays_near_at_both_ends() -> None:
    steps = torch.cat([torch.arange(512), 2 ** torch.arange(9, 52), torch.arange(2**46 - 20, 2**46 + 20)])
    bits = torch.cat([steps, 2**53 - 1 - steps, 2**52 + torch.arange(-9, 9)])
    bits = torch.nn.functional.pad(bits, (0, 2048 - len(bits)), value=7)
    exact, rough = torch.full((2048,), torch.nan, dtype=torch.float64), torch.full((2048,), torch.nan)
    _rough[(1,)](bits, exact, rough, SIZE=2048)
    assert torch.equal(rough.isinf(), exact.isinf())
    assert (rough.double() - exact).nan_to_num(0.0).abs().max() < 2.0**-14


@pytest.mark.parametrize("config", CONFIGS[:3:2], ids=str)
def test_a_batch_draws_what_the_sampler_draws(config: object) -> None:
    generator = torch.Generator().manual_seed(3)
    limits = [(0, 1.0), (0, 0.9), (0, 0.2), (5, 1.0), (50, 0.95), (700, 0.8), (VOCABULARY, 1.0), (1, 0.5)]
    sequences = [
        sequence_of(seed=97 * row - 300, choice=row % 3, position=row * 7, temperature=temperature, top_k=k, top_p=p)
        for row, (temperature, (k, p)) in enumerate(
            (temperature, limit) for temperature in (0.0, 0.3, 1.0, 1.7) for limit in limits
        )
    ]
    logits_SV = torch.randn(len(sequences), VOCABULARY, generator=generator) * 3
    expected = [Sampler().choose(logits_V, sequence) for logits_V, sequence in zip(logits_SV, sequences, strict=True)]
    assert sample(logits_SV, asked(sequences), config=config).tolist() == expected  # type: ignore[arg-type]
    assert plain_sample(logits_SV, asked(sequences)).tolist() == expected


def test_a_flat_row_is_searched_whole() -> None:
    """Half of the tokens may be drawn: more than are listed as candidates."""
    sequences = [sequence_of(seed, 0, 0, 1.0, top_k, top_p) for seed in range(2) for top_k, top_p in
                 ((0, 0.5), (9000, 1.0), (9000, 0.5))]  # fmt: skip
    logits_SV = torch.randn(len(sequences), 12_000, generator=torch.Generator().manual_seed(4)) * 0.1
    expected = [Sampler().choose(logits_V, sequence) for logits_V, sequence in zip(logits_SV, sequences, strict=True)]
    assert sample(logits_SV, asked(sequences)).tolist() == expected


def test_of_equal_logits_the_lowest_token_ids_are_kept() -> None:
    logits_SV = torch.full((24, 500), -1.0)
    logits_SV[:, [7, 300, 301, 499]] = 2.0
    draws = drawing(24)
    draws.temperature_S.fill_(1.0)
    draws.seed_S.copy_(torch.arange(24))
    draws.top_k_S[:12] = 2
    draws.top_p_S[12:] = 0.02  # each of the four holds 0.031
    drawn = sample(logits_SV, draws)
    assert set(drawn[:12].tolist()) == {7, 300}
    assert set(drawn[12:].tolist()) == {7}
    assert torch.equal(drawn, plain_sample(logits_SV, draws))


def test_greedy_takes_the_first_of_equals_and_either_zero_is_zero() -> None:
    logits_SV = torch.full((3, 700), -0.0)
    logits_SV[0, [600, 699]] = 3.0
    logits_SV[1, :300] = -1.0
    logits_SV[2, [5, 9]] = 0.0
    logits_SV[2, :3] = -2.0
    assert sample(logits_SV, drawing(3)).tolist() == [600, 300, 3]


def test_a_row_that_is_not_finite_fails_alone() -> None:
    logits_SV = torch.zeros(4, 300)
    logits_SV[0, 299], logits_SV[1, 0], logits_SV[2, 130] = torch.nan, torch.inf, -torch.inf
    for temperature, top_p in ((0.0, 1.0), (1.0, 1.0), (1.0, 0.5)):
        draws = drawing(4)
        draws.temperature_S.fill_(temperature)
        draws.top_p_S.fill_(top_p)
        tokens = sample(logits_SV, draws).tolist()
        assert tokens[:3] == [-1, -1, -1] and tokens[3] >= 0
    with pytest.raises(SamplingError):
        Sampler().choose(logits_SV[2], sequence_of(0, 0, 0, 1.0, 0, 1.0))


def test_rows_are_cut_from_wider_ones_and_none_is_no_launch() -> None:
    wide = torch.randn(3, 900, generator=torch.Generator().manual_seed(5))
    wide[:, 700:] = 99.0
    assert sample(wide[:, :700], drawing(3)).tolist() == wide[:, :700].argmax(dim=1).tolist()
    assert sample(wide[:0], drawing(0)).shape == (0,)
    with pytest.raises(ValueError, match="logits: torch.float64"):
        sample(wide.double(), drawing(3))


def test_a_drawn_tensor_is_where_it_was_asked_for() -> None:
    out: Tensor = torch.full((2,), -7, dtype=torch.int64)
    assert sample(torch.eye(2, 300), drawing(2), out=out) is out
    assert out.tolist() == [0, 1]
