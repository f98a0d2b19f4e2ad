"""Routes of answers, and the site's own state of health."""

from django.urls import path

from chatapp.answers import views

urlpatterns = [
    path("answers/<uuid:answer_id>/details", views.show_details, name="answer_details"),
    path("files/fit", views.show_fit, name="fit"),
    path("health", views.show_health, name="health"),
]
