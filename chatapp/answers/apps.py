from uuid import UUID

from django.apps import AppConfig

from chatapp.accounts.signals import rights_changed


class AnswersConfig(AppConfig):
    name = "chatapp.answers"
    label = "answers"

    def ready(self) -> None:
        rights_changed.connect(_ring_person, dispatch_uid="answers.ring_person")


def _ring_person(person_id: UUID, **_signal: object) -> None:
    from chatapp.answers.doorbell import ring_person_blocking  # the layer needs the settings

    ring_person_blocking(person_id)
