from django.apps import AppConfig


class SearchesConfig(AppConfig):
    name = "chatapp.searches"
    default_auto_field = "django.db.models.BigAutoField"
