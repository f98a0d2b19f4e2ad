"""Routes of accounts: the door, the person's own page, preferences and languages."""

from django.urls import path

from chatapp.accounts import views

urlpatterns = [
    path("sign-in", views.sign_in, name="sign_in"),
    path("sign-out", views.sign_out, name="sign_out"),
    path("welcome/<str:token>", views.welcome_owner, name="welcome"),
    path("account", views.account, name="account"),
    path("account/password", views.change_password, name="change_password"),
    path("account/profile", views.change_profile, name="change_profile"),
    path("account/sessions/end", views.end_session, name="end_session"),
    path("preferences", views.save_preferences, name="preferences"),
    path("i18n/<str:language>.json", views.javascript_strings, name="javascript_strings"),
]
