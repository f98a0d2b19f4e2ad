"""Routes of folders."""

from django.urls import path

from chatapp.folders import views

urlpatterns = [
    path("folders", views.list_folders, name="folders"),
    path("folders/take-out", views.take_out_of_folders, name="take_out_of_folders"),
    path("folders/<uuid:folder_id>", views.show_folder, name="folder"),
    path("folders/<uuid:folder_id>/change", views.change_folder, name="change_folder"),
    path("folders/<uuid:folder_id>/collections", views.add_collection, name="add_folder_collection"),
    path(
        "folders/<uuid:folder_id>/collections/<uuid:collection_id>/take-out",
        views.take_collection_out,
        name="take_folder_collection_out",
    ),
    path("folders/<uuid:folder_id>/share", views.share_folder, name="share_folder"),
    path("folders/<uuid:folder_id>/end-share", views.end_folder_share, name="end_folder_share"),
    path("folders/<uuid:folder_id>/delete", views.delete_folder, name="delete_folder"),
    path("folders/<uuid:folder_id>/put", views.put_into_folder, name="put_into_folder"),
]
