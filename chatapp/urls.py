"""Every route of the site; docs/protocol.md says what each does."""

from django.urls import include, path

handler500 = "chatapp.http.server_error"

urlpatterns = [
    path("", include("chatapp.accounts.urls")),
    path("", include("chatapp.conversations.urls")),
    path("", include("chatapp.finding.urls")),
    path("", include("chatapp.ordering.urls")),
    path("", include("chatapp.answers.urls")),
    path("", include("chatapp.endpoints.urls")),
    path("", include("chatapp.files.urls")),
    path("", include("chatapp.folders.urls")),
    path("", include("chatapp.presets.urls")),
    path("", include("chatapp.exports.urls")),
    path("", include("chatapp.imports.urls")),
    path("", include("chatapp.searches.urls")),
    path("", include("chatapp.evidence.urls")),
    path("", include("chatapp.usage.urls")),
    path("", include("chatapp.people.urls")),
    path("", include("chatapp.sharing.urls")),
    path("", include("chatapp.programs.urls")),
]
