"""Text to token ids and ids to bytes, by the checkpoint's own tokenizer.json. Knows no model and no tensors.

Only byte-level vocabularies are taken (the family's own, and the default model's): for them text is the UTF-8 of
the tokens' bytes joined, which makes streaming exact.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from functools import cached_property
from pathlib import Path
from typing import Any

import tokenizers

from inference.chat_template import ChatTemplate
from inference.markup import FILL_BEGIN, FILL_END, FILL_HOLE, MARKUP


class Tokenizer:
    def __init__(self, path: Path) -> None:
        """Reads tokenizer.json and, where they exist, tokenizer_config.json and chat_template.jinja."""
        if not (path / "tokenizer.json").exists():
            raise ValueError(f"{path} holds no tokenizer.json")
        self._tokenizer = tokenizers.Tokenizer.from_file(str(path / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        if not _is_byte_level(json.loads(self._tokenizer.to_str()).get("decoder")):
            raise ValueError(f"{path}: the tokenizer's decoder is not ByteLevel, which is the only one supported")
        added = self._tokenizer.get_added_tokens_decoder()
        self.special_ids = frozenset(i for i, token in added.items() if token.special and token.content not in MARKUP)
        self._control_texts = sorted((token.content for token in added.values()), key=len, reverse=True)
        self._bytes: dict[int, bytes] = {}
        config = _read_json(path / "tokenizer_config.json")
        bos_token = _token_text(config.get("bos_token"))
        self._bos_id = self._tokenizer.token_to_id(bos_token) if config.get("add_bos_token") else None
        fill_ids = [self._tokenizer.token_to_id(text) for text in (FILL_BEGIN, FILL_HOLE, FILL_END)]
        self._fill_ids = [token_id for token_id in fill_ids if token_id is not None]
        self.chat_template = ChatTemplate(
            _template_source(path, config),
            bos_token=bos_token,
            eos_token=_token_text(config.get("eos_token")),
        )

    @property
    def vocab_size(self) -> int:
        return self._tokenizer.get_vocab_size()

    @cached_property
    def longest_token(self) -> int:
        """In bytes, so that no text of more characters is one token."""
        return max(len(token.encode()) for token in self._tokenizer.get_vocab())

    def encode(self, text: str) -> list[int]:
        """The text alone: nothing is put before or after it."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def encode_prompt(self, text: str) -> list[int]:
        """As the checkpoint wants a bare text to begin (with BOS, where it says so)."""
        token_ids: list[int] = self._tokenizer.encode(text).ids
        if self._bos_id is None or token_ids[:1] == [self._bos_id]:
            return token_ids
        return [self._bos_id, *token_ids]

    @property
    def can_fill(self) -> bool:
        """Whether the vocabulary has the family's tokens for filling in the middle."""
        return len(self._fill_ids) == 3

    def encode_fill(self, before: list[int], after: list[int]) -> list[int]:
        """The prompt for what stands between the two."""
        begin, hole, end = self._fill_ids
        return [*self.encode_prompt(""), begin, *before, hole, *after, end]

    def encode_chat(
        self, messages: list[dict[str, Any]], thinking: bool = False, tools: list[Any] | None = None
    ) -> list[int]:
        """The conversation up to where the assistant's answer begins. Raises ValueError as the template does.

        Control tokens written inside a message stay text: a page that is quoted cannot open a turn of its own.
        """
        rendered, seam = self.chat_template.render(messages, self._control_texts, thinking, tools)
        return [token_id for part in rendered.split(seam) for token_id in self.encode(part)]

    def decode(self, token_ids: list[int]) -> str:
        return b"".join(self.token_bytes(token_id) for token_id in token_ids).decode("utf-8", "replace")

    def encode_bytes(self, text: bytes) -> list[int]:
        """The same for bytes that need not be whole characters."""
        try:
            return self.encode(text.decode())
        except UnicodeDecodeError:
            return [self._id_of_bytes[bytes([byte])] for byte in text]

    def tokens_along(self, text: bytes) -> list[int]:
        """Tokens that begin with `text` or with which `text` begins: what may be written next if it must be written."""
        first = bisect_left(self._sorted_bytes, text)
        last = bisect_left(self._sorted_bytes, text + b"\xff" * 64, lo=first)
        along = [self._id_of_bytes[found] for found in self._sorted_bytes[first:last] if found.startswith(text)]
        shorter = (self._id_of_bytes.get(text[:length]) for length in range(1, len(text)))
        return along + [token_id for token_id in shorter if token_id is not None]

    @cached_property
    def _id_of_bytes(self) -> dict[bytes, int]:
        """Every token that is text. Made when first asked for: 0.1 s and 8 MB for 49152 tokens."""
        found = {self.token_bytes(token_id): token_id for token_id in range(self.vocab_size)}
        found.pop(b"", None)
        return found

    @cached_property
    def _sorted_bytes(self) -> list[bytes]:
        return sorted(self._id_of_bytes)

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes this token adds to the text: none for special tokens and for ids that only pad the vocabulary."""
        found = self._bytes.get(token_id)
        if found is None:
            found = self._bytes[token_id] = b"" if token_id in self.special_ids else self.raw_bytes(token_id)
        return found

    def raw_bytes(self, token_id: int) -> bytes:
        """The same, with special tokens as they are written."""
        text = self._tokenizer.id_to_token(token_id)
        if text is None:
            return b""
        try:
            return bytes(_BYTE_OF_CHAR[char] for char in text)
        except KeyError:  # an added token stands in the vocabulary as plain text
            return text.encode()


def _byte_characters() -> dict[str, int]:
    """Byte-level vocabularies write each byte as one visible character; the invisible ones are moved past U+0100."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    moved = [byte for byte in range(256) if byte not in visible]
    return {chr(byte): byte for byte in visible} | {chr(256 + i): byte for i, byte in enumerate(moved)}


_BYTE_OF_CHAR = _byte_characters()


def _is_byte_level(decoder: dict[str, Any] | None) -> bool:
    if decoder is None:
        return False
    if decoder["type"] == "Sequence":
        return any(_is_byte_level(part) for part in decoder["decoders"])
    return bool(decoder["type"] == "ByteLevel")


def _read_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object")
    return content


def _template_source(path: Path, config: dict[str, Any]) -> str | None:
    file = path / "chat_template.jinja"
    if file.exists():
        return file.read_text(encoding="utf-8")
    template = config.get("chat_template")
    if isinstance(template, list):  # several named ones
        template = next((entry["template"] for entry in template if entry["name"] == "default"), None)
    return template


def _token_text(token: str | dict[str, Any] | None) -> str:
    if isinstance(token, dict):
        return str(token["content"])
    return token or ""
