"""A conversation that goes for good: with its messages, answers, and the files that nothing else has."""

from chatapp.conversations.models import Conversation
from chatapp.files.models import Attachment
from chatapp.files.removal import remove_unused


def remove_for_good(conversation: Conversation) -> int:
    """How many files went with it. No viewer is asked."""
    carried = Attachment.objects.filter(message__conversation=conversation, upload__isnull=False)
    upload_ids = list(carried.values_list("upload_id", flat=True))
    conversation.delete()
    return remove_unused(upload_ids)
