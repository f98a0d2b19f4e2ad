"""Routes of files."""

from django.urls import path

from chatapp.files import pages, views

urlpatterns = [
    path("files", pages.show_files, name="files"),
    path("files/collections", pages.collections, name="collections"),
    path("files/collections/<uuid:collection_id>", pages.show_collection, name="collection"),
    path("files/collections/<uuid:collection_id>/rename", pages.rename_collection, name="rename_collection"),
    path("files/collections/<uuid:collection_id>/delete", pages.delete_collection, name="delete_collection"),
    path("files/collections/<uuid:collection_id>/share", pages.share_collection, name="share_collection"),
    path("files/collections/<uuid:collection_id>/end-share", pages.end_share, name="end_share"),
    path("files/collections/<uuid:collection_id>/<uuid:upload_id>/take-out", pages.take_out, name="take_out"),
    path("files/<uuid:upload_id>/delete", pages.confirm_removal, name="confirm_removal"),
    path("files/uploads", views.uploads, name="uploads"),
    path("files/uploads/<uuid:upload_id>", views.upload, name="upload"),
    path("files/states", views.show_states, name="upload_states"),
    path("files/<uuid:upload_id>/retry", views.retry_upload, name="retry_upload"),
    path("files/<uuid:upload_id>/cancel", views.cancel_upload, name="cancel_upload"),
    path("files/<uuid:upload_id>/remove", views.remove_upload, name="remove_upload"),
    path("files/<uuid:upload_id>/content", views.show_content, name="upload_content"),
]
