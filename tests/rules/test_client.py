"""Clients: the day from which a contract is over, who may ask, and who is told when people change."""

from __future__ import annotations

from datetime import date
from typing import Any

from models.client import read_client
from rules.client import changed_people, is_listed, is_over

ILZE, JANA = {"name": "Ilze", "email": "ilze@k.example"}, {"name": "Jana", "email": "jana@k.example"}


def said(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[str | None, str | None, str]]:
    """Party → role before, role now, and name."""
    return {
        party: (change.was, change.now, person["name"])
        for party, (change, person) in changed_people(before, after).items()
    }


def test_a_contract_is_over_from_the_day_after_its_last_one() -> None:
    """BL-11."""
    last = date(2026, 6, 30)
    assert not is_over(last, last)
    assert is_over(last, date(2026, 7, 1))
    assert not is_over(None, last)


def test_only_the_responsible_employee_and_the_list_may_ask() -> None:
    """4: by the address, however it is written; an empty one of somebody erased lets nobody in."""
    assert is_listed(ILZE, [JANA], " ILZE@k.example")
    assert is_listed(ILZE, [JANA], "jana@K.example")
    assert not is_listed(ILZE, [], "jana@k.example")
    assert not is_listed({}, [{}], "")


def test_who_stays_on_the_list_is_told_that_and_not_that_everything_ended() -> None:
    """The former responsible employee keeps a role of the list; so does the new one lose none."""
    before = {"responsible": ILZE, "requesters": [ILZE, {**JANA, "role": "deputy"}]}
    after = {"responsible": JANA, "requesters": [ILZE, {**JANA, "role": "deputy"}]}
    assert said(before, after) == {
        "former_responsible": ("responsible", "requester", "Ilze"),
        "responsible": ("deputy", "responsible", "Jana"),
    }


def test_who_is_taken_off_the_list_but_stays_responsible_is_told_nothing_of_it() -> None:
    assert said({"responsible": ILZE, "requesters": [ILZE]}, {"responsible": ILZE, "requesters": []}) == {}


def test_another_name_under_the_same_address_is_told_too() -> None:
    new = {**ILZE, "name": "Ilze Kalna"}
    assert said({"responsible": ILZE, "requesters": []}, {"responsible": new, "requesters": []}) == {
        "responsible": ("responsible", "responsible", "Ilze Kalna")
    }


def test_every_fault_of_a_client_is_named_at_once() -> None:
    """Also those of fields beside each other, where they could be read; never a value."""
    _, faults = read_client(
        {"client": "K 1", "organisation": "BL", "responsible": {"name": "Ilze"}, "addresses": ["::/0", "10.0.0.9/8"]}
    )
    assert [fault.split(":")[0] for fault in faults] == ["client", "name", "responsible.email", "addresses.1"]
    _, faults = read_client(
        {
            "client": "K-1",
            "organisation": "BL",
            "responsible": ILZE,
            "addresses": ["::/0"],
            "contract_from": "2026-01-01",
        }
    )
    assert [fault.split(":")[0] for fault in faults] == ["name", "contract", "addresses"]
