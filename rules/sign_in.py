"""Whether somebody may sign in, from what is known of account and client; and what a month of the journal is."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from zoneinfo import ZoneInfo

from models.common import Model
from models.sign_in import PASSWORD, Result, SignInAsked, Standing
from rules.calendar import load
from rules.period import count
from rules.rulebook import Rulebook, RulebookError, book, duty_for

PORTAL_FIRST = "GJ-portal-first"
RECORDS = {"sign_in": "SE-33.3.10", "opened": "SE-33.4.1"}
"""Table of the journal → the row that says how long its records are kept."""
MAPPED = IPv6Network("::ffff:0:0/96")
"""IPv4 in IPv6."""
MAPPED_BITS = 96


def decide(standing: Standing | None, asked: SignInAsked, at: datetime) -> Result:
    """What the question comes to, for somebody whom password or authenticator has proven.

    The order is that of what outranks what: an end is said before a suspension, and the address last, so that nobody
    learns the client's addresses by trying.
    """
    if standing is None:
        return "not_known"
    rulebook = book(standing.organisation)
    by_password = asked.method == PASSWORD
    if standing.status != "active":
        return "ended" if standing.status == "ended" else "suspended"
    if standing.locked:
        return "locked"
    if not _runs(standing, at.astimezone(ZoneInfo(rulebook.zone)).date()):
        return "no_contract"
    if by_password:
        if not standing.login_data:
            return "wrong"  # whatever a provider says that has not heard of it yet
        if standing.first and any(duty.id == PORTAL_FIRST for duty in rulebook.duty):
            return "portal_first"
        if not standing.any_address and not agreed(asked.address, standing.addresses):
            return "address"
        return "change_password" if standing.must_change else "allowed"
    # the client's list says what can be asked for: taking one off it takes nobody's access away (BL-3-notice)
    if asked.method != standing.authenticator:
        return "authenticator"
    return "limited" if standing.limited else "allowed"


def goes_on(status: str, contract_from: date | None, contract_until: date | None, today: date) -> bool:
    """Whether a session that has not ended is still good: nothing has closed the account or the contract since."""
    return status == "active" and _between(contract_from, contract_until, today)


def _runs(standing: Standing, today: date) -> bool:
    return _between(standing.contract_from, standing.contract_until, today)


def _between(first: date | None, last: date | None, today: date) -> bool:
    """The contract's last day still counts (BL-11)."""
    return (first is None or first <= today) and (last is None or today <= last)


def agreed(address: IPv4Address | IPv6Address, networks: Iterable[str]) -> bool:
    """Whether an address lies in one of the agreed networks (BL-12)."""
    return any(address in _one_form(network) for network in networks)


def _one_form(network: str) -> IPv4Network | IPv6Network:
    """A network as addresses are compared with it: IPv4 in IPv6 is IPv4."""
    found = ip_network(network, strict=False)
    if isinstance(found, IPv6Network) and found.subnet_of(MAPPED):
        return IPv4Network((int(found.network_address) - int(MAPPED.network_address), found.prefixlen - MAPPED_BITS))
    return found


def allowed_failures(organisation: str) -> int:
    """How many sign-ins in a row may fail; the next one locks (SE-33.3.9)."""
    return int(book(organisation).values["access"]["failed_sign_ins_allowed"])


def longest_session(rulebook: Rulebook) -> timedelta:
    """How long a session lasts that nobody ends."""
    return timedelta(hours=int(rulebook.values["access"]["session_hours"]))


# ---- keeping the journal --------------------------------------------------------------------------------------------


class Kept(Model):
    """How long a record of the journal is kept."""

    at_least_until: datetime
    """Before this an erasure is refused."""
    at_most_until: datetime
    """From this on it is to be gone."""


def kept(organisation: str, table: str, at: datetime) -> Kept:
    """Between which instants a record of this table that was written then may be erased.

    Raises:
        RulebookError: The row names no term.
    """
    rulebook, duty = book(organisation), duty_for(organisation, RECORDS[table])
    if duty.period is None:
        raise RulebookError(f"{organisation}: {duty.id}: amount: missing; how long is a record kept?")
    calendar = load(rulebook.calendar)
    least = count(at, duty.period, rulebook.zone, calendar).due
    most = count(at, duty.maximum, rulebook.zone, calendar).due if duty.maximum else least
    return Kept(at_least_until=least, at_most_until=max(least, most))


LONGEST = 40_000
"""Days back that are looked at: the calendars hold no more."""


def kept_from(organisation: str, table: str, now: datetime, *, least: bool = False) -> date:
    """The first local day whose records of this table are kept still; `least`: must be kept still.

    Terms end in the order in which they began, so that the day is found by halving.
    """
    zone = ZoneInfo(book(organisation).zone)
    today = now.astimezone(zone).date()

    def over(days: int) -> bool:
        term = kept(organisation, table, datetime.combine(today - timedelta(days=days), time(12), zone))
        return (term.at_least_until if least else term.at_most_until) <= now

    return today - timedelta(days=bisect_left(range(LONGEST), True, key=over) - 1)


# ---- a month --------------------------------------------------------------------------------------------------------


def borders(month: str, zone: str) -> tuple[datetime, datetime]:
    """The local midnights, in UTC, at which a month begins and the next one does."""
    year, number = (int(part) for part in month.split("-"))
    tz = ZoneInfo(zone)
    following = date(year + number // 12, number % 12 + 1, 1)
    begins, ends = (datetime.combine(day, time(), tz) for day in (date(year, number, 1), following))
    return begins.astimezone(UTC), ends.astimezone(UTC)


def month_of(at: datetime, zone: str) -> str:
    """The local month of an instant."""
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m}"


def month_after(month: str) -> str:
    """The next month."""
    year, number = (int(part) for part in month.split("-"))
    return f"{year + number // 12}-{number % 12 + 1:02}"


def usual_hours(rulebook: Rulebook) -> tuple[time, time]:
    """From when until when of the local day people usually sign in; what is outside of it is odd."""
    begins, ends = rulebook.values["access"]["usual_hours"]
    return time.fromisoformat(begins), time.fromisoformat(ends)
