from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from inference.sampler import NUCLEUS_CANDIDATES, Sampler, SamplingError, gumbel_noise, noise_key, token_logprob
from inference.sequence import GenerationRequest, SamplingParams, Sequence


def sequence_of(
    prompt: tuple[int, ...] = (0,), output: tuple[int, ...] = (), choice: int = 0, **params: object
) -> Sequence:
    sampling = SamplingParams(max_tokens=10**6, **params)  # type: ignore[arg-type]
    return Sequence.from_request(GenerationRequest("r", prompt, sampling, output), choice)


def draw(logits_V: Tensor, **params: object) -> int:
    return Sampler().sample(logits_V, sequence_of(**params)).token_id  # type: ignore[arg-type]


def draws(logits_V: Tensor, num: int, **params: object) -> Tensor:
    return torch.tensor([draw(logits_V, seed=seed, **params) for seed in range(num)])


def test_temperature_zero_takes_the_best() -> None:
    assert draw(torch.tensor([0.1, 2.0, 1.9]), temperature=0.0, seed=3) == 1


def test_temperature_zero_takes_the_first_of_equals() -> None:
    logits = torch.randn(5000).clamp(max=0.0)
    logits[[4000, 70, 4999]] = 1.5
    assert draw(logits, temperature=0.0) == 70


def test_draws_follow_the_probabilities() -> None:
    probs = torch.tensor([0.5, 0.3, 0.15, 0.05])
    counts = draws(probs.log(), 4000).bincount(minlength=4)
    chi_square = float(((counts - 4000 * probs) ** 2 / (4000 * probs)).sum())
    assert chi_square < 16.3, "0.1% for three degrees of freedom"


def test_positions_and_choices_draw_independently() -> None:
    logits = torch.zeros(16)
    by_position = torch.tensor([draw(logits, seed=1, output=(0,) * n) for n in range(800)])
    by_choice = torch.tensor([draw(logits, seed=1, choice=n) for n in range(800)])
    for drawn in (by_position, by_choice):
        counts = drawn.bincount(minlength=16)
        assert float(((counts - 50.0) ** 2 / 50).sum()) < 37.7, "0.1% for fifteen degrees of freedom"
    assert float((by_position == by_choice).double().mean()) < 0.12


def test_the_same_key_draws_the_same_and_another_seed_differs() -> None:
    logits = torch.randn(5000, generator=torch.Generator().manual_seed(1))
    first = [draw(logits, seed=5, output=(1,) * n) for n in range(20)]
    assert first == [draw(logits, seed=5, output=(1,) * n) for n in range(20)]
    assert first != [draw(logits, seed=6, output=(1,) * n) for n in range(20)]


def test_noise_is_the_same_wherever_a_token_stands_among_the_candidates() -> None:
    key = noise_key(-3, 0, 7)
    whole = gumbel_noise(key, torch.arange(1000))
    some = torch.tensor([999, 3, 500])
    assert torch.equal(gumbel_noise(key, some), whole[some])
    assert bool(torch.isfinite(whole).all()) and abs(float(whole.mean()) - 0.5772) < 0.15


def test_noise_never_changes_between_versions() -> None:
    """An answer cut under one release is continued under the next."""
    assert noise_key(1, 2, 3) == 15020427595393229491
    noise = gumbel_noise(noise_key(1, 2, 3), torch.tensor([0, 7]))
    assert noise.tolist() == pytest.approx([1.2323286056666074, 2.1243476076092787], rel=1e-14)


def test_top_k_and_top_p_keep_only_the_best() -> None:
    logits = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()
    assert set(draws(logits, 300, top_k=2).tolist()) == {0, 1}
    assert set(draws(logits, 300, top_p=0.41).tolist()) == {0, 1}
    assert set(draws(logits, 300, top_p=0.39).tolist()) == {0}
    assert set(draws(logits, 300, top_p=0.0001).tolist()) == {0}
    assert set(draws(logits, 300, top_k=3, top_p=0.8).tolist()) == {0, 1, 2}
    assert set(draws(logits, 300, top_k=99).tolist()) == {0, 1, 2, 3}


def test_top_p_follows_top_k_on_what_is_left() -> None:
    logits = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()
    assert set(draws(logits, 300, top_k=2, top_p=0.5).tolist()) == {0}, "0.4 of 0.7 is more than half"


def test_a_nucleus_wider_than_the_candidates_is_whole() -> None:
    logits = torch.zeros(2 * NUCLEUS_CANDIDATES[-1])
    drawn = draws(logits, 400, top_p=0.9)
    assert int(drawn.unique().numel()) > 300


def test_repetition_penalty_lowers_seen_tokens_whatever_their_sign() -> None:
    logits = torch.tensor([2.0, 1.5, -1.0, -1.5])
    assert draw(logits, temperature=0.0, prompt=(0,), repetition_penalty=1.5) == 1
    negative = torch.tensor([-1.0, -1.2, -9.0, -9.0])
    assert draw(negative, temperature=0.0, prompt=(0,), repetition_penalty=1.5) == 1


def test_presence_and_frequency_count_the_output_alone() -> None:
    logits = torch.tensor([1.0, 0.5])
    assert draw(logits, temperature=0.0, prompt=(0, 0), presence_penalty=1.0) == 0
    assert draw(logits, temperature=0.0, prompt=(1,), output=(0,), presence_penalty=1.0) == 1
    assert draw(logits, temperature=0.0, prompt=(1,), output=(0,), frequency_penalty=0.3) == 0
    assert draw(logits, temperature=0.0, prompt=(1,), output=(0, 0), frequency_penalty=0.3) == 1


def test_penalties_follow_a_growing_sequence() -> None:
    sampler, sequence = Sampler(), sequence_of(prompt=(3,), temperature=0.0, frequency_penalty=0.6)
    logits = torch.tensor([1.0, 0.5, 0.0, -5.0])
    for _ in range(4):
        sequence.token_ids.append(sampler.sample(logits, sequence).token_id)
    assert sequence.output_token_ids == [0, 1, 0, 2]


def test_logits_that_are_not_finite_fail_by_name() -> None:
    with pytest.raises(SamplingError, match="not finite"):
        draw(torch.tensor([0.0, math.nan]))


def test_logprobs_are_the_models_own_before_temperature_and_penalties() -> None:
    logits = torch.tensor([1.0, 2.0, 3.0])
    expected = torch.log_softmax(logits, 0).tolist()
    sample = Sampler().sample(logits, sequence_of(prompt=(2,), temperature=0.0, repetition_penalty=2.0, num_logprobs=2))
    assert sample.logprob is not None and sample.token_id == 1
    assert sample.logprob.logprob == pytest.approx(expected[1])
    assert [token_id for token_id, _ in sample.logprob.top] == [2, 1]
    assert token_logprob(logits, 0, 0).top == ()
