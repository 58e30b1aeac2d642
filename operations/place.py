"""Where this installation's store and engine are: named by the environment, or embedded in its var folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr
from temporalio.client import Client
from temporalio.envconfig import ClientConfig

from models.common import Model
from models.converter import sealing
from operations.local import LocalServerError, running
from operations.store import keyring
from security.codec import CaseCodec, WasFiled
from security.keys import Keyring
from security.master import MasterKey, MasterKeyError, MasterKeyFile, MasterKeys
from settings import Settings, SettingsFaults

CODEC_HTTP = "127.0.0.1:8234"
"""Where the codec endpoint listens where nothing else is said."""


class Place(Model):
    """Addresses of store and engine."""

    database_url: str
    keys_database_url: str
    temporal_address: str
    namespace: str
    ui_url: str | None = None
    codec_http: str = CODEC_HTTP
    """Where the codec endpoint listens, `host:port`."""
    codec_url: str = f"http://{CODEC_HTTP}"
    """Where operators sign in and open the UI: the codec endpoint as browsers reach it."""

    async def connect(self, keyring: Keyring, *, filed: WasFiled | None = None) -> Client:
        """A client of the engine; TLS and API key by `TEMPORAL_*` of the environment.

        `filed` is for a worker: it alone answers a case without a key, if that was not filed.

        Raises:
            RuntimeError: It does not answer.
        """
        config = ClientConfig.load_client_connect_config()
        config["target_host"] = self.temporal_address
        config["namespace"] = self.namespace
        return await Client.connect(**config, data_converter=sealing(CaseCodec(keyring, filed=filed)))


@contextmanager
def beginning() -> Iterator[None]:
    """What a program needs to begin: where it cannot be had, the program ends with what is wrong, in plain words."""
    try:
        yield
    except (SettingsFaults, LocalServerError, MasterKeyError) as e:
        raise SystemExit(str(e)) from None


async def find(settings: Settings) -> Place:
    """The place of these settings.

    Raises:
        LocalServerError: Nothing is named, and no embedded servers run for this var folder.
    """
    embedded = None
    if settings.database_url is None or settings.temporal_address is None:
        embedded = await running(settings.var)
        if embedded is None:
            raise LocalServerError(
                f"no servers run for {settings.var}; start them with `make demo`, or name yours with DATABASE_URL and "
                "TEMPORAL_ADDRESS"
            )
    codec_http = settings.codec_http or (embedded.codec_http if embedded else CODEC_HTTP)
    return Place(
        database_url=_secret(settings.database_url) or (embedded.database_url if embedded else ""),
        keys_database_url=keys_url(settings) or (embedded.keys_database_url if embedded else ""),
        temporal_address=settings.temporal_address or (embedded.temporal_address if embedded else ""),
        namespace=settings.namespace,
        ui_url=settings.temporal_ui or (embedded.ui_url if embedded else None),
        codec_http=codec_http,
        codec_url=settings.codec_url or f"http://{codec_http}",
    )


def keys_url(settings: Settings) -> str | None:
    """The key database that the settings name; None means the embedded one.

    Raises:
        LocalServerError: A store elsewhere is named without one.
    """
    if settings.database_url is not None and settings.keys_database_url is None:
        raise LocalServerError("DATABASE_URL names a store elsewhere: name its key database, TERMINS_KEYS_DATABASE_URL")
    return _secret(settings.keys_database_url)


def master_key(settings: Settings) -> MasterKey:
    """The master key that the settings name.

    Raises:
        MasterKeyError: It cannot be read, or is none.
    """
    if settings.master_key is not None:
        return MasterKeys(settings.master_key.get_secret_value())
    return MasterKeyFile(settings.master_key_file)


def keys(place: Place, settings: Settings) -> Keyring:
    """The keyring of an installation.

    Raises:
        MasterKeyError: The master key cannot be read, or is none.
    """
    return keyring(place.keys_database_url, master_key(settings))


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value else None
