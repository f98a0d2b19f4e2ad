"""Routes of exports."""

from django.urls import path

from chatapp.exports import views

urlpatterns = [
    path("c/<uuid:conversation_id>/export", views.export_chat, name="export_chat"),
    path("account/archives", views.show_archives, name="archives"),
    path("account/archives/<uuid:archive_id>", views.download_archive, name="download_archive"),
    path("account/archives/<uuid:archive_id>/delete", views.delete_archive, name="delete_archive"),
]
