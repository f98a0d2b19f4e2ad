"""Routes of presets."""

from django.urls import path

from chatapp.presets import views

urlpatterns = [
    path("presets", views.list_presets, name="presets"),
    path("presets/new", views.new_preset, name="new_preset"),
    path("presets/<uuid:preset_id>", views.show_preset, name="preset"),
    path("presets/<uuid:preset_id>/share", views.share_preset, name="share_preset"),
    path("presets/<uuid:preset_id>/end-share", views.end_preset_share, name="end_preset_share"),
    path("presets/<uuid:preset_id>/delete", views.delete_preset, name="delete_preset"),
]
