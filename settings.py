"""What an installation decides for itself: read from the environment once, by the entry points, and passed on."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from integrations.mail import is_this_machine

_DRIVER = "postgresql+asyncpg"

SECRETS = "TERMINS_SECRETS"
"""Names the folder in which any setting can lie as a file of its variable's name; `/run/secrets` if it is not set."""

# Absolute from the start, so that a later change of the working folder cannot move the data.
Folder = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]


class Settings(BaseSettings):
    """One installation. Everything has a default that works on one machine with the embedded servers.

    Termins' own names start with `TERMINS_`; `DATABASE_URL`, `TEMPORAL_ADDRESS` and `TEMPORAL_NAMESPACE` are the
    names that other tools know. TLS and API keys for Temporal are read by `temporalio.envconfig`, not here.
    What the environment does not name is looked for as a file (`SECRETS`), so that no secret needs to be a variable.
    Secrets, and the database address that may hold one, never show in a repr, a log or an error text.

    Raises:
        pydantic.ValidationError: a value that cannot be meant; the text names the field, never the value.
    """

    model_config = SettingsConfigDict(
        env_prefix="TERMINS_",
        env_ignore_empty=True,  # compose files pass unset variables as empty ones
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    var: Folder = Field(default=Path("var"), validate_default=True)
    """Everything this installation writes: the embedded servers' data, logs, mail, bank files."""

    database_url: SecretStr | None = Field(default=None, validation_alias="DATABASE_URL")
    """A PostgreSQL elsewhere, as an SQLAlchemy address for asyncpg; None means the embedded one."""

    keys_database_url: SecretStr | None = None
    """The database of the data keys, never the store's own; None means the embedded one beside an embedded store."""

    master_key: SecretStr | None = None
    """Master keys as `id:key` words, the current one first; None means the file."""

    master_key_file: Folder = Field(default_factory=lambda earlier: earlier["var"] / "keys" / "master")
    """Where the master key is kept; made at the first start."""

    key_backups: Folder = Field(default_factory=lambda earlier: earlier["var"] / "backup" / "keys")
    """Where backups of the data keys lie, apart from the store's own; better on another machine."""

    key_backup_days: int = Field(default=30, ge=1, le=365)
    """Days for which a backup of the keys is kept: so long can what was erased still be brought back."""

    checkpoints: Folder = Field(default_factory=lambda earlier: earlier["var"] / "checkpoints")
    """Where the signed heads of all cases are published; meant to be out of reach of who runs this installation."""

    temporal_address: str | None = Field(default=None, validation_alias="TEMPORAL_ADDRESS")
    """A Temporal elsewhere, `host:port`; None means the embedded one."""

    namespace: str = Field(default="default", validation_alias="TEMPORAL_NAMESPACE", min_length=1)

    build: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]{1,64}$")
    """The build that this worker is, so that cases run only on the build that was made current; None: on any worker."""

    temporal_ui: str | None = None
    """Where people open the Temporal UI, without a slash at the end; None means the embedded one's own address."""

    codec_http: str | None = Field(default=None, pattern=r"^\S+:\d{1,5}$")
    """Where the codec endpoint listens, `host:port`; None means 127.0.0.1:8234, or what the embedded servers chose."""

    codec_url: str | None = Field(default=None, pattern=r"^https?://[^/\s]+/?$")
    """Where browsers reach the codec endpoint; None means where it listens. Elsewhere than on this machine: https."""

    token: SecretStr | None = None
    """An operator's own token, for events that this operator reports by the command line."""

    mail: Literal["maildir", "smtp"] = "maildir"
    """`maildir` keeps what would be sent under `var`; `smtp` sends it."""

    mail_folder: Folder = Field(default_factory=lambda earlier: earlier["var"] / "mail")
    smtp_host: str | None = None
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_security: Literal["starttls", "none"] = "starttls"
    """`none` is for a relay on this machine only: notices hold personal data."""

    smtp_user: str | None = None
    smtp_password: SecretStr | None = None

    mail_sender: str = "noreply@{organisation}.example"
    """Who letters come from; `{organisation}` is the organisation's code in small letters."""

    mail_staff: str = "{role}@{organisation}.example"
    """Where reminders and escalations go; `{role}` is the role that the rulebook names."""

    mail_in: Literal["maildir", "imap"] = "maildir"
    """Where mail servers report what became of letters: the mailbox of `mail_sender`."""

    mail_in_folder: Folder = Field(default_factory=lambda earlier: earlier["var"] / "mail-in")
    imap_host: str | None = None
    imap_port: int = Field(default=993, ge=1, le=65535)
    imap_security: Literal["tls", "starttls", "none"] = "tls"
    """`none` is for a server on this machine only."""

    imap_user: str | None = None
    imap_password: SecretStr | None = None
    imap_mailbox: str = Field(default="INBOX", min_length=1)

    identity: Literal["local", "scim"] = "local"
    """Who keeps the secrets of users' login data: the directory that comes with Termins, or a SCIM 2.0 server."""

    scim_url: str | None = Field(default=None, pattern=r"^https?://\S+$")
    """Where that server answers, such as `https://idp.example/scim/v2`; https, but on this machine."""

    scim_token: SecretStr | None = None
    scim_must_change: str | None = Field(default=None, pattern=r"^\S+$")
    """The attribute by which that server is told that a password has to be changed; None: it asks for that anyway."""

    data_systems: Folder | None = None
    """The file that names the data systems beside Termins' own store; None: there is no other."""

    trust_list: Folder | None = None
    """Whose electronic signatures are trusted: a trusted list (ETSI TS 119 612, XML), certificates (PEM), or a folder
    of both; None: no signature is validated here."""

    bank_folder: Folder = Field(default_factory=lambda earlier: earlier["var"] / "bank")
    """Payment orders go out here as files, and the bank's confirmations come in."""

    sanctions_list: Folder = Field(default=Path(__file__).parent / "samples" / "sanctions.xml", validate_default=True)
    """The EU's consolidated list of sanctions as a file; by itself a sample of invented people."""

    worker_http: str = Field(default="127.0.0.1:9464", pattern=r"^(off|\S+:\d{1,5})$")
    """Where a worker answers `/livez`, `/readyz` and `/metrics`: `host:port`, or `off`. It asks for no password."""

    @field_validator("database_url", "keys_database_url", mode="before")
    @classmethod
    def _for_asyncpg(cls, value: Any) -> Any:
        """Turns the usual spellings (`postgres://…`, `sslmode=…`) into the one that the engine takes."""
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if not isinstance(text, str):
            return value
        try:
            url = make_url(text)
        except ArgumentError:
            # Without its cause, which repeats the whole address, password included.
            raise ValueError("not a database address (postgresql://user@host/database)") from None
        if url.drivername not in {"postgres", "postgresql", _DRIVER}:
            raise ValueError(f"Termins needs PostgreSQL, not {url.drivername}")
        mode = url.query.get("sslmode")
        if mode is not None:  # libpq's word; asyncpg's dialect calls the same thing ssl
            url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
        return url.set(drivername=_DRIVER).render_as_string(hide_password=False)

    @classmethod
    def settings_customise_sources(  # noqa: D102  # what it does is said above
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the library gives all by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        folder = Path(os.environ.get(SECRETS) or "/run/secrets")
        # the library warns where there is no such folder, which is how it is on most machines
        files = (SecretsSettingsSource(settings_cls, folder),) if folder.is_dir() else ()
        return init_settings, env_settings, *files

    @field_validator("temporal_ui", "codec_url")
    @classmethod
    def _no_slash_at_the_end(cls, value: str | None) -> str | None:
        return value.rstrip("/") if value else value

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.mail == "smtp" and self.smtp_host is None:
            raise ValueError("TERMINS_MAIL=smtp needs TERMINS_SMTP_HOST")
        if self.identity == "scim" and None in (self.scim_url, self.scim_token):
            raise ValueError("TERMINS_IDENTITY=scim needs TERMINS_SCIM_URL and TERMINS_SCIM_TOKEN")
        if self.mail_in == "imap" and None in (self.imap_host, self.imap_user, self.imap_password):
            raise ValueError(
                "TERMINS_MAIL_IN=imap needs TERMINS_IMAP_HOST, TERMINS_IMAP_USER and TERMINS_IMAP_PASSWORD"
            )
        if self.smtp_security == "none" and self.smtp_host is not None and not is_this_machine(self.smtp_host):
            raise ValueError("TERMINS_SMTP_SECURITY=none is for a relay on this machine only (SE-33.3.12)")
        if (self.smtp_user is None) != (self.smtp_password is None):
            raise ValueError("TERMINS_SMTP_USER and TERMINS_SMTP_PASSWORD belong together")
        return self


class SettingsFaults(Exception):
    """Settings that cannot be meant: every fault with the name of its variable, and no value."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__(f"settings: {'; '.join(faults)}")


def read_settings() -> Settings:
    """The settings of this process.

    Raises:
        SettingsFaults: Some cannot be meant; all are named.
    """
    try:
        return Settings()
    except ValidationError as e:
        raise SettingsFaults(_faults(e)) from None


def _faults(error: ValidationError) -> list[str]:
    faults = []
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        if one["type"] == "default_factory_not_called":
            continue  # a default that hangs on a faulty value is no fault of its own
        field = Settings.model_fields.get(str(one["loc"][0])) if one["loc"] else None
        # a field without an alias is known by the variable's name; one with it is reported under the alias already
        names = [f"TERMINS_{str(name).upper()}" if field is not None else str(name) for name in one["loc"][:1]]
        faults.append(": ".join([*names, one["msg"].removeprefix("Value error, ")]))
    return faults
