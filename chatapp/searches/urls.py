"""Routes of the web: its settings, for the owner."""

from django.urls import path

from chatapp.searches import owner_views

urlpatterns = [
    path("settings/web", owner_views.edit_web, name="web_setting"),
    path("settings/web/try", owner_views.try_engine, name="try_engine"),
]
