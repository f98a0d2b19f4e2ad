from django.apps import AppConfig


class EndpointsConfig(AppConfig):
    name = "chatapp.endpoints"
    label = "endpoints"
