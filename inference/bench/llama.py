"""The peer: llama.cpp through llama-cpp-python's low-level API, on the GGUF file our default model was recast from.

Greedy as ours; the best token is found by numpy, which is faster than the library's own sampler. What a prompt has in
common with the one before stays in its cache, as in its server.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import llama_cpp.llama_cpp as llama
import numpy as np

from inference.bench.side import Tokens, Written

CACHE_TYPES = {"f16": llama.GGML_TYPE_F16, "q8_0": llama.GGML_TYPE_Q8_0}
# (token, position, sequence, whether its logits are wanted)
Entry = tuple[int, int, int, bool]


@dataclass(frozen=True, slots=True)
class LlamaSettings:
    gguf: str
    threads: int
    num_sequences: int = 1
    context: int = 8192  # of each sequence
    flash_attention: bool = True
    ubatch: int = 512  # tokens computed together
    unified: bool = True  # one cache for all sequences, or one each
    cache_type: Literal["f16", "q8_0"] = "f16"
    repack: bool = True  # weights laid out anew for this CPU's instructions, AMX among them


class LlamaSide:
    def __init__(self, settings: LlamaSettings) -> None:
        self._settings = settings
        self._log_callback = llama.llama_log_callback(_say_nothing)
        llama.llama_log_set(self._log_callback, ctypes.c_void_p(0))
        llama.llama_backend_init()
        started = time.perf_counter()
        self._model = _load(settings)
        self._context = _make_context(self._model, settings)
        self._load_s = time.perf_counter() - started
        self._num_batch = llama.llama_n_batch(self._context)
        self._batch = llama.llama_batch_init(self._num_batch, 0, 1)
        self._vocab_size = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(self._model))
        self._memory = llama.llama_get_memory(self._context)
        self._cached: list[list[int]] = [[] for _ in range(settings.num_sequences)]

    def about(self) -> dict[str, Any]:
        return {
            "llama_cpp_python": importlib.metadata.version("llama-cpp-python"),
            "ggml": f"{_built('ggml_version')} {_built('ggml_commit')}",
            "system": " ".join(llama.llama_print_system_info().decode().replace(" = 1", "").split()),
            "load_s": round(self._load_s, 2),
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            **{name: value for name, value in asdict(self._settings).items() if name != "gguf"},
        }

    def prefill(self, prompt: Tokens) -> float:
        started = time.perf_counter()
        self._read([prompt])
        return time.perf_counter() - started

    def decode(self, prompts: Sequence[Tokens], num_tokens: int) -> Written:
        newest = self._read(prompts)
        started = time.perf_counter()
        for _ in range(num_tokens):
            entries = [(token, len(self._cached[s]), s, True) for s, token in enumerate(newest)]
            newest = self._compute(entries)
        return Written(num_tokens * len(prompts), time.perf_counter() - started)

    def perplexity(self, texts: Sequence[Tokens], rows: int) -> float:
        raise NotImplementedError("the peer is measured for speed only")

    def _read(self, prompts: Sequence[Tokens]) -> list[int]:
        """Computes what is not cached of every prompt; returns the first token of each answer."""
        first = []
        for sequence, prompt in enumerate(prompts):
            known = _common(self._cached[sequence], prompt[:-1])
            llama.llama_memory_seq_rm(self._memory, sequence, known, -1)
            del self._cached[sequence][known:]
            entries = [(prompt[p], p, sequence, p == len(prompt) - 1) for p in range(known, len(prompt))]
            for part in _parts(entries, self._num_batch):
                best = self._compute(part)
            first.append(best[-1])
        return first

    def _compute(self, entries: list[Entry]) -> list[int]:
        """The likeliest next token of every entry that wants logits."""
        batch = self._batch
        batch.n_tokens = len(entries)
        for i, (token, position, sequence, wants_logits) in enumerate(entries):
            batch.token[i], batch.pos[i], batch.logits[i] = token, position, wants_logits
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            self._cached[sequence].append(token)
        if (status := llama.llama_decode(self._context, batch)) != 0:
            raise RuntimeError(f"llama_decode returned {status}")
        return [self._argmax(i) for i, entry in enumerate(entries) if entry[3]]

    def _argmax(self, row: int) -> int:
        logits = llama.llama_get_logits_ith(self._context, row)
        return int(np.ctypeslib.as_array(logits, shape=(self._vocab_size,)).argmax())


def _load(settings: LlamaSettings) -> Any:
    params = llama.llama_model_default_params()
    params.use_extra_bufts = settings.repack
    model = llama.llama_model_load_from_file(settings.gguf.encode(), params)
    if model is None:
        raise ValueError(f"llama.cpp cannot load {settings.gguf}")
    return model


def _make_context(model: Any, settings: LlamaSettings) -> Any:
    params = llama.llama_context_default_params()
    params.n_ctx = settings.context * settings.num_sequences
    params.n_seq_max = settings.num_sequences
    params.n_batch = max(2048, settings.ubatch)
    params.n_ubatch = settings.ubatch
    params.n_threads = params.n_threads_batch = settings.threads
    params.flash_attn_type = (
        llama.LLAMA_FLASH_ATTN_TYPE_ENABLED if settings.flash_attention else llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
    )
    params.kv_unified = settings.unified
    params.type_k = params.type_v = CACHE_TYPES[settings.cache_type]
    context = llama.llama_init_from_model(model, params)
    if context is None:
        raise ValueError(f"llama.cpp refuses {settings}")
    return context


def _built(name: str) -> str:
    """What the library tells of how it was made; the Python package does not declare these."""
    function = getattr(llama._lib, name)
    function.restype = ctypes.c_char_p
    return bytes(function()).decode()


def _say_nothing(level: int, text: bytes, user_data: object) -> None:
    pass


def _common(cached: list[int], prompt: Tokens) -> int:
    pairs = zip(cached, prompt, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(cached), len(prompt)))


def _parts(entries: list[Entry], size: int) -> Iterator[list[Entry]]:
    return (entries[i : i + size] for i in range(0, len(entries), size))
