from django.apps import AppConfig


class ImportsConfig(AppConfig):
    name = "chatapp.imports"
    label = "imports"
