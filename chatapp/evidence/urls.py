"""Routes of evidence."""

from django.urls import path

from chatapp.evidence import views

urlpatterns = [
    path("sources/<uuid:evidence_id>", views.show_source, name="source"),
    path("sources/pages/<uuid:page_id>", views.show_page, name="page_copy"),
    path("answers/<uuid:answer_id>/pages", views.show_pages, name="answer_pages"),
    path("files/<uuid:upload_id>/view", views.show_file, name="file"),
]
