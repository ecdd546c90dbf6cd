"""The second factor: six digits that an application on the person's telephone makes anew every 30 seconds (RFC 6238).

Only reckoning is here; what is kept of it, and that each code is taken once, is ``crm.sign_in``'s.
"""

from __future__ import annotations

import base64
import hmac
from datetime import datetime

import pyotp

STEP_S = 30
DRIFT = 1  # steps by which a telephone's clock may be off, each way
ISSUER = "15-51"


def secret_of(seed: bytes) -> str:
    """A secret as it is kept and typed, base32, of 20 random bytes."""
    return base64.b32encode(seed[:20]).decode()


def address(secret: str, login: str) -> str:
    """What an application reads from the picture: ``otpauth://totp/…``."""
    return pyotp.TOTP(secret).provisioning_uri(name=login, issuer_name=ISSUER)


def step_of(secret: str, code: str, now: datetime, after: int) -> int | None:
    """The step that ``code`` is of, none at or before ``after``; None for a wrong code, or one that was taken."""
    typed, at = "".join(code.split()), int(now.timestamp()) // STEP_S
    known = pyotp.TOTP(secret)
    right = [step for step in range(at - DRIFT, at + DRIFT + 1)
             if hmac.compare_digest(known.generate_otp(step).encode(), typed.encode())]  # fmt: skip
    return next((step for step in right if step > after), None)
