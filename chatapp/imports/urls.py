"""Routes of imports."""

from django.urls import path

from chatapp.imports import views

urlpatterns = [path("account/imports", views.show_imports, name="imports")]
