from django.apps import AppConfig


class FilesConfig(AppConfig):
    name = "chatapp.files"
    label = "files"

    def ready(self) -> None:
        """Joins what uploads tells to what search does."""
        from chatapp.files import indexing
        from uploads import signals

        signals.reading_ended.connect(indexing.ask_for_index)
        signals.readings_removed.connect(indexing.drop_passages)
