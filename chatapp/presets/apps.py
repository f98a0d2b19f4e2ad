from django.apps import AppConfig


class PresetsConfig(AppConfig):
    name = "chatapp.presets"
    label = "presets"
