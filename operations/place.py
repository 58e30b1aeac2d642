"""Where this installation's store and engine are: named by the environment, or embedded in its var folder."""

from __future__ import annotations

from temporalio.client import Client
from temporalio.envconfig import ClientConfig

from models.common import Model
from models.converter import data_converter
from operations.local import LocalServerError, running
from settings import Settings


class Place(Model):
    """Addresses of store and engine."""

    database_url: str
    temporal_address: str
    namespace: str
    ui_url: str | None = None

    async def connect(self) -> Client:
        """A client of the engine; TLS and API key by `TEMPORAL_*` of the environment.

        Raises:
            RuntimeError: It does not answer.
        """
        config = ClientConfig.load_client_connect_config()
        config["target_host"] = self.temporal_address
        config["namespace"] = self.namespace
        return await Client.connect(**config, data_converter=data_converter)


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
    database = settings.database_url.get_secret_value() if settings.database_url else None
    return Place(
        database_url=database or (embedded.database_url if embedded else ""),
        temporal_address=settings.temporal_address or (embedded.temporal_address if embedded else ""),
        namespace=settings.namespace,
        ui_url=settings.temporal_ui or (embedded.ui_url if embedded else None),
    )
