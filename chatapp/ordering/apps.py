from django.apps import AppConfig


class OrderingConfig(AppConfig):
    name = "chatapp.ordering"
    label = "ordering"
