"""What the scripts say: every message that a case takes, or a reason why nobody says it. The list can only shrink."""

from __future__ import annotations

import inspect
import re

from temporalio import workflow

from tests.chaos import scripts
from workflows.registry import ALL

ROWS = "not yet said: what it changes are rows of its own step, as with those that are said"
NOT_SAID = {
    "add_recipients": "said by the list of people that a script loads, not by a message of the script's",
    "adopt_record": "said of a case whose history and record have parted, after a restore",
    "ask_identification": "a letter as that of any step, to one person",
    "confirm_letter_sent": "not yet said",
    "confirm_told": ROWS,
    "decide_by_person": ROWS,
    "decide_not_to_notify": ROWS,
    "decide_not_to_tell": ROWS,
    "drop_line": "not yet said; the letters that it drops are those that correct_address sends anew",
    "drop_notice": "not yet said; the letters that it drops are those that correct_address sends anew",
    "drop_reminder": "not yet said; the letters that it drops are those that correct_address sends anew",
    "give_up": "not yet said",
    "join_report": "said by the case that joins (join_breach), not by a script",
    "pay_whole": "not yet said: a payment, as that of any decision",
    "plan_handover": "not yet said: a letter to the debtor, as that of the demand",
    "record_steps": "not yet said: no script erases what had been published",
    "report_handling": "not yet said: no person keeps data in the house of the campaigns",
    "report_handover": "not yet said: a letter to the debtor, as that of the demand",
    "report_last_contract": "not yet said: the sweep says the same of a client whose contract ended",
    "report_new_contract": "not yet said: the sweep says the same of a client that has a contract again",
    "report_recovery_suit_end": ROWS,
    "report_search": "not yet said: no person keeps data in the house of the campaigns",
    "report_suit_end": ROWS,
    "report_told": "not yet said",
    "revoke_representation": "not yet said: no representative asks in any script",
    "salvage_kept": "not yet said",
    "set_policy": ROWS,
    "state_facts": ROWS,
    "take_effect": "not yet said",
    "take_over_handling": "not yet said",
}
"""Update → why no script says it."""


def test_every_message_is_said_by_a_script_or_left_out_for_a_reason() -> None:
    """An effect that no script asks for could be lost or come twice in a thousand runs, unnoticed."""
    taken: set[str] = set()
    for case in ALL:
        definition = workflow._Definition.from_class(case)
        assert definition is not None
        taken |= {name for name in definition.updates if name is not None}
    said = taken & set(re.findall(r'"([a-z_]+)"', inspect.getsource(scripts)))
    assert taken - said == set(NOT_SAID)
