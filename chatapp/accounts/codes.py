"""The second step of a sign-in: codes of an app (TOTP, RFC 6238, by pyotp), and recovery codes for when it is lost.

Secrets are sealed, recovery codes hashed; each code is accepted once. Who tries too many waits (throttle.py).
"""

import logging
import re
import secrets
import time

import pyotp
from django.db import transaction
from django.db.models.functions import Now
from django.utils.crypto import salted_hmac
from pyotp.utils import strings_equal

from chatapp.accounts.models import CodeApp, RecoveryCode, User
from chatapp.accounts.throttle import Key, begin
from chatapp.sealing import seal, unseal

logger = logging.getLogger(__name__)

ISSUER = "Sonde"
NUM_RECOVERY_CODES = 10
_USE = "sonde totp secrets v1"
_STEP_S = 30
_WINDOW = (-1, 0, 1)  # steps: a phone's clock may be half a minute off, and people type slowly
_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"  # none that is taken for another


def is_on(user: User) -> bool:
    return CodeApp.objects.filter(user=user, confirmed_at__isnull=False).exists()


def num_recovery_codes(user: User) -> int:
    return user.recovery_codes.count()


def begin_setup(user: User) -> pyotp.TOTP:
    """The app to be set up: the same one until it is confirmed, so that a reloaded page shows the same picture."""
    assert not is_on(user), "one app at a time"
    fresh = seal(_USE, pyotp.random_base32())
    app, _made = CodeApp.objects.get_or_create(user=user, defaults={"secret": fresh})
    return _totp(app)


def address_for(user: User, totp: pyotp.TOTP) -> str:
    """What the picture says: otpauth://..."""
    return totp.provisioning_uri(name=user.email, issuer_name=ISSUER)


def confirm(user: User, code: str) -> list[str] | None:
    """Switches it on, and returns the recovery codes; None for a wrong code. Whoever asks has seen the
    secret: there is nothing to guess."""
    with transaction.atomic():
        app = CodeApp.objects.select_for_update().filter(user=user, confirmed_at=None).first()
        if app is None or not _accept(app, code):
            return None
        CodeApp.objects.filter(pk=app.pk).update(confirmed_at=Now())
        logger.info("second step on person=%s", user.pk)
        return make_recovery_codes(user)


def check(user: User, code: str) -> bool:
    """A code of the app, or a recovery code, which is gone then. Raises Locked."""
    attempt = begin(Key("code", str(user.pk)))
    app = CodeApp.objects.filter(user=user, confirmed_at__isnull=False).first()
    if app is None or not (_accept(app, code) or _spend(user, code)):
        return False
    attempt.succeeded("code")
    return True


def switch_off(user: User) -> None:
    with transaction.atomic():
        CodeApp.objects.filter(user=user).delete()
        user.recovery_codes.all().delete()
    logger.info("second step off person=%s", user.pk)


def make_recovery_codes(user: User) -> list[str]:
    """Told once; older ones stop working."""
    codes = [_recovery_code() for _number in range(NUM_RECOVERY_CODES)]
    with transaction.atomic():
        user.recovery_codes.all().delete()
        RecoveryCode.objects.bulk_create(RecoveryCode(user=user, code_hash=_hash(user, code)) for code in codes)
    return codes


def _accept(app: CodeApp, code: str) -> bool:
    """Compare-and-set on the step: of two who bring the same code at once one gets in."""
    digits, totp, now = _plain(code), _totp(app), int(time.time())
    for offset in _WINDOW:
        if strings_equal(digits, totp.at(now, counter_offset=offset)):
            step = now // _STEP_S + offset
            return bool(CodeApp.objects.filter(pk=app.pk, last_step__lt=step).update(last_step=step))
    return False


def _spend(user: User, code: str) -> bool:
    spent, _ = RecoveryCode.objects.filter(user=user, code_hash=_hash(user, code)).delete()
    if spent:
        logger.info("recovery code used person=%s", user.pk)
    return spent > 0


def _recovery_code() -> str:
    """59 bits: nothing to guess, even without a lock before it."""
    letters = "".join(secrets.choice(_LETTERS) for _number in range(12))
    return "-".join(re.findall("....", letters))


def _hash(user: User, code: str) -> str:
    return salted_hmac("chatapp.accounts.codes", f"{user.pk}:{_plain(code)}", algorithm="sha256").hexdigest()


def _plain(code: str) -> str:
    return re.sub(r"[\s-]", "", code).casefold()


def _totp(app: CodeApp) -> pyotp.TOTP:
    return pyotp.TOTP(unseal(_USE, bytes(app.secret)))
