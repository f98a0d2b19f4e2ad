from uuid import UUID

from django.apps import AppConfig

from chatapp.accounts.signals import keys_ended


class ProgramsConfig(AppConfig):
    name = "chatapp.programs"
    label = "programs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        keys_ended.connect(_end_keys, dispatch_uid="programs.end_keys")


def _end_keys(person_id: UUID, **_signal: object) -> None:
    from chatapp.programs.keys import end_all  # the models are loaded by now

    end_all(person_id)
