"""The password of an encrypted answer: derived from the case's key, so nothing keeps it and it goes with the key."""

from __future__ import annotations

import base64

from security.keys import Keyring

USE = b"password of an encrypted answer"
BYTES = 10
"""80 bits: sixteen letters and digits, which can be read out on the phone."""


async def answer_password(keyring: Keyring, case: str) -> str:
    """The same for a case whenever it is asked for, in groups of four: `K3QD-…`. It never goes with the answer's mail.

    Raises:
        NoKey: There is no such case.
        KeyDestroyed: The case was erased.
    """
    text = base64.b32encode((await keyring.of(case)).derived(USE)[:BYTES]).decode()
    return "-".join(text[n : n + 4] for n in range(0, len(text), 4))
