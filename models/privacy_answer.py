"""What the answer to a privacy request says of each right and each data system, in every language."""

from __future__ import annotations

from typing import Any

from models.citing import cited
from models.privacy import COPIES, GROUNDS, RECIPIENT_OUTCOMES, RIGHTS, STEP_OUTCOMES, Fee, PrivacyBody, Right

OWN = "termins"
"""What the own store is called among the data systems."""


def answer_facts(body: PrivacyBody) -> dict[str, Any]:
    """What the letter of the whole answer says, but for what is attached."""
    return {
        "controller": body.terms.controller,
        "authority": body.terms.authority,
        "court": True,
        "rights": [right_line(body, right) for right in body.rights],
        "systems": [
            {"name": s.title.model_dump(), "found": found_line(s.held, own=s.system == OWN)} for s in body.systems
        ],
    }


def part_facts(body: PrivacyBody, rights: tuple[Right, ...]) -> dict[str, Any]:
    """What the letter of a partial answer says, but for what is attached."""
    facts: dict[str, Any] = {
        "controller": body.terms.controller,
        "authority": body.terms.authority,
        "rights": [right_line(body, right) for right in rights],
    }
    if without := body.without(rights):
        titles = {person.name: person.title for person in body.people or ()}
        facts["outstanding"] = [titles[system].model_dump() for system in without]
    return facts


def found_line(n: int, *, own: bool) -> dict[str, str]:
    """How much a data system holds; the own store holds this request too, and the copy of the data shows it."""
    if own and n == 0:
        return {"lv": "tikai šis pieprasījums", "lt": "tik šis prašymas", "en": "this request only"}
    if own:
        return {
            "lv": f"ierakstu skaits bez šī pieprasījuma: {n}",
            "lt": f"įrašų skaičius be šio prašymo: {n}",
            "en": f"records besides this request: {n}",
        }
    if n == 0:
        return {"lv": "nekas netiek glabāts", "lt": "nieko nesaugoma", "en": "nothing held"}
    return {"lv": f"ierakstu skaits: {n}", "lt": f"įrašų skaičius: {n}", "en": f"records: {n}"}


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
    kept = kept_words(body) if right == "erasure" else {}
    line["ground"] = {
        language: _sentences(getattr(GROUNDS[ground], language), cites, reason, kept.get(language))
        for language in ("lv", "lt", "en")
    }
    line["clause"] = body.terms.grounds[right].get(ground)
    return line


def _sentences(*parts: str | None) -> str:
    """One after the other, with one full stop between them, whether people typed theirs or not."""
    there = [part.strip() for part in parts if part and part.strip()]
    return " ".join(part if part.endswith((".", "!", "?")) else f"{part}." for part in there)


def kept_words(body: PrivacyBody) -> dict[str, str]:
    """What an erasure left and until when, by language; nothing where nothing is left.

    What a data system keeps goes by itself when its ground ends; what a person keeps is asked for anew.
    """
    if body.erased is None or not body.kept:
        return {}
    ends = {record.record: record.ends for record in body.erased.records}
    asked = {record.record for record in body.erased.records if record.decided and record.ends is None}
    said: dict[str, list[str]] = {"lv": [], "lt": [], "en": []}
    for record in body.kept:
        day = ends.get(record)
        said["lv"].append(f"{record} (līdz {day:%d.%m.%Y}. ieskaitot)" if day else record)
        said["lt"].append(f"{record} (iki {day:%Y-%m-%d} imtinai)" if day else record)
        said["en"].append(f"{record} (until {day:%Y-%m-%d} inclusive)" if day else record)
    words = {
        "lv": "Saglabāts: {kept}. Šo datu apstrāde ir ierobežota",
        "lt": "Palikta: {kept}. Šių duomenų tvarkymas apribotas",
        "en": "Kept: {kept}. These data are restricted",
    }
    if body.erased.kept:
        words["lv"] += "; kad pamats zudīs, tos dzēsīsim bez jauna pieprasījuma"
        words["lt"] += "; pagrindui išnykus juos ištrinsime be naujo prašymo"
        words["en"] += "; once the ground ends, we erase them ourselves"
    if asked:
        words["lv"] += "; kamēr nav zināms, kad pamats zudīs, varat lūgt to pārbaudīt"
        words["lt"] += "; kol nežinoma, kada pagrindas išnyks, galite prašyti tai patikrinti"
        words["en"] += "; as long as its end is not known, you may ask us to examine that"
    if set(body.kept) - set(body.erased.kept):
        words["lv"] += "; to, ko glabā darbinieks (papīru), pēc pamata zušanas varat lūgt iznīcināt no jauna"
        words["lt"] += "; tai, ką saugo darbuotojas (popierių), pagrindui išnykus galite prašyti sunaikinti iš naujo"
        words["en"] += "; of what a person keeps (paper), you may ask for the erasure again once the ground ends"
    return {language: text.format(kept=", ".join(said[language])) + "." for language, text in words.items()}


