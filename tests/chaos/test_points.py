"""What the scripts reach: every activity of the worker, so that each can be struck, in scripts that are named here."""

from __future__ import annotations

from tests.chaos.campaign import Trial
from tests.world import World

PASSED_IN = {
    "access.fallbacks": "withdrawal",
    "access.issue": "withdrawal",
    "access.void_secret": "access_request",
    "access.withdraw_authenticator": "withdrawal",
    "authenticator_decision.look": "decision",
    "case.listen": "housekeeping",
    "case.open": "housekeeping",
    "case.record": "housekeeping",
    "case.spend": "housekeeping",
    "checkpoint.publish": "housekeeping",
    "claim.assess": "claim_paid",
    "credential.apply": "credential",
    "credential.look": "credential",
    "credential.look_at_erasure": "credential",
    "credential.send_secret": "credential",
    "incoming.read_bank": "claim_by_itself",
    "incoming.read_mail": "claim_by_itself",
    "late_premium.claims": "late_premium_refused",
    "notice.send": "housekeeping",
    "payment.order": "claim_paid",
    "privacy.erase": "privacy_erasure",
    "privacy.gather": "privacy_erasure",
    "privacy.people": "privacy_erasure",
    "privacy.rectify": "privacy_corrected",
    "privacy.release": "privacy_rights",
    "privacy.restrict": "privacy_rights",
    "recount.ring": "housekeeping",
    "recurrences.open": "tasks",
    "renewal.look": "housekeeping",
    "sign_in_review.count": "sign_in_review",
    "storage.begin": "privacy_erasure",
    "storage.end": "privacy_erasure",
    "storage.step": "privacy_erasure",
    "sweep.deliver": "housekeeping",
}
"""Activity → a script that passes it."""


def test_every_activity_of_the_worker_has_a_script(world: World) -> None:
    """One that no script passes could lose or double its effect, and no death would ever show it."""
    assert set(world.activity_names) == set(PASSED_IN)


async def test_each_of_them_can_be_struck_there(trial: Trial) -> None:
    points = await trial.live_in_peace(sorted(set(PASSED_IN.values())))
    steps = {script: {point.step for point in found} for script, found in points.items()}
    where = {name: steps[script] for name, script in PASSED_IN.items()}
    missed = [name for name, passed in where.items() if not {f"{name} begun", f"{name} ended"} <= passed]
    assert not missed
