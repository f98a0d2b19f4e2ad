"""What is in an archive: every chat as Markdown and JSON, every file, and what the person has set up."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from django.utils import translation
from django.utils.translation import gettext as _

from chatapp.accounts.models import User
from chatapp.conversations.models import Conversation
from chatapp.conversations.selectors import read_thread
from chatapp.exports.documents import as_json, as_markdown, file_stem
from uploads.models import Upload
from uploads.selectors import open_bytes
from uploads.storage import PIECE

Told = Callable[[int, int], None]


def pack(owner: User, path: Path, told: Told) -> None:
    """`told(done, total)` after each chat and each file. A chat or file that goes meanwhile is left out."""
    chats = list(Conversation.objects.filter(owner=owner, deleted_at=None, is_temporary=False).order_by("created_at"))
    uploads = list(Upload.objects.filter(owner=owner, state=Upload.State.WHOLE).order_by("created_at"))
    total = len(chats) + len(uploads)
    told(0, total)
    with translation.override(owner.language or "en"), ZipFile(path, "w", ZIP_DEFLATED) as zip:
        _write_json(zip, "owner.json", {"name": owner.name, "email": owner.email})
        _write_json(zip, "collections.json", [_collection(each) for each in owner.collections.order_by("name")])
        _write_json(zip, "folders.json", [_folder(each) for each in owner.folders.order_by("name")])
        _write_json(zip, "presets.json", [_preset(each) for each in owner.presets.order_by("name")])
        for done, chat in enumerate(chats, start=1):
            _pack_chat(zip, owner, chat)
            told(done, total)
        for done, upload in enumerate(uploads, start=len(chats) + 1):
            _pack_file(zip, upload)
            told(done, total)


def _pack_chat(zip: ZipFile, owner: User, chat: Conversation) -> None:
    if not Conversation.objects.filter(pk=chat.pk, deleted_at=None, owner=owner).exists():
        return
    stem = f"chats/{file_stem(chat)}"
    zip.writestr(f"{stem}.md", as_markdown(read_thread(owner, chat.pk), _("Question"), _("Answer")))
    zip.writestr(f"{stem}.json", as_json(chat))


def _pack_file(zip: ZipFile, upload: Upload) -> None:
    """Stored as it is: most files are packed already, and time is worth more than the rest."""
    try:
        source = open_bytes(upload)
    except FileNotFoundError:
        return
    entry = ZipInfo(f"files/{str(upload.pk)[:8]} {upload.name.replace('/', '_')}")
    entry.compress_type = ZIP_STORED
    with source, zip.open(entry, "w", force_zip64=True) as target:
        for piece in source.chunks(PIECE):
            target.write(piece)


def _write_json(zip: ZipFile, name: str, value: Any) -> None:
    zip.writestr(name, json.dumps(value, ensure_ascii=False, indent=1))


def _collection(collection: Any) -> dict[str, Any]:
    return {"name": collection.name, "files": [held.upload.name for held in collection.files.select_related("upload")]}


def _folder(folder: Any) -> dict[str, Any]:
    inside = Conversation.objects.filter(folder=folder, owner=folder.owner, deleted_at=None)
    chats = [str(id) for id in inside.values_list("pk", flat=True)]
    return {"name": folder.name, "instructions": folder.instructions, "chats": chats}


def _preset(preset: Any) -> dict[str, Any]:
    names = ("name", "system_prompt", "temperature", "max_tokens", "thinking", "search", "deep")
    model = preset.endpoint.name if preset.endpoint else None
    return {**{name: getattr(preset, name) for name in names}, "model": model}
