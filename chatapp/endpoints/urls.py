"""Routes of the endpoints' settings, for the owner."""

from django.urls import path

from chatapp.endpoints import views

urlpatterns = [
    path("settings/endpoints", views.list_endpoints, name="endpoints"),
    path("settings/endpoints/new", views.edit_endpoint, name="new_endpoint"),
    path("settings/endpoints/<uuid:endpoint_id>", views.edit_endpoint, name="endpoint"),
    path("settings/endpoints/<uuid:endpoint_id>/try", views.try_endpoint, name="try_endpoint"),
    path("settings/endpoints/<uuid:endpoint_id>/default", views.make_default, name="default_endpoint"),
    path("settings/endpoints/<uuid:endpoint_id>/delete", views.delete_endpoint, name="delete_endpoint"),
]
