from django.apps import AppConfig


class FindingConfig(AppConfig):
    name = "chatapp.finding"
    label = "finding"
