from django.apps import AppConfig


class ExportsConfig(AppConfig):
    name = "chatapp.exports"
    label = "exports"
