from __future__ import annotations

from inference.sequence import GenerationRequest, SamplingParams, Sequence

LONG = 1000


def sequence_of(max_tokens: int, prefix: tuple[int, ...] = ()) -> Sequence:
    params = SamplingParams(max_tokens=max_tokens, stop_token_ids=frozenset({0}))
    return Sequence.from_request(GenerationRequest("r", (5, 6, 7), params, prefix), choice=1)


def test_a_prefix_counts_as_output() -> None:
    sequence = sequence_of(4, prefix=(8, 9))
    assert sequence.num_output_tokens == 2 and sequence.num_new_tokens == 0
    assert sequence.output_token_ids == [8, 9]
    assert sequence.append(1, LONG) is None
    assert sequence.append(1, LONG) == "length"
    assert sequence.num_new_tokens == 2


def test_a_prefix_of_full_length_has_reached_it() -> None:
    assert sequence_of(2, prefix=(8, 9)).length_reached(LONG) == "length"
    assert sequence_of(3, prefix=(8, 9)).length_reached(LONG) is None


def test_the_end_token_wins_over_the_length() -> None:
    assert sequence_of(1).append(0, LONG) == "stop"


def test_the_context_ends_a_sequence_too() -> None:
    assert sequence_of(100).append(1, max_model_len=4) == "length"


def test_a_prompt_of_one_token_is_read_before_it_is_decoding() -> None:
    sequence = Sequence.from_request(GenerationRequest("r", (5,), SamplingParams(max_tokens=4)), 0)
    assert sequence.num_uncached_tokens == 1 and not sequence.is_decoding
    sequence.num_cached_tokens = 1
    sequence.append(3, LONG)
    assert sequence.is_decoding
