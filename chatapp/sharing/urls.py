"""Routes of sharing."""

from django.urls import path

from chatapp.sharing import views

urlpatterns = [
    path("c/<uuid:conversation_id>/share", views.share, name="share_conversation"),
    path("c/<uuid:conversation_id>/end-share", views.end_share, name="end_conversation_share"),
    path("c/<uuid:conversation_id>/fork", views.fork, name="fork_conversation"),
    path("c/<uuid:conversation_id>/links", views.make_link, name="make_link"),
    path("c/<uuid:conversation_id>/links/<uuid:link_id>/revoke", views.revoke_link, name="revoke_link"),
    path("c/<uuid:thing_id>/who", views.show_seers, {"kind": "conversation"}, name="who_sees_conversation"),
    path("files/collections/<uuid:thing_id>/who", views.show_seers, {"kind": "collection"}, name="who_sees_collection"),
    path("folders/<uuid:thing_id>/who", views.show_seers, {"kind": "folder"}, name="who_sees_folder"),
    path("presets/<uuid:thing_id>/who", views.show_seers, {"kind": "preset"}, name="who_sees_preset"),
    path("s/<str:token>", views.show_shared, name="shared"),
]
