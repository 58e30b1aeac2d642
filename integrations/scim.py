"""SCIM 2.0 (RFC 7643, 7644): the identity provider that an organisation has already, such as Keycloak, Entra ID, Okta.

Termins needs of it the look-up of users by external id, POST, PATCH and DELETE; it says nothing about a person there: a
user's name is the account's. What a server adds of its own to its answers is left unread, for they all do.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from httpx2 import AsyncClient
from scim2_client import RequestNetworkException, SCIMClientException, UnexpectedStatusCodeException
from scim2_client.engines.httpx2 import AsyncSCIMClient
from scim2_models import ListResponse, SCIMException, ScimPolicy, ScimProvider, SearchRequest, User

from integrations.identity import IdentityRefused, IdentityUnavailable, NewAccount
from integrations.mail import is_this_machine

PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ANSWERS_WITHIN = 4.0
"""Seconds for each request."""
TRIES = 3
"""So often a change is tried that somebody else was faster with."""

_NOT_FOUND, _CONFLICT, _CHANGED = 404, 409, 412
_LATER = {401, 403, 408, 425, 429, *range(500, 600)}
"""Statuses of a server that cannot do it now, or does not let Termins in: once somebody has mended it, it goes on."""

_SERVER = ScimProvider(models=[User], policy=ScimPolicy(unknown=ScimPolicy.Unknown.ignore))


class Scim:
    """An `IdentityProvider` behind a SCIM address.

    SCIM has no word for the duty to change a password (SE-33.3.4.4). `must_change` is the attribute of this server that
    means it, such as `urn:example:User:mustChangePassword`, and is set in one request with the password; None where the
    server asks for a change of every password that it was given from outside.
    """

    in_store = False

    def __init__(
        self, url: str, token: str, *, must_change: str | None = None, timeout: float = ANSWERS_WITHIN
    ) -> None:
        """`token` is a bearer token; `timeout` is in seconds for each request. Without TLS only on this machine."""
        check_address(url)
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}
        self._must_change = must_change
        self._timeout = timeout
        self._tls = ssl.create_default_context()

    async def make(self, account: NewAccount) -> str:
        """See `IdentityProvider`."""
        async with self._session() as scim:
            if (found := await _find(scim, account.external_id)) is not None:
                return found
            new: User[Any] = User(user_name=account.username, external_id=account.external_id, active=True)
            try:
                made = await scim.create(new)
            except SCIMException as e:
                if e.status != _CONFLICT:
                    raise
                # another run made it in between, or somebody else has the name
                found = await _find(scim, account.external_id)
                if found is None:
                    raise IdentityRefused("another account of the identity provider has the user name") from None
                return found
            return _id_of(made)

    async def find(self, external_id: str) -> str | None:
        """See `IdentityProvider`."""
        async with self._session() as scim:
            return await _find(scim, external_id)

    async def set_secret(self, id: str, secret: str, *, must_change: bool) -> None:
        """See `IdentityProvider`."""
        values: dict[str, Any] = {"password": secret}
        if self._must_change is not None:
            values[self._must_change] = must_change
        async with self._session() as scim:
            await _change(scim, id, values)

    async def set_active(self, id: str, active: bool) -> None:
        """See `IdentityProvider`."""
        async with self._session() as scim:
            await _change(scim, id, {"active": active})

    async def remove(self, id: str) -> None:
        """See `IdentityProvider`."""
        async with self._session() as scim:
            try:
                await scim.delete(User, id)
            except SCIMException as e:
                if e.status != _NOT_FOUND:
                    raise

    async def answers(self) -> None:
        """See `IdentityProvider`: by a look-up, so that token and filter are tried as well."""
        await self.find("-")

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[AsyncSCIMClient]:
        """Connections for one call; whatever goes wrong in it, in two words that hold nothing of what was asked."""
        try:
            async with AsyncClient(
                base_url=self._url, headers=self._headers, timeout=self._timeout, verify=self._tls
            ) as client:
                yield AsyncSCIMClient(client, provider=_SERVER)
        except RequestNetworkException as e:
            raise IdentityUnavailable(
                f"the identity provider cannot be reached: {type(e.__cause__).__name__}"
            ) from None
        except SCIMException as e:
            raise _failure(e.status) from None
        except UnexpectedStatusCodeException as e:
            raise _failure(e.source.status_code) from None
        except SCIMClientException as e:
            raise IdentityRefused(f"the identity provider does not speak SCIM: {type(e).__name__}") from None


def check_address(url: str) -> None:
    """Raise ValueError for an address that a token and secrets may not go to."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_this_machine(parts.hostname or "")):
        raise ValueError("an identity provider elsewhere is asked by https only")


async def _find(scim: AsyncSCIMClient, external_id: str) -> str | None:
    # a filter's text is a JSON string (RFC 7644, 3.4.2.2)
    wanted: SearchRequest[Any] = SearchRequest.model_validate({"filter": f"externalId eq {json.dumps(external_id)}"})
    found = await scim.query(User, wanted)
    users = found.resources or [] if isinstance(found, ListResponse) else []
    # a server that does not know the filter may answer with everybody
    return next((_id_of(user) for user in users if user.external_id == external_id), None)


async def _change(scim: AsyncSCIMClient, id: str, values: dict[str, Any]) -> None:
    """Replace these attributes in one request, by the version that was read if the server counts versions.

    So a request that a server carries out late, after its run was given up, changes nothing that was set since.
    """
    operations = [{"op": "replace", "path": path, "value": value} for path, value in values.items()]
    for tried in range(1, TRIES + 1):
        user = await scim.query(User, id)
        version = user.meta.version if isinstance(user, User) and user.meta else None
        try:
            await scim.modify(
                User,
                id,
                {"schemas": [PATCH], "Operations": operations},
                headers={"If-Match": version} if version else {},
            )
        except SCIMException as e:
            if e.status != _CHANGED or tried == TRIES:
                raise
        else:
            return


def _id_of(user: Any) -> str:
    if not isinstance(user, User) or not user.id:
        raise IdentityRefused("the identity provider names no id")
    return user.id


def _failure(status: int) -> IdentityUnavailable | IdentityRefused:
    """Only the status of an answer: its words may repeat what was asked."""
    if status == _NOT_FOUND:
        return IdentityRefused("the identity provider has no such account")
    text = f"the identity provider answered {status}"
    return IdentityUnavailable(text) if status in _LATER or status == _CHANGED else IdentityRefused(text)
