"""Django's settings, all derived from chatapp.config; no environment is read here."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.utils.translation import gettext_lazy as _

from chatapp.config import S3, read_config
from uploads.config import MIB, UploadSettings

BASE_DIR = Path(__file__).resolve().parent.parent
CONFIG = read_config()

SECRET_KEY = CONFIG.secret_key
DEBUG = CONFIG.debug
_LOOPBACK = ["127.0.0.1", "localhost", "[::1]"]
ALLOWED_HOSTS = [*_LOOPBACK, *CONFIG.allowed_hosts]
CSRF_TRUSTED_ORIGINS = list(CONFIG.origins)

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "channels",
    "search",
    "chatapp.accounts",
    "chatapp.conversations",
    "chatapp.finding",
    "chatapp.ordering",
    "chatapp.endpoints",
    "chatapp.answers",
    "chatapp.files",
    "chatapp.folders",
    "chatapp.presets",
    "chatapp.searches",
    "chatapp.usage",
    "chatapp.evidence",
    "chatapp.exports",
    "chatapp.imports",
    "chatapp.people",
    "chatapp.sharing",
    "chatapp.programs",
    "uploads",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "chatapp.security.ContentSecurityPolicy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "chatapp.accounts.middleware.PersonalLanguage",
    "chatapp.accounts.middleware.SignInRequired",
    "chatapp.accounts.middleware.LastSeen",
    "chatapp.http.ErrorAnswers",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "chatapp.urls"
ASGI_APPLICATION = "chatapp.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]


def _database(url: str) -> dict[str, object]:
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "sonde",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.pop("host", parts.hostname or ""),
        "PORT": parts.port or "",
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": query,
    }


DATABASES = {"default": _database(CONFIG.database_url)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"


def _file_storage(s3: S3 | None, folder: str = "uploads") -> dict[str, object]:
    """Where the bytes of files lie, each kind in its folder. No URL of it is ever told: views ask who may read.

    Uploaded files are at the root of a bucket, where they have always been.
    """
    if s3 is None:
        options: dict[str, object] = {
            "location": CONFIG.data_dir / folder,
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        }
        return {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": options}
    given = {
        "bucket_name": s3.bucket,
        "endpoint_url": s3.endpoint,
        "region_name": s3.region,
        "access_key": s3.access_key,
        "secret_key": s3.secret_key,
    }
    # A file that is read lies in memory up to this size, then in a temporary file.
    options = {"max_memory_size": MIB, "default_acl": None}
    options |= {"location": folder} if folder != "uploads" else {}
    options |= {name: value for name, value in given.items() if value}
    return {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}


STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},  # of no use here, and no file gets anywhere
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "uploads": _file_storage(CONFIG.s3, "uploads"),
    "exports": _file_storage(CONFIG.s3, "exports"),
}
UPLOADS = UploadSettings(
    partial_dir=CONFIG.data_dir / "uploads-partial",
    max_bytes=CONFIG.upload_max_mb * MIB,
    quota_bytes=CONFIG.upload_quota_mb * MIB,
    max_pages=CONFIG.upload_max_pages,
    parse_seconds=CONFIG.parse_seconds,
    parse_memory_bytes=CONFIG.parse_memory_mb * MIB,
)

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "chatapp.answers.layer.GroupLayer",
        "CONFIG": {"hosts": [CONFIG.redis_url], "prefix": "sonde"},
    }
}

CELERY_BROKER_URL = CONFIG.redis_url
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ACKS_LATE = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"

# A search.web.guard.Guard in place of the usual one, which lets the open internet alone be asked. Only tests give one,
# for a web of their own.
WEB_GUARD: Any = None

# What search/ asks for vectors.
EMBEDDINGS_URL = CONFIG.embeddings_url
EMBEDDINGS_KEY = CONFIG.embeddings_key
EMBEDDINGS_MODEL = CONFIG.embeddings_model

AUTH_USER_MODEL = "accounts.User"
# An email is unique whatever its case, by a constraint on Lower("email"), which the check does not recognise.
SILENCED_SYSTEM_CHECKS = ["auth.E003"]
LOGIN_URL = "/sign-in"
LOGIN_REDIRECT_URL = "/"
PASSWORD_RESET_TIMEOUT = int(timedelta(days=1).total_seconds())
SESSION_COOKIE_AGE = int(timedelta(days=30).total_seconds())
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = CONFIG.https
CSRF_FAILURE_VIEW = "chatapp.http.csrf_failure"
CSRF_COOKIE_HTTPONLY = False  # our own JavaScript sends it back as a header
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if CONFIG.https else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("de", _("German")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS = [BASE_DIR / "chatapp" / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# WhiteNoise serves straight from the source folders: no collectstatic step between a clone and a page.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = CONFIG.debug

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {"httpx": {"level": "WARNING"}, "fido2": {"level": "WARNING"}},
}
