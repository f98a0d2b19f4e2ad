from django.apps import AppConfig


class AnswersConfig(AppConfig):
    name = "chatapp.answers"
    label = "answers"
