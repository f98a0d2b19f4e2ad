from django.apps import AppConfig


class PeopleConfig(AppConfig):
    name = "chatapp.people"
    label = "people"
