"""The route of the search over one's chats."""

from django.urls import path

from chatapp.finding import views

urlpatterns = [path("search", views.show_found, name="search")]
