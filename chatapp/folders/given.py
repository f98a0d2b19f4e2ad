"""What a folder gives to a question that is asked in it: by the rights of whoever asks, at the moment of the answer."""

from uuid import UUID

from chatapp.accounts.models import User
from chatapp.conversations.models import Conversation
from chatapp.folders.access import folders
from chatapp.folders.models import Folder, FolderCollection


def folder_for(conversation_id: UUID, asker: User | None) -> Folder | None:
    """None too where the asker may not read it: what it says is not theirs to hear through a model."""
    if asker is None:
        return None
    inside = Conversation.objects.filter(pk=conversation_id).values("folder")
    return folders(asker).filter(pk__in=inside).first()


def instructions_for(conversation_id: UUID, asker: User | None) -> str:
    folder = folder_for(conversation_id, asker)
    return folder.instructions if folder else ""


def collections_for(conversation_id: UUID, asker: User | None) -> list[UUID]:
    """Ids; which of them the asker may read is asked of the collections."""
    folder = folder_for(conversation_id, asker)
    if folder is None:
        return []
    return list(FolderCollection.objects.filter(folder=folder).values_list("collection_id", flat=True))