def _more_lines(body: PrivacyBody, right: Right) -> list[dict[str, str]]:
    """What else the answer says of a right, a line each, in every language."""
    lines: list[dict[str, str]] = []
    assessment = body.assessments.get(right)
    if assessment is not None and assessment.outcome == "fulfilled" and assessment.reason:
        lines.append(dict.fromkeys(("lv", "lt", "en"), assessment.reason))
    for withheld in assessment.withheld if assessment is not None else ():
        clause = body.terms.grounds[right].get(withheld.ground, "")
        ground = GROUNDS[withheld.ground]
        until = f"{withheld.until:%d.%m.%Y}." if withheld.until else None
        lines.append(
            {
                "lv": f"Nav izsniegts: {withheld.what} ({ground.lv}; {cited(clause, 'lv')})"
                + (f", līdz {until}" if until else ""),
                "lt": f"Nepateikta: {withheld.what} ({ground.lt}; {cited(clause, 'lt')})"
                + (f", iki {withheld.until:%Y-%m-%d}" if withheld.until else ""),
                "en": f"Withheld: {withheld.what} ({ground.en}; {cited(clause, 'en')})"
                + (f", until {withheld.until:%Y-%m-%d}" if withheld.until else ""),
            }
        )
    if assessment is not None and assessment.fee is not None:
        lines.append(_fee_line(body, assessment.fee))
    if right == "access":
        lines += _handed_out(body)
    if right == "consent_withdrawal":
        lines.append(
            {
                "lv": "Atsaukums neietekmē tās apstrādes likumību, kas līdz tam veikta, pamatojoties uz piekrišanu.",
                "lt": "Atšaukimas nedaro poveikio iki jo atlikto sutikimu grindžiamo duomenų tvarkymo teisėtumui.",
                "en": "What was done on your consent before its withdrawal remains lawful.",
            }
        )
    if (stopped := body.stopped.get(right)) is not None:
        lines.append(
            {
                "lv": f"Spēku zaudējušo piekrišanu skaits: {stopped.consents}.",
                "lt": f"Nustojusių galioti sutikimų skaičius: {stopped.consents}.",
                "en": f"Consents that have ended: {stopped.consents}.",
            }
        )
        if stopped.records:
            lines.append(
                {
                    "lv": "Dati, kuru apstrādei nav cita pamata, tiek dzēsti.",
                    "lt": "Duomenys, kuriems tvarkyti nėra kito pagrindo, ištrinami.",
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
                    "lv": "Nosūtīt datus tieši citam pārzinim tehniski nav iespējams; tos izsniedzam Jums.",
                    "lt": "Perduoti duomenų tiesiogiai kitam valdytojui techniškai neįmanoma; pateikiame juos Jums.",
                    "en": "Sending them straight to the other controller is not technically feasible; you get them.",
                }
            )
    for step in body.steps if right == "erasure" else ():
        outcome = STEP_OUTCOMES[step.outcome]
        why = f" ({step.reason})" if step.reason else ""
        lines.append(
            {
                "lv": f"Publicētie dati, pārzinis {step.controller}: {outcome.lv}{why}",
                "lt": f"Paskelbti duomenys, duomenų valdytojas {step.controller}: {outcome.lt}{why}",
                "en": f"Published data, controller {step.controller}: {outcome.en}{why}",
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


def _handed_out(body: PrivacyBody) -> list[dict[str, str]]:
    """The copies that people made of what they keep."""
    lines = []
    for person in body.people or ():
        asked = body.asked_of(person.name, "hand_out")
        if asked is None or asked.answered_at is None:
            continue
        pages = sum(item.pages for item in body.items_for(asked))
        lines.append(
            {
                "lv": f"Dokumentu kopijas ({person.title.lv}), lappušu skaits: {pages}. Tās izsniedzam atsevišķi.",
                "lt": f"Dokumentų kopijos ({person.title.lt}), puslapių skaičius: {pages}. Jas pateikiame atskirai.",
                "en": f"Copies of documents ({person.title.en}), pages: {pages}. You receive them separately.",
            }
        )
    return lines


def _fee_line(body: PrivacyBody, fee: Fee) -> dict[str, str]:
    """The fee, what it is asked for, by which clause and why."""
    clause = body.terms.fees.get(fee.basis, "")
    amount = f"{fee.amount:.2f}"
    further = fee.basis == "further_copy"
    why = {
        "lv": "papildu kopija" if further else GROUNDS["unfounded_or_excessive"].lv,
        "lt": "papildoma kopija" if further else GROUNDS["unfounded_or_excessive"].lt,
        "en": "a further copy" if further else GROUNDS["unfounded_or_excessive"].en,
    }
    comma = amount.replace(".", ",")
    return {
        "lv": f"Maksa: {comma} EUR ({why['lv']}; {cited(clause, 'lv')}). {fee.reason}",
        "lt": f"Mokestis: {comma} EUR ({why['lt']}; {cited(clause, 'lt')}). {fee.reason}",
        "en": f"Fee: EUR {amount} ({why['en']}; {cited(clause, 'en')}). {fee.reason}",
    }
