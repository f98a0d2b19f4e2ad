"""A tiny checkpoint whose draft layer has learned something: in the released layout, kept under var/test-models.

transformers computes and trains it: two decoder layers, and a third one that becomes the layer of multi-token
prediction. A minute or less on the calibration prose is enough to guess about half of what the model says.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import DeepseekV32ForCausalLM
from transformers.masking_utils import create_causal_mask

from inference.tokenizer import Tokenizer
from tests.inference.conftest import tiny_config, write_tokenizer

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "var" / "test-models"
NUM_LAYERS = 2
NUM_STEPS = 240
LENGTH = 64
TEXT = (ROOT / "inference" / "calibration.txt").read_text(encoding="utf-8")


class Drafting(nn.Module):
    """The family's model with its draft layer, differentiable."""

    def __init__(self) -> None:
        super().__init__()
        self.model = DeepseekV32ForCausalLM(tiny_config(NUM_LAYERS + 1, index_topk=LENGTH))
        self.model.config.num_hidden_layers = NUM_LAYERS  # the forward pass stops before the draft layer
        hidden, norm = self.model.config.hidden_size, type(self.model.model.norm)
        self.enorm, self.hnorm, self.norm = norm(hidden), norm(hidden), norm(hidden)
        self.eh_proj = nn.Linear(2 * hidden, hidden, bias=False)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the token after each of ids[:, :-1], and of the one after that (batch, tokens - 1, vocab)."""
        hidden = self.model.model(ids[:, :-1], use_cache=False).last_hidden_state
        next_hidden = self.enorm(self.model.model.embed_tokens(ids[:, 1:]))
        joined = self.eh_proj(torch.cat((next_hidden, self.hnorm(hidden)), dim=-1))
        positions = torch.arange(joined.shape[1])[None]
        mask = create_causal_mask(
            config=self.model.config, inputs_embeds=joined, attention_mask=None, past_key_values=None,
            position_ids=positions, allow_is_causal_skip=False,
        )  # fmt: skip
        out = self.model.model.layers[NUM_LAYERS](
            joined,
            attention_mask=mask,
            position_ids=positions,
            position_embeddings=self.model.model.rotary_emb(joined, position_ids=positions),
        )
        return self.model.lm_head(hidden), self.model.lm_head(self.norm(out))

    def save(self, path: Path) -> None:
        """As releases do: the draft layer after the last, with copies of the embedding and the head."""
        self.model.config.num_hidden_layers = NUM_LAYERS + 1
        self.model.save_pretrained(path)
        tensors = load_file(path / "model.safetensors")
        prefix = f"model.layers.{NUM_LAYERS}"
        tensors |= {
            f"{prefix}.embed_tokens.weight": tensors["model.embed_tokens.weight"].clone(),
            f"{prefix}.shared_head.head.weight": tensors["lm_head.weight"].clone(),
            f"{prefix}.shared_head.norm.weight": self.norm.weight.detach(),
            f"{prefix}.enorm.weight": self.enorm.weight.detach(),
            f"{prefix}.hnorm.weight": self.hnorm.weight.detach(),
            f"{prefix}.eh_proj.weight": self.eh_proj.weight.detach(),
        }
        save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
        tiny_config(NUM_LAYERS, index_topk=LENGTH).save_pretrained(path)
        config = json.loads((path / "config.json").read_text())
        (path / "config.json").write_text(json.dumps(config | {"num_nextn_predict_layers": 1}))


def train(tokenizer: Tokenizer) -> Drafting:
    torch.manual_seed(5)
    drafting = Drafting()
    ids = torch.tensor(tokenizer.encode(TEXT))
    optimizer = torch.optim.AdamW(drafting.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=6e-3, total_steps=NUM_STEPS)
    for _ in range(NUM_STEPS):
        starts = torch.randint(len(ids) - LENGTH - 1, (8,))
        batch = torch.stack([ids[start : start + LENGTH + 1] for start in starts])
        ahead, draft = drafting(batch)
        loss = F.cross_entropy(ahead.flatten(0, 1), batch[:, 1:].flatten())
        loss = loss + F.cross_entropy(draft[:, :-1].flatten(0, 1), batch[:, 2:].flatten())
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    return drafting


def find_draft_checkpoint() -> Path:
    """Trained where it is not there yet; named by a hash of the code and the text it depends on."""
    sources = [
        Path(__file__).read_text(encoding="utf-8"),
        *map(inspect.getsource, (tiny_config, write_tokenizer)),
        TEXT,
    ]
    digest = hashlib.sha256("".join(sources).encode()).hexdigest()[:12]
    kept = KEPT / f"draft-{digest}"
    if not kept.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        for old in KEPT.glob("draft-*"):
            shutil.rmtree(old)
        with TemporaryDirectory(dir=KEPT) as made:
            path = Path(made) / "made"
            path.mkdir()
            write_tokenizer(path)
            train(Tokenizer(path)).save(path)
            with suppress(OSError):  # another run was faster
                os.rename(path, kept)
    return kept
