"""Routes of evidence."""

from django.urls import path

from chatapp.evidence import views

urlpatterns = [
    path("sources/<uuid:evidence_id>", views.show_source, name="source"),
    path("files/<uuid:upload_id>/view", views.show_file, name="file"),
]
