"""Routes of the chat page and its partials."""

from django.urls import path

from chatapp.conversations import views

urlpatterns = [
    path("", views.new_chat, name="new_chat"),
    path("sidebar", views.show_sidebar, name="sidebar"),
    path("c/<uuid:conversation_id>", views.show_conversation, name="conversation"),
    path("c/<uuid:conversation_id>/thread", views.show_thread, name="thread"),
    path("c/<uuid:conversation_id>/messages/<uuid:message_id>", views.show_message, name="message"),
    path("c/<uuid:conversation_id>/select", views.select_branch, name="select_branch"),
    path("c/<uuid:conversation_id>/rename", views.rename_conversation, name="rename_conversation"),
    path("c/<uuid:conversation_id>/delete", views.delete_conversation, name="delete_conversation"),
    path("c/<uuid:conversation_id>/presence", views.note_presence, name="note_presence"),
    path("c/<uuid:conversation_id>/restore", views.restore_conversation, name="restore_conversation"),
]
