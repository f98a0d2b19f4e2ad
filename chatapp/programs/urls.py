"""Routes of programs: `/v1`, and the pages of keys."""

from django.urls import path

from chatapp.programs import embedding, file_views, key_pages, stored, views

urlpatterns = [
    path("account/keys", key_pages.keys, name="keys"),
    path("account/keys/<uuid:key_id>", key_pages.key, name="key"),
    path("account/keys/<uuid:key_id>/end", key_pages.end_key, name="end_key"),
    path("people/keys", key_pages.team_keys, name="team_keys"),
    path("v1/chat/completions", views.chat_completions, name="api_chat"),
    path("v1/chat/completions/<str:name>", stored.stored, name="api_stored"),
    path("v1/completions", views.completions, name="api_completions"),
    path("v1/embeddings", embedding.embeddings, name="api_embeddings"),
    path("v1/files", file_views.files, name="api_files"),
    path("v1/files/<str:name>", file_views.file, name="api_file"),
    path("v1/files/<str:name>/content", file_views.file_content, name="api_file_content"),
    path("v1/models", views.list_models, name="api_models"),
    path("v1/models/<path:name>", views.show_model, name="api_model"),
    path("v1/user/balance", views.show_balance, name="api_balance"),
    path("user/balance", views.show_balance, name="api_balance_deepseek"),
    path("v1/<path:rest>", views.unknown, name="api_unknown"),
]
