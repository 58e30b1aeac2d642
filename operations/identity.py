"""Which identity provider this installation has, as its settings say."""

from __future__ import annotations

from integrations.identity import IdentityProvider
from models.now import Now
from operations.directory import LocalDirectory
from operations.intake import Sessions
from settings import Settings


def provider(settings: Settings, sessions: Sessions, now: Now) -> IdentityProvider:
    """The provider; `sessions` are those of the local directory (`LocalDirectory` says why it has its own).

    Raises:
        ValueError: An address elsewhere that is asked without TLS.
    """
    if settings.identity == "local":
        return LocalDirectory(sessions, now)
    from integrations.scim import Scim  # noqa: PLC0415  # a fifth of a second, for those who have such a server

    assert settings.scim_url is not None
    assert settings.scim_token is not None
    return Scim(settings.scim_url, settings.scim_token.get_secret_value(), must_change=settings.scim_must_change)
