"""What people may type about themselves."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.utils.translation import get_language_info
from django.utils.translation import gettext_lazy as _

from chatapp.accounts.models import Theme, User
from chatapp.forms import LookMixin

LANGUAGE_CHOICES = [
    ("", _("As the browser says")),
    *((code, get_language_info(code)["name_local"]) for code, _name in settings.LANGUAGES),
]
THEME_CHOICES = [
    (Theme.SYSTEM.value, _("As the system says")),
    (Theme.LIGHT.value, _("Light")),
    (Theme.DARK.value, _("Dark")),
]


class SignInForm(LookMixin, forms.Form):
    email = forms.EmailField(
        label=_("Email"), max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "username", "autofocus": True})
    )
    password = forms.CharField(
        label=_("Password"),
        max_length=1000,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


class NewPasswordMixin(LookMixin, forms.Form):
    """A new password, checked against the site's rules and the person it is for."""

    new_password = forms.CharField(
        label=_("New password"),
        max_length=1000,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("At least 10 characters, and not one of the common ones."),
    )

    def person(self) -> User:
        raise NotImplementedError

    def check_new_password(self) -> None:
        password = self.cleaned_data.get("new_password")
        if password:
            try:
                validate_password(password, self.person())
            except forms.ValidationError as error:
                self.add_error("new_password", error)


class WelcomeForm(NewPasswordMixin):
    name = forms.CharField(label=_("Name"), max_length=100, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    email = forms.EmailField(
        label=_("Email"), max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "username"})
    )

    field_order = ("name", "email", "new_password")

    def person(self) -> User:
        return User(name=self.cleaned_data.get("name", ""), email=self.cleaned_data.get("email", ""))

    def clean(self) -> dict[str, Any]:
        self.check_new_password()
        return self.cleaned_data


class PasswordForm(NewPasswordMixin):
    password = forms.CharField(
        label=_("Current password"),
        max_length=1000,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    field_order = ("password", "new_password")

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def person(self) -> User:
        return self.user

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        if not self.user.check_password(password):
            raise forms.ValidationError(_("This is not your current password."))
        return password

    def clean(self) -> dict[str, Any]:
        self.check_new_password()
        return self.cleaned_data


class CodeForm(LookMixin, forms.Form):
    """A code of the app, or a recovery code."""

    code = forms.CharField(
        label=_("Code"),
        max_length=20,
        help_text=_("Six digits from your app, or one of your recovery codes."),
        widget=forms.TextInput(
            attrs={
                "autocomplete": "one-time-code",
                "inputmode": "text",
                "autocapitalize": "none",
                "spellcheck": "false",
            }
        ),
    )


class ConfirmedForm(LookMixin, forms.Form):
    """With the password once more: an unattended page must not be enough. Who has none has signed in elsewhere."""

    password = forms.CharField(
        label=_("Password"),
        max_length=1000,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        if not user.has_usable_password():
            del self.fields["password"]

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        if not self.user.check_password(password):
            raise forms.ValidationError(_("This is not your current password."))
        return password


class SetUpForm(ConfirmedForm):
    code = forms.CharField(
        label=_("The six digits that it shows"),
        max_length=20,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )

    field_order = ("code", "password")


class PasskeyForm(ConfirmedForm):
    pass


class PasskeyNameForm(forms.Form):
    name = forms.CharField(max_length=100)


class ProfileForm(LookMixin, forms.Form):
    name = forms.CharField(label=_("Name"), max_length=100, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    language = forms.ChoiceField(label=_("Language"), choices=LANGUAGE_CHOICES, required=False)
    theme = forms.ChoiceField(label=_("Theme"), choices=THEME_CHOICES)


class EndSessionForm(forms.Form):
    """One session by its id, or all but this one; with `keys` the API keys end too."""

    session = forms.UUIDField(required=False)
    others = forms.BooleanField(required=False)
    keys = forms.BooleanField(required=False)


class PreferencesForm(forms.Form):
    """Any one or more of the four; what is not sent stays as it is."""

    language = forms.ChoiceField(choices=LANGUAGE_CHOICES, required=False)
    theme = forms.ChoiceField(choices=THEME_CHOICES, required=False)
    thinking = forms.BooleanField(required=False)
    search = forms.BooleanField(required=False)
