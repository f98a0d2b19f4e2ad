"""People, groups, their sign-ins, and what guards the door."""

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.sessions.models import Session
from django.db import models
from django.db.models.functions import Lower, Now


class Role(models.TextChoices):
    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    GUEST = "guest"


class Theme(models.TextChoices):
    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str, **fields: Any) -> "User":
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, username: str | None) -> "User":
        # Folded by the database exactly as in `user_email_once`: Django's iexact folds to upper case, where two
        # different addresses (a dotless i) can become one.
        return self.alias(folded=Lower("email")).get(folded=Lower(models.Value(username)))


class User(AbstractBaseUser):
    """A person. `language` empty means: follow the browser."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(max_length=254)
    name = models.CharField(max_length=100)
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)
    is_active = models.BooleanField(default=True)
    language = models.CharField(max_length=10, blank=True, default="")
    theme = models.CharField(max_length=10, choices=Theme.choices, default=Theme.SYSTEM)
    wants_thinking = models.BooleanField(default=False)
    wants_search = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]
    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        constraints = (models.UniqueConstraint(Lower("email"), name="user_email_once"),)

    def __str__(self) -> str:
        return self.name


class Group(models.Model):
    """A named set of people that things are shared with."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True)
    members = models.ManyToManyField(User, related_name="teams", blank=True)

    def __str__(self) -> str:
        return self.name


class SignIn(models.Model):
    """A session of a person, so that they can see and end it. Lives and dies with Django's own session row."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    session = models.OneToOneField(Session, on_delete=models.CASCADE, related_name="sign_in")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="sign_ins")
    user_agent = models.CharField(max_length=300, blank=True, default="")
    address = models.CharField(max_length=45, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField(db_default=Now())


class Identity(models.Model):
    """Who a person is elsewhere: `source` is an issuer of OpenID Connect, or a directory; `subject` its own id."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="identities")
    source = models.CharField(max_length=255)
    subject = models.CharField(max_length=255)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = (models.UniqueConstraint(fields=["source", "subject"], name="identity_once"),)


class CodeApp(models.Model):
    """An app that shows codes (TOTP). Counts from its confirmation on; `last_step` is never accepted again."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, primary_key=True, related_name="code_app")
    secret = models.BinaryField()  # sealed
    last_step = models.BigIntegerField(default=0)
    confirmed_at = models.DateTimeField(null=True, blank=True)


class RecoveryCode(models.Model):
    """A code for when the app is lost, as a keyed hash; gone once it was used."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="recovery_codes")
    code_hash = models.CharField(max_length=64)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["user", "code_hash"], name="recovery_code_once"),)


class Passkey(models.Model):
    """A key that signs in without a password. `public_data` is WebAuthn's attested credential data."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="passkeys")
    name = models.CharField(max_length=100)
    credential_id = models.BinaryField(unique=True)
    public_data = models.BinaryField()
    sign_count = models.BigIntegerField()
    created_at = models.DateTimeField(db_default=Now())
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("created_at",)


class Throttle(models.Model):
    """How often something has failed under one key (a keyed hash), and until when it may not be tried again."""

    key = models.CharField(max_length=64, primary_key=True)
    failures = models.PositiveIntegerField(default=0)
    locked_until = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = (models.Index(fields=["updated_at"], name="throttle_recent"),)


class WelcomeLink(models.Model):
    """The owner's one-time link, as a hash. At most one row; worth nothing once there is an account."""

    only_one = models.BooleanField(primary_key=True, default=True, editable=False)
    token_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = (models.CheckConstraint(condition=models.Q(only_one=True), name="welcome_link_one"),)
