"""Routes of the web: searches as people watch them, pictures of sites, and the settings, for the owner."""

from django.urls import path

from chatapp.searches import owner_views, views

urlpatterns = [
    path("searches/<uuid:search_id>", views.show_search, name="web_search"),
    path("searches/<uuid:search_id>/confirm", views.confirm_search, name="confirm_search"),
    path("searches/<uuid:search_id>/skip", views.skip_search, name="skip_search"),
    path("sources/icons/<str:host>", views.show_icon, name="site_icon"),
    path("settings/web", owner_views.edit_web, name="web_setting"),
    path("settings/web/try", owner_views.try_engine, name="try_engine"),
]
