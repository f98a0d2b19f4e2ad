from django.apps import AppConfig


class FoldersConfig(AppConfig):
    name = "chatapp.folders"
    label = "folders"
