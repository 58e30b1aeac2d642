"""The master key: wraps every data key; behind a port, so that a key service of a cloud or an HSM can stand here."""

from __future__ import annotations

import base64
import os
import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12
_BESIDE = ".master-"
"""How the names of files begin that lie beside the master key file for a moment, or were left there by a death."""


class MasterKeyError(Exception):
    """The master key cannot be had or does not fit; the text never holds key material."""


class MasterKey(Protocol):
    """Wraps and unwraps data keys (32 bytes each), bound to a context that must be the same at both ends."""

    @property
    def current(self) -> str:
        """The id of the key that a rotation wraps by."""
        ...

    async def wrap(self, key: bytes, master: str, context: bytes) -> bytes:
        """The data key, encrypted by this master key.

        Raises:
            MasterKeyError: This master key is not here.
        """
        ...

    async def unwrap(self, wrapped: bytes, master: str, context: bytes) -> bytes:
        """The data key again.

        Raises:
            MasterKeyError: This master key is not here, or what is wrapped was changed.
        """
        ...


class MasterKeys:
    """Master keys held in memory, the current one first: from the environment, or the base of those in a file.

    Written as `id:key` words, the key 32 bytes in URL-safe base64, the current one first.
    """

    def __init__(self, text: str) -> None:
        self._keys = _parse(text)

    @property
    def current(self) -> str:
        """The id of the key that a rotation wraps by."""
        return next(iter(self._keys))

    @property
    def held(self) -> tuple[str, ...]:
        """The ids of all that are here, the current one first."""
        return tuple(self._keys)

    async def wrap(self, key: bytes, master: str, context: bytes) -> bytes:
        """The data key, encrypted by this master key.

        Raises:
            MasterKeyError: This master key is not here.
        """
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher(master).encrypt(nonce, key, context)

    async def unwrap(self, wrapped: bytes, master: str, context: bytes) -> bytes:
        """The data key again.

        Raises:
            MasterKeyError: This master key is not here, or what is wrapped was changed.
        """
        try:
            return self._cipher(master).decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], context)
        except InvalidTag:
            raise MasterKeyError(f"a data key does not fit the master key {master}") from None

    def _cipher(self, master: str) -> AESGCM:
        if master not in self._keys:
            raise MasterKeyError(f"the master key {master} is not here")
        return AESGCM(self._keys[master])


class MasterKeyFile(MasterKeys):
    """Master keys in a file that only its owner can read; made with a first key where there is none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._write([_new()], first=True)
        super().__init__(self._read())

    def _cipher(self, master: str) -> AESGCM:
        if master not in self._keys:  # another process may have added it
            self._keys = _parse(self._read())
        return super()._cipher(master)

    def add(self) -> str:
        """Make a new master key the current one, beside the former; its id."""
        new = _new()
        self._write([new, *self._read().split()])
        self._keys = _parse(self._read())
        return new.partition(":")[0]

    def forget(self, master: str) -> None:
        """Destroy a former master key: its bytes are overwritten before they leave the disk's directory."""
        if master == self.current:
            raise MasterKeyError("the current master key cannot be forgotten")
        self._write([word for word in self._read().split() if word.partition(":")[0] != master])
        self._keys = _parse(self._read())

    def _read(self) -> str:
        try:
            return self._path.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as e:
            raise MasterKeyError(f"the master key file cannot be read: {type(e).__name__}") from None

    def _write(self, words: Sequence[str], *, first: bool = False) -> None:
        """Write and flush beside the file, then put it in its place: it is always whole, and the former one is gone."""
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=_BESIDE)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write("\n".join(words) + "\n")
                file.flush()
                os.fsync(file.fileno())
            if first:
                try:
                    os.link(name, self._path)  # fails where another process was first: its key counts
                except FileExistsError:
                    return
            else:
                # by this name it can be overwritten, by the next write if this process dies before it does
                os.link(self._path, f"{name}-former")
                Path(name).replace(self._path)
        finally:
            Path(name).unlink(missing_ok=True)
        self._flush_names()
        if not first:
            self._destroy_what_lies_beside()

    def _flush_names(self) -> None:
        """No data key is wrapped by a master key whose file could still be lost in a power cut."""
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _destroy_what_lies_beside(self) -> None:
        """Overwrite former files before their names go; their bytes go too where the file system writes in place."""
        for former in self._path.parent.glob(f"{_BESIDE}*"):
            if not former.samefile(self._path):
                with former.open("r+b") as file:
                    size = file.seek(0, os.SEEK_END)
                    file.seek(0)
                    file.write(b"\0" * size)
                    file.flush()
                    os.fsync(file.fileno())
            former.unlink()


def _new() -> str:
    return f"m-{secrets.token_hex(4)}:{base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"


def _parse(text: str) -> dict[str, bytes]:
    keys: dict[str, bytes] = {}
    for word in text.split():
        name, _, encoded = word.partition(":")
        try:
            key = base64.urlsafe_b64decode(encoded)
        except ValueError:
            key = b""
        if not name or len(key) != KEY_BYTES or name in keys:
            raise MasterKeyError("a master key is an id, a colon, and 32 bytes in URL-safe base64; each id once")
        keys[name] = key
    if not keys:
        raise MasterKeyError("there is no master key")
    return keys
