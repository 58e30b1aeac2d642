"""The answer to a privacy request as files, for whoever hands it over: by portal, by post, in person."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, cast
from zoneinfo import ZoneInfo

from activities.letters import written
from activities.notice import say
from activities.pdf import Sheet, pdf
from models.errors import Refusal
from models.privacy import COPIES, PrivacyBody
from models.privacy_answer import answer_facts, part_facts
from models.tables import ArchiveRow, CaseRow, PartyRow
from operations.intake import Sessions
from rules.rulebook import book
from security.keys import KeyDestroyed, NoKey

if TYPE_CHECKING:
    from integrations.mail import Language


async def answer_files(sessions: Sessions, case: str, now: datetime) -> dict[str, bytes]:
    """Name → content: the letter as PDF and, where a copy is given, the files of the archive as they were gathered.

    It is the whole answer once that is what the request waits for; before it, the parts that a person is to hand over.

    Raises:
        Refusal: There is no such request, nothing of it is to be handed over now, or it was erased.
    """
    try:
        async with sessions() as session:
            row = await session.get(CaseRow, case)
            if row is None or row.kind != "privacy_request":
                raise Refusal(f"case: there is no privacy request {case}")
            archive = await session.get(ArchiveRow, case)
            known = {k: v for k, v in row.state["body"].items() if k in PrivacyBody.model_fields}
            # handed over in clear: no password is spoken of
            body = PrivacyBody.model_validate(known).model_copy(update={"encrypted": False})
            party = await session.get(PartyRow, (case, body.reader(now)))
    except (KeyDestroyed, NoKey):
        raise Refusal("case: it was erased, or its key is lost") from None
    if party is None or party.name is None:
        raise Refusal("case: it was erased")
    letters = {}
    if row.stage in ("answering", "resting"):
        copy = any(body.granted(right) for right in COPIES)
        letters["answer.pdf"] = "privacy-answer", answer_facts(body)
    else:
        parts = [rights for key, rights in body.parts.items() if body.notices.get(key) == "refused"]
        copy = any(body.brings_copy(rights) for rights in parts)
        for n, rights in enumerate(parts, 1):
            attach = {"attach": "archive"} if body.brings_copy(rights) else {}
            letters[f"part-{n}.pdf"] = "privacy-part", {**part_facts(body, rights), **attach}
    if not letters:
        raise Refusal(f"case: nothing is to be handed over now; it waits for {row.waits_for or 'nothing'}")
    rulebook = book(row.organisation)
    reference, language = case.split(":")[2], cast("Language", party.language)
    files: dict[str, bytes] = {}
    for name, (template, facts) in letters.items():
        every = {"reference": reference, "attach": None, "outstanding": None, **facts}
        subject, text = written(template, language, {k: say(v, language) for k, v in every.items()})
        files[name] = pdf(
            Sheet(
                sender=rulebook.name,
                to=party.name,
                reference=reference,
                written_at=now.astimezone(ZoneInfo(rulebook.zone)),
                subject=subject,
                text=text,
                language=language,
            )
        )
    if copy and archive is not None:
        files |= {name: file["text"].encode() for name, file in archive.systems.get("files", {}).items()}
    return files
