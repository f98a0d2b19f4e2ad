from django.apps import AppConfig


class EvidenceConfig(AppConfig):
    name = "chatapp.evidence"
    label = "evidence"

    def ready(self) -> None:
        from chatapp.evidence import removal  # noqa: F401  # hears of deleted files
