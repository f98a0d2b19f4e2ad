"""Routes of the order in many chats."""

from django.urls import path

from chatapp.ordering import views

urlpatterns = [
    path("chats", views.order_chats, name="order_chats"),
    path("archive", views.show_archive, name="archive"),
]
