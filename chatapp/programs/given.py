"""The files that programs of a person have given: no file of their chats or collections is among them."""

from django.db.models import QuerySet

from chatapp.accounts.models import User
from chatapp.programs.errors import ApiError
from uploads.models import Upload


def given_by(owner: User) -> QuerySet[Upload]:
    rows = Upload.objects.filter(owner=owner, program_file__isnull=False)
    return rows.select_related("program_file", "reading", "blob")


def no_file(name: str, param: str | None = None) -> ApiError:
    return ApiError(404, "file_not_found", f"There is no file {name[:60]!r}.", param=param)
