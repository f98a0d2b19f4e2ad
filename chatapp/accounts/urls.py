"""Routes of accounts: the door, the person's own page, preferences and languages."""

from django.urls import path

from chatapp.accounts import code_pages, oidc_pages, passkey_pages, views

urlpatterns = [
    path("sign-in", views.sign_in, name="sign_in"),
    path("sign-in/code", code_pages.enter_code, name="enter_code"),
    path("sign-in/passkey/begin", passkey_pages.begin_entering, name="begin_passkey_sign_in"),
    path("sign-in/passkey", passkey_pages.enter, name="passkey_sign_in"),
    path("sign-in/oidc", oidc_pages.begin, name="oidc"),
    path("sign-in/oidc/callback", oidc_pages.callback, name="oidc_callback"),
    path("account/oidc/connect", oidc_pages.connect, name="connect_oidc"),
    path("account/oidc/disconnect", oidc_pages.disconnect, name="disconnect_oidc"),
    path("sign-out", views.sign_out, name="sign_out"),
    path("welcome/<str:token>", views.welcome_owner, name="welcome"),
    path("account", views.account, name="account"),
    path("account/password", views.change_password, name="change_password"),
    path("account/profile", views.change_profile, name="change_profile"),
    path("account/sessions/end", views.end_session, name="end_session"),
    path("account/codes", code_pages.set_up, name="set_up_codes"),
    path("account/codes/renew", code_pages.renew, name="renew_recovery_codes"),
    path("account/codes/off", code_pages.switch_off, name="switch_off_codes"),
    path("account/passkeys/begin", passkey_pages.begin_adding, name="begin_passkey"),
    path("account/passkeys", passkey_pages.add, name="add_passkey"),
    path("account/passkeys/<uuid:passkey_id>/delete", passkey_pages.delete, name="delete_passkey"),
    path("preferences", views.save_preferences, name="preferences"),
    path("i18n/<str:language>.json", views.javascript_strings, name="javascript_strings"),
]
