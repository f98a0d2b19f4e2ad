"""Routes of usage and quotas."""

from django.urls import path

from chatapp.usage import views

urlpatterns = [
    path("usage", views.show_usage, {"team": False}, name="usage"),
    path("usage.csv", views.download_usage, {"team": False}, name="usage_csv"),
    path("usage/team", views.show_usage, {"team": True}, name="team_usage"),
    path("usage/team.csv", views.download_usage, {"team": True}, name="team_usage_csv"),
    path("settings/quotas", views.edit_quotas, name="quotas"),
]
