"""What the answer to a privacy request says of each right and each data system, in every language."""

from __future__ import annotations

from typing import Any

from models.privacy import COPIES, GROUNDS, RECIPIENT_OUTCOMES, RIGHTS, PrivacyBody, Right


def found_line(n: int) -> dict[str, str]:
    """How much a data system holds."""
    if n == 0:
        return {"lv": "nekas netiek glabāts", "lt": "nieko nesaugoma", "en": "nothing held"}
    return {"lv": f"ieraksti: {n}", "lt": f"įrašų: {n}", "en": f"records: {n}"}


def right_line(body: PrivacyBody, right: Right) -> dict[str, Any]:
    """A right in the answer: its result, and where it was not done in full the ground, the reasons and what is kept.

    Also what a review came to, whether a transfer was feasible, and which recipients were told.
    """
    assessment = body.assessments.get(right)
    outcome = body.result(right)
    line: dict[str, Any] = {"title": RIGHTS[right].model_dump(), "outcome": outcome, "ground": None, "clause": None}
    line["more"] = _more_lines(body, right)
    if outcome == "fulfilled":
        return line
    ground = (assessment.ground if assessment else None) or "legal_claim"
    reason = assessment.reason if assessment else None
    cites = assessment.cites if assessment else None
    kept = ", ".join(body.erased.kept) if right == "erasure" and body.erased else ""
    words = {
        "lv": "Paturēts: {kept}. Šo datu apstrāde ir ierobežota; kad pamats beigsies, varat lūgt tos dzēst no jauna.",
        "lt": "Palikta: {kept}. Šių duomenų tvarkymas apribotas; pagrindui išnykus, galite vėl prašyti ištrinti.",
        "en": "Kept: {kept}. These data are restricted; once the ground ends, you may ask for their erasure again.",
    }
    line["ground"] = {
        language: ". ".join(
            part
            for part in (getattr(GROUNDS[ground], language), cites, reason, text.format(kept=kept) if kept else None)
            if part
        )
        for language, text in words.items()
    }
    line["clause"] = body.terms.grounds[right].get(ground)
    return line


def _more_lines(body: PrivacyBody, right: Right) -> list[dict[str, str]]:
    """What else the answer says of a right, a line each, in every language."""
    lines: list[dict[str, str]] = []
    assessment = body.assessments.get(right)
    if assessment is not None and assessment.outcome == "fulfilled" and assessment.reason:
        lines.append(dict.fromkeys(("lv", "lt", "en"), assessment.reason))
    for withheld in assessment.withheld if assessment is not None else ():
        clause = body.terms.grounds[right].get(withheld.ground, "")
        ground = GROUNDS[withheld.ground]
        until = f"{withheld.until:%d.%m.%Y}" if withheld.until else None
        lines.append(
            {
                "lv": f"Nav izsniegts: {withheld.what} ({ground.lv}; {clause})" + (f", līdz {until}" if until else ""),
                "lt": f"Nepateikta: {withheld.what} ({ground.lt}; {clause})"
                + (f", iki {withheld.until:%Y-%m-%d}" if withheld.until else ""),
                "en": f"Withheld: {withheld.what} ({ground.en}; {clause})"
                + (f", until {withheld.until:%Y-%m-%d}" if withheld.until else ""),
            }
        )
    if right == "consent_withdrawal":
        lines.append(
            {
                "lv": "Tam, kas līdz atsaukumam darīts uz piekrišanas pamata, atsaukums likumību neatņem.",
                "lt": "Atšaukimas neturi įtakos iki jo sutikimu grįsto duomenų tvarkymo teisėtumui.",
                "en": "What was done on your consent before its withdrawal remains lawful.",
            }
        )
    if (stopped := body.stopped.get(right)) is not None:
        lines.append(
            {
                "lv": f"Piekrišanas, kuru darbība ir beigusies: {stopped.consents}.",
                "lt": f"Nustojusių galioti sutikimų: {stopped.consents}.",
                "en": f"Consents that have ended: {stopped.consents}.",
            }
        )
        if stopped.records:
            lines.append(
                {
                    "lv": "Dati, kuriem cita pamata nav, tiek dzēsti.",
                    "lt": "Duomenys, kuriems tvarkyti kito pagrindo nėra, trinami.",
                    "en": "Data that nothing else allows us to keep are being erased.",
                }
            )
    if right in COPIES and body.encrypted:
        lines.append(
            {
                "lv": "Dati ir pielikumā, kas ir šifrēts; tā paroli saņēmāt atsevišķi.",
                "lt": "Duomenys pateikiami užšifruotame priede; jo slaptažodį gavote atskirai.",
                "en": "The data are in the attachment, which is encrypted; you received its password separately.",
            }
        )
    if right == "portability" and body.transfer is not None:
        if body.transfer.feasible:
            lines.append(
                {
                    "lv": "Dati nosūtīti tieši citam pārzinim, kurš apstiprināja to saņemšanu.",
                    "lt": "Duomenys perduoti tiesiogiai kitam duomenų valdytojui, kuris patvirtino, kad juos gavo.",
                    "en": "The data were sent straight to the other controller, who confirmed their receipt.",
                }
            )
        else:
            lines.append(
                {
                    "lv": "Nosūtīt datus tieši citam pārzinim nav tehniski iespējams; tos izsniedzam Jums.",
                    "lt": "Perduoti duomenų tiesiogiai kitam valdytojui techniškai neįmanoma; pateikiame juos Jums.",
                    "en": "Sending them straight to the other controller is not technically feasible; you get them.",
                }
            )
    for recipient in body.recipients.get(right, ()):
        outcome = RECIPIENT_OUTCOMES[recipient.outcome]
        why = f" ({recipient.reason})" if recipient.reason else ""
        lines.append(
            {
                "lv": f"Datu saņēmējs {recipient.name}: {outcome.lv}{why}",
                "lt": f"Duomenų gavėjas {recipient.name}: {outcome.lt}{why}",
                "en": f"Recipient {recipient.name}: {outcome.en}{why}",
            }
        )
    return lines
