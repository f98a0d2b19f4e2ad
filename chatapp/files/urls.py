"""Routes of files."""

from django.urls import path

from chatapp.files import views

urlpatterns = [
    path("files", views.show_library, name="library"),
    path("files/uploads", views.uploads, name="uploads"),
    path("files/uploads/<uuid:upload_id>", views.upload, name="upload"),
    path("files/states", views.show_states, name="upload_states"),
    path("files/<uuid:upload_id>/retry", views.retry_upload, name="retry_upload"),
    path("files/<uuid:upload_id>/cancel", views.cancel_upload, name="cancel_upload"),
    path("files/<uuid:upload_id>/remove", views.remove_upload, name="remove_upload"),
    path("files/<uuid:upload_id>/content", views.show_content, name="upload_content"),
]
