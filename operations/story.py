"""The whole story of one case as a page, in Markdown or HTML: where it stands, its clocks and proofs, what was decided.

Everything comes from the store. The page is built once, in blocks; two templates in `pages/` only set them. Without
`personal` nothing stands there that names a person or was written freely by one (`masking.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from models.citing import source
from models.claim import HeadReason
from models.common import Model
from models.common import in_words as role_in_words
from models.coverage import is_duty
from models.settlement import NONE, Amount, PolicyTerms
from models.tables import DecisionPartRow, DecisionRow, LimitRow, NoticeRow, PolicyRow, TimelineRow
from operations import reading
from operations.intake import Sessions
from operations.limits import ClaimOnLimit, limits_of
from rules.policy import terms_on
from rules.reasons import ground_of, reasons
from rules.rulebook import books
from rules.wording import in_

Tone = Literal["", "good", "bad", "open"]


# ---- what is told ---------------------------------------------------------------------------------------------------


class Gives(Model):
    """What a decision gives for one head of one claimant, in EUR."""

    claimant: str
    head: str
    payable: Amount
    to_insured: Amount
    deductible: Amount


class Decision(Model):
    """A decision on a claim, or one that was proposed."""

    n: int
    outcome: str
    proposed_at: datetime
    decided_at: datetime | None
    """None: it waits for a second person, or something else was decided."""
    proposed_by: str | None
    approved_by: str | None
    total: Amount
    withheld: Amount
    premium: Amount
    grounds: tuple[str, ...]
    """Of a rejection or reduction; the handler's own words only where personal data were asked for."""
    gives: tuple[Gives, ...]
    lines: dict[str, tuple[str, ...]]
    """Claimant → the calculation as its letter states it, in English."""


class Limits(Model):
    """The limits of the policy as they concern a claim, in EUR."""

    policy: str
    terms: PolicyTerms
    """Those that the event day has, as far as the claim says it."""
    taken: Amount
    """By all claims, of the limit for the period."""
    taken_here: Amount
    """By all claims on this occurrence."""
    before: Amount
    """Reserved by claims filed earlier (9.6)."""
    before_here: Amount
    """The same on this occurrence."""
    claims: tuple[ClaimOnLimit, ...]
    """All claims of the policy in the order of filing."""


class Story(Model):
    """All that the store says of a case."""

    at: datetime
    personal: bool
    shown: reading.Shown
    decisions: tuple[Decision, ...] = ()
    limits: Limits | None = None


async def tell(sessions: Sessions, now: datetime, case: str, *, personal: bool = False) -> Story:
    """The story of a case; what names people, or was written freely, only if asked for.

    Raises:
        NotFound: Nothing was filed under this id.
    """
    shown = await reading.show_case(sessions, now, case, personal=personal)
    async with sessions() as session:
        decisions = await _decisions(session, shown.head, personal=personal)
        own = await session.get(LimitRow, case)
        policy = await session.get(PolicyRow, own.policy) if own is not None else None
    limits = None
    if own is not None and policy is not None:
        ledger = await limits_of(sessions, policy.policy)
        mine = next(c for c in ledger.claims if c.case == case)
        earlier = ledger.claims[: ledger.claims.index(mine)]
        here = [c for c in ledger.claims if c.occurrence == mine.occurrence]
        limits = Limits(
            policy=policy.policy,
            terms=terms_on(policy.known, _event_day(shown), _day(now, shown.head.organisation)),
            taken=ledger.taken,
            taken_here=sum((c.approved for c in here), NONE),
            before=sum((c.reserved for c in earlier), NONE),
            before_here=sum((c.reserved for c in earlier if c in here), NONE),
            claims=ledger.claims,
        )
    return Story(at=now, personal=personal, shown=shown, decisions=decisions, limits=limits)


def _event_day(shown: reading.Shown) -> date:
    """The day of the event as the findings on cover know it; else that of the receipt, as the ledger takes it."""
    for finding in shown.findings:
        if isinstance(said := finding.facts.get("occurred_on"), str):
            return date.fromisoformat(said)
    return _day(shown.head.received_at, shown.head.organisation)


async def _decisions(session: AsyncSession, head: reading.Head, *, personal: bool) -> tuple[Decision, ...]:
    rows = (
        await session.exec(select(DecisionRow).where(DecisionRow.case == head.case).order_by(col(DecisionRow.n)))
    ).all()
    if not rows:
        return ()
    parts = (
        await session.exec(
            select(DecisionPartRow)
            .where(DecisionPartRow.case == head.case)
            .order_by(DecisionPartRow.claimant, DecisionPartRow.head)
        )
    ).all()
    steps = (
        await session.exec(
            select(TimelineRow).where(
                TimelineRow.case == head.case,
                col(TimelineRow.entry).in_(("proposed", "decided", "supplementary_decision", "salvage_handed_over")),
            )
        )
    ).all()
    letters = (
        await session.exec(
            select(NoticeRow).where(
                NoticeRow.case == head.case, col(NoticeRow.duty).is_not(None), col(NoticeRow.internal).is_(False)
            )
        )
    ).all()
    out = []
    for row in rows:
        at = row.decided_at or row.proposed_at
        step = next((s for s in steps if s.at == at), None)
        facts: Mapping[str, Any] = step.facts if step is not None else {}
        gives = [p for p in parts if p.n == row.n]
        said = [r for letter in letters if letter.queued_at == at for r in letter.facts.get("reasons") or ()]
        grounds = [_ground(r, head, personal=personal) for r in said]
        by_salvage = step is not None and step.entry == "salvage_handed_over"
        follows = "salvage" if by_salvage else "supplement" if row.n > 1 and row.asked.get("recorded") else None
        out.append(
            Decision(
                n=row.n,
                outcome=str(facts.get("outcome") or follows or ("reject" if row.asked.get("reject") else "pay")),
                proposed_at=row.proposed_at,
                decided_at=row.decided_at,
                proposed_by=facts.get("proposed_by") or facts.get("by"),
                approved_by=facts.get("approved_by"),
                total=sum((p.payable for p in gives), NONE) if row.decided_at else Decimal(facts.get("total", "0.00")),
                withheld=row.withheld,
                premium=row.premium,
                grounds=(*dict.fromkeys(filter(None, grounds)), *_of_heads(row, head, personal=personal)),
                gives=tuple(
                    Gives(**{name: getattr(p, name) for name in Gives.model_fields})
                    for p in gives
                    if p.payable or p.deductible
                ),
                lines={claimant: tuple(said["en"]) for claimant, said in sorted(row.lines.items())},
            )
        )
    return tuple(out)


def _of_heads(row: DecisionRow, head: reading.Head, *, personal: bool) -> list[str]:
    """What was rejected or reduced by itself, and why."""
    said = [HeadReason.model_validate(one) for one in row.asked.get("heads", ())]
    if row.asked.get("recorded"):
        return []
    known = reasons(head.organisation)
    return [
        f"{one.claimant} {one.head}, {one.outcome}: {in_(known[one.code].label, 'en')} "
        f"(clause {known[one.code].clause})" + (f": {one.text}" if personal else "")
        for one in said
    ]


def _ground(reason: Any, head: reading.Head, *, personal: bool) -> str | None:
    if isinstance(reason, dict) and "heads_of" in reason:
        return None
    if isinstance(reason, dict):
        ground = ground_of(head.organisation, str(reason.get("ground")), "en")
        return f"{ground}: {reason.get('reason')}" if personal else ground
    return str(reason) if personal else None


# ---- the page -------------------------------------------------------------------------------------------------------


class Cell(Model):
    """A cell of a table."""

    text: str
    tone: Tone = ""
    code: bool = False
    """An id, a number or an instant: not to be wrapped."""

    @property
    def long(self) -> bool:
        """Whether a word of it may be broken: none that a column has room for."""
        return any(len(word) > 20 for word in self.text.split())  # noqa: PLR2004


class Table(Model):
    """Columns and rows; columns of amounts are set to the right."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    amounts: frozenset[int] = frozenset()


class Block(Model):
    """A part of the page: a heading and below it facts, lines and a table, each where there is one."""

    title: str
    level: int = 2
    state: str = ""
    tone: Tone = ""
    facts: tuple[tuple[str, str], ...] = ()
    lines: tuple[str, ...] = ()
    table: Table | None = None


class Page(Model):
    """The page before it is set."""

    title: str
    subtitle: str
    state: str
    tone: Tone
    blocks: tuple[Block, ...]
    footer: tuple[str, ...]


def page(story: Story, form: Literal["markdown", "html"]) -> str:
    """The story as one page. The HTML is one file that needs nothing else and prints on A4."""
    template = _HTML.get_template("story.html") if form == "html" else _MARKDOWN.get_template("story.md")
    return template.render(page=_page(story)).strip() + "\n"


def _page(story: Story) -> Page:
    head, organisation = story.shown.head, story.shown.head.organisation
    late = any(c.overdue for c in story.shown.clocks)
    wait = "diverged" if head.diverged else "overdue" if late else ""
    writer = _Writer(story)
    blocks = [
        writer.standing(),
        writer.terms(),
        *writer.decisions(),
        *writer.automatic(),
        writer.payments(),
        writer.instalments(),
        writer.limits(),
        writer.findings(),
        writer.documents(),
        writer.signatures(),
        writer.letters(),
        *writer.counting(),
        writer.timeline(),
        writer.events(),
        writer.parties(),
    ]
    with_people = "with personal data" if story.personal else "without personal data"
    return Page(
        title=head.case,
        subtitle=f"{_words(head.kind).capitalize()} · {books()[organisation].name}",
        state=" · ".join(filter(None, (_words(head.outcome or head.stage), wait))),
        tone="bad" if wait else "good" if head.closed_at else "open",
        blocks=tuple(b for b in blocks if b.facts or b.lines or b.table is not None or b.state),
        footer=(
            f"As recorded at {reading.local(story.at, organisation)}, after {head.step} steps; {with_people}.",
            f"Instants are those of {books()[organisation].zone}. In time means before the end of the last day.",
            f"The same as signed evidence: python starter.py proof {head.case}",
        ),
    )


class _Writer:
    """Writes the blocks of a story."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._shown = story.shown
        self._head = story.shown.head

    def _at(self, at: datetime | None) -> str:
        return f"{at.astimezone(ZoneInfo(books()[self._head.organisation].zone)):%Y-%m-%d %H:%M}" if at else "–"

    def standing(self) -> Block:
        """Where it stands, and what is due next."""
        head, shown = self._head, self._shown
        mine = [c for c in shown.clocks if c.can_be_late and c.ended_at is None]
        due = min(mine, key=lambda c: (c.status == "held", c.due), default=None)
        # a notice that runs, or a right that lapses: nothing to keep, but the day on which the case goes on
        ends = min((c for c in shown.clocks if c.ended_at is None), key=lambda c: c.due, default=None)
        date_ = ends if due is None else None
        facts = [
            ("Stage", _words(head.stage)),
            ("Waits for", head.waits_for),
            ("Next due", f"{due.shown}, {_left(due, self._story.at)}: {_name(due)} {due.title}" if due else ""),
            (
                "Next date",
                f"{date_.shown}, {_left(date_, self._story.at)}: {_name(date_)} {date_.title}" if date_ else "",
            ),
            ("Handler", head.handler or "" if head.closed_at else head.handler or "nobody"),
            ("Received", self._at(head.received_at)),
            ("Recorded", self._at(head.recorded_at)),
            ("Closed", f"{self._at(head.closed_at)}, {_words(head.outcome or '')}" if head.closed_at else ""),
            ("Erased", f"{self._at(head.erased_at)}: what was personal is gone" if head.erased_at else ""),
            ("Policy", self._story.limits.policy if self._story.limits else ""),
            ("Asked for by", head.parent or ""),
            ("Asked for", ", ".join(shown.children)),
            ("Same occurrence", ", ".join(shown.occurrence)),
            ("Faults of the filing", "; ".join(head.faults)),
        ]
        return Block(title="Where it stands", facts=tuple((name, value) for name, value in facts if value))

    def terms(self) -> Block:
        """All clocks: due when, in what state, proven by what."""
        return Block(
            title="Terms",
            table=_table(
                ("Duty", "Clause", "What", "Last day", "State", "Proof"),
                [
                    (
                        _code(_name(c)),
                        Cell(text=c.clause),
                        Cell(text=c.title),
                        _code(c.shown),
                        Cell(text=_state(c), tone=_tone(c)),
                        Cell(text=self._proof(c)),
                    )
                    for c in self._shown.clocks
                ],
            ),
        )

    def counting(self) -> Iterable[Block]:
        """Each clock with its clause and how it was counted."""
        if self._shown.clocks:
            yield Block(title="How each term was counted", lines=("An instant that ends in Z is in UTC.",))
        for c in self._shown.clocks:
            adopted = f", adopted from {c.adopted_from}" if c.adopted_from else ""
            facts = [
                ("Source", f"{source(c.clause, c.document)}{adopted}"),
                ("Owner", role_in_words(c.owner) + ("" if c.can_be_late else "; never the organisation's lateness")),
                ("Started by", f"{_words(c.anchor or 'event')}, {self._at(c.anchor_at)}"),
                ("Days counted", f"{c.counted_from} to {c.last_day}, both included" if c.counted_from else ""),
                ("Late only from", self._at(c.latest) if c.latest != c.due else ""),
                ("Held since", self._at(c.held_since) if c.held_since else ""),
                ("Marked overdue", self._at(c.overdue_at) if c.overdue_at else ""),
                ("Stops with", _words(c.stopped_by or "the due instant") if c.ended_at is None else ""),
                ("Versions", f"rulebook {c.rulebook_version}, calendar {c.calendar_version}"),
            ]
            yield Block(
                title=f"{_name(c)}: {c.title}",
                level=3,
                state=_state(c),
                tone=_tone(c),
                facts=tuple((name, value) for name, value in facts if value),
                lines=tuple(_FRACTION.sub(r"\1", line) for line in c.derivation),
            )

    def _proof(self, c: reading.Explained) -> str:
        if c.evidence is None:
            return f"{self._at(c.ended_at)}: {c.reason or 'no judgment'}" if c.ended_at else ""
        when = self._at(c.happened_at) if c.happened_at else str(c.happened_on)
        said = f"{_words(str(c.evidence.get('kind')))}, happened {when}, recorded {self._at(c.ended_at)}"
        if c.evidence.get("reference"):
            said += f", reference {c.evidence['reference']}"
        if correction := c.evidence.get("correction"):
            said += f"; corrected, second person {correction.get('second_person')}"
            if correction.get("reason"):
                said += f": {correction['reason']} ({correction.get('document')})"
        return said

    def findings(self) -> Block:
        """Points of cover, those that wait or stand against it first; in one line the duties that nobody breached."""
        told = [f for f in self._shown.findings if f.standing != "met" or f.judged or not is_duty(f.code)]
        kept = ", ".join(sorted({f.clause for f in self._shown.findings if f not in told}))
        return Block(
            title="Cover",
            lines=(f"No breach is known of the duties of clauses {kept}.",) if kept else (),
            table=_table(
                ("Point", "Clause", "What", "Stands", "Facts say", "Facts", "Judged by"),
                [
                    (
                        _code(f.code),
                        Cell(text=f.clause),
                        Cell(text=f.title),
                        Cell(text=_words(f.standing), tone=_STANDING.get(f.standing, "open")),
                        Cell(text=_words(f.outcome)),
                        Cell(text=in_words(f.facts, self._head.organisation)),
                        Cell(
                            text=" ".join(
                                filter(None, (f.judged_by, self._at(f.judged_at) if f.judged_at else "", f.reason))
                            )
                        ),
                    )
                    for f in told
                ],
            ),
        )

    def documents(self) -> Block:
        """What came, what was asked for, what was waived."""
        personal = self._story.personal
        kept = ("Where",) if personal else ()
        return Block(
            title="Documents",
            table=_table(
                ("Step", "Document", "What", "When", "Who", "File", *kept),
                [
                    (
                        Cell(text=str(d.step or "filing")),
                        Cell(text=" ".join(filter(None, (d.title, d.named)))),
                        Cell(text=" ".join(filter(None, (d.event, d.proves, d.reason)))),
                        _code(self._at(d.at)),
                        Cell(text=d.actor or ""),
                        Cell(
                            text=", ".join(
                                filter(
                                    None,
                                    (
                                        d.media_type,
                                        f"{d.size} bytes" if d.size else "",
                                        f"SHA-256 {d.sha256}" if d.sha256 else "",
                                    ),
                                )
                            )
                        ),
                        *((Cell(text=" ".join(filter(None, (d.reference, d.file_name)))),) if personal else ()),
                    )
                    for d in self._shown.documents
                ],
            ),
        )

    def decisions(self) -> Iterable[Block]:
        """Each decision with who decided, what it gives, and how that was worked out."""
        if not self._story.decisions:
            return
        yield Block(
            title="Decisions",
            table=_table(
                ("No.", "What", "EUR", "Withheld (9.6)", "Proposed", "Decided"),
                [
                    (
                        Cell(text=str(d.n)),
                        Cell(text=_OUTCOMES.get(d.outcome, _words(d.outcome))),
                        _code(f"{d.total:,.2f}"),
                        _code(f"{d.withheld:,.2f}"),
                        Cell(text=" ".join(filter(None, (self._at(d.proposed_at), d.proposed_by)))),
                        Cell(
                            text=f"{self._at(d.decided_at)}"
                            + (f", approved by {d.approved_by}" if d.approved_by else "")
                            if d.decided_at
                            else "not decided"
                        ),
                    )
                    for d in self._story.decisions
                ],
                amounts={2, 3},
            ),
        )
        for d in self._story.decisions:
            if d.grounds or d.gives or d.premium:
                yield Block(
                    title=f"Decision {d.n}: what it gives",
                    level=3,
                    facts=(("Unpaid premium withheld (9.5)", f"{d.premium:,.2f} EUR"),) if d.premium else (),
                    lines=d.grounds,
                    table=_table(
                        ("To", "Head", "EUR", "of it to the insured (10.1.2)", "Deductible borne (9.5)"),
                        [
                            (
                                _code(g.claimant),
                                Cell(text=_words(g.head)),
                                *(_code(f"{a:,.2f}") for a in (g.payable, g.to_insured, g.deductible)),
                            )
                            for g in d.gives
                        ],
                        amounts={2, 3, 4},
                    ),
                )
            for claimant, lines in d.lines.items():
                yield Block(title=f"Decision {d.n}: calculation for {claimant}", level=3, lines=lines)

    def automatic(self) -> Iterable[Block]:
        """What an automatic decision was made from, and what became of its reviews."""
        made, reviews = self._shown.automatic, self._shown.reviews
        if made is not None:
            yield Block(
                title=f"Decision {made.n}: made by {made.by}, {made.rulebook}, from",
                level=3,
                table=_table(
                    ("What", "As it was then"), [(Cell(text=name), Cell(text=value)) for name, value in made.lines]
                ),
            )
        if reviews:
            yield Block(
                title="Reviews by a person",
                table=_table(
                    ("No.", "Of decision", "Asked for", "Outcome", "By", "Why"),
                    [
                        (
                            Cell(text=str(r.n)),
                            Cell(text=str(r.decision)),
                            Cell(text=" ".join(filter(None, (self._at(r.received_at), r.reference, r.view)))),
                            Cell(text=r.outcome or "under way", tone="good" if r.outcome else "open"),
                            Cell(text=" ".join(filter(None, (self._at(r.reviewed_at), r.reviewed_by)))),
                            Cell(text=r.reason or ""),
                        )
                        for r in reviews
                    ],
                ),
            )

    def payments(self) -> Block:
        """Each order, how its payee was screened, and what the bank said."""
        return Block(
            title="Payments",
            table=_table(
                ("Order", "To", "EUR", "State", "Screened", "Issued", "Executed", "Reference"),
                [
                    (
                        _code(p.key),
                        _code(p.party),
                        _code(f"{Decimal(p.amount):,.2f}"),
                        Cell(
                            text=f"{p.status}: {p.rejected}" if p.rejected else p.status,
                            tone="bad" if p.rejected else "good" if p.executed_on else "open",
                        ),
                        Cell(text=self._screened(p.screening)),
                        _code(self._at(p.issued_at)),
                        _code(str(p.executed_on or "–")),
                        Cell(text=p.reference or ""),
                    )
                    for p in self._shown.payments
                ],
                amounts={2},
            ),
        )

    def instalments(self) -> Block:
        """The schedule of each written agreement, and what became of it."""
        return Block(
            title="Instalments",
            table=_table(
                ("Agreement", "No.", "Day", "EUR", "State"),
                [
                    (
                        _code(f"{i.claimant} {i.head}" + (f", decision {i.decision}" if i.decision > 1 else "")),
                        _code(str(i.n)),
                        _code(str(i.due_on)),
                        _code(f"{Decimal(i.amount):,.2f}"),
                        Cell(
                            text=f"cancelled {self._at(i.cancelled_at)}"
                            if i.cancelled_at
                            else f"ordered: {i.payment}"
                            if i.payment
                            else "to come"
                        ),
                    )
                    for i in self._shown.instalments
                ],
                amounts={3},
            ),
        )

    def _screened(self, found: reading.Screening | None) -> str:
        if found is None:
            return "not yet"
        hits = f": {', '.join(found.hits)}" if found.hits else ""
        judged = f"; judged by {found.judged_by} {self._at(found.judged_at)}" if found.judged_by else ""
        why = f": {found.reason}" if found.reason else ""
        return (
            f"{found.result}{hits}, {self._at(found.screened_at)}, list of {found.list_made_at:%Y-%m-%d}{judged}{why}"
        )

    def limits(self) -> Block:
        """What the policy's limits leave, and the claims that share them."""
        limits = self._story.limits
        if limits is None:
            return Block(title="Limits of the policy")
        terms = limits.terms
        facts = [
            ("Per occurrence (5.4)", f"{terms.limit_per_occurrence:,.2f} EUR, {limits.taken_here:,.2f} of it taken"),
            ("For the period (5.6)", f"{terms.limit_aggregate:,.2f} EUR, {limits.taken:,.2f} of it taken"),
            ("Per person (5.5)", f"{terms.limit_per_person:,.2f} EUR" if terms.limit_per_person is not None else ""),
            (
                "Reserved by claims filed earlier (9.6)",
                f"{limits.before_here:,.2f} EUR of the occurrence, {limits.before:,.2f} EUR of the period",
            ),
            ("Deductible (9.5)", _deductible(terms)),
            *((f"Sublimit {s.name}", f"{s.limit:,.2f} EUR, {_words(s.basis)}") for s in terms.sublimits),
        ]
        return Block(
            title="Limits of the policy",
            facts=tuple((name, value) for name, value in facts if value),
            table=_table(
                ("Filed", "Claim", "Stage", "Occ.", *(w.capitalize() for w in _AMOUNTS)),
                [
                    (
                        _code(self._at(c.filed_at)),
                        Cell(text="this claim" if c.case == self._head.case else c.case),
                        Cell(text=_words(c.stage)),
                        Cell(text=str(c.occurrence)),
                        *(_code(f"{getattr(c, name):,.2f}") for name in _AMOUNTS),
                    )
                    for c in limits.claims
                ],
                amounts=range(4, 4 + len(_AMOUNTS)),
            ),
        )

    def signatures(self) -> Block:
        """The verdicts on the electronic signatures of documents that came with a request."""
        return Block(
            title="Electronic signatures",
            table=_table(
                ("SHA-256", "Validated by", "Kept", "Identified by it", "Verdict", "What was found"),
                [
                    (
                        _code(v.sha256),
                        Cell(text="Termins" if v.by == "termins" else v.actor),
                        _code(self._at(v.kept_at)),
                        _code(self._at(v.used_at)),
                        Cell(text="valid" if v.valid else "not valid", tone="good" if v.valid else "bad"),
                        Cell(text="; ".join(v.said)),
                    )
                    for v in self._shown.signatures
                ],
            ),
        )

    def letters(self) -> Block:
        """Each letter and what became of it."""
        return Block(
            title="Letters",
            table=_table(
                ("Letter", "To", "Duty", "State", "Queued", "Sent", "Reference"),
                [
                    (
                        Cell(text=n.key),
                        Cell(text=f"{_words(n.party)}{' (staff)' if n.internal else ''}"),
                        _code(n.duty or ""),
                        Cell(
                            text=" ".join(
                                filter(None, (n.status, n.refused, self._at(n.bounced_at) if n.bounced_at else ""))
                            ),
                            tone=_LETTER[n.status],
                        ),
                        _code(self._at(n.queued_at)),
                        _code(self._at(n.sent_at)),
                        Cell(text=n.reference or ""),
                    )
                    for n in self._shown.notices
                ],
            ),
        )

    def timeline(self) -> Block:
        """Every step: when, what, who."""
        return Block(
            title="Timeline",
            table=_table(
                ("Step", "When", "What", "Duty", "Who", "Stage", "Facts"),
                [
                    (
                        Cell(text=str(s.step)),
                        _code(self._at(s.at)),
                        Cell(text=_words(s.entry)),
                        _code(s.duty or ""),
                        Cell(text=s.actor or ""),
                        Cell(text=_words(s.stage)),
                        Cell(text=in_words(s.facts, self._head.organisation)),
                    )
                    for s in self._shown.timeline
                ],
            ),
        )

    def events(self) -> Block:
        """What other systems reported."""
        return Block(
            title="Reported by other systems",
            table=_table(
                ("Event", "What", "Recorded", "Delivered", "Refused"),
                [
                    (
                        Cell(text=e.event),
                        Cell(text=_words(e.name)),
                        _code(self._at(e.recorded_at)),
                        _code(self._at(e.delivered_at)),
                        Cell(text="; ".join(e.refused), tone="bad" if e.refused else ""),
                    )
                    for e in self._shown.events
                ],
            ),
        )

    def parties(self) -> Block:
        """Who takes part: by code and role, and with their data where they were asked for."""
        data = ("Name", "E-mail", "Phone", "Personal code", "IBAN") if self._story.personal else ()
        return Block(
            title="Parties",
            table=_table(
                ("Party", "Role", "Language", *data),
                [
                    (
                        _code(p.party),
                        Cell(
                            text=_words(p.role)
                            + (", erased" if p.erased else "")
                            + (f"; {self._screened(p.screening)}" if p.screening and p.screening.hits else "")
                        ),
                        Cell(text=p.language),
                        *(
                            Cell(text=value or "")
                            for value in (p.name, p.email, p.phone, p.personal_code, p.iban)[: len(data)]
                        ),
                    )
                    for p in self._shown.parties
                ],
            ),
        )


_AMOUNTS = ("claimed", "proven", "proposed", "approved", "reserved", "withheld", "paid")
_OUTCOMES = {
    "pay": "pay",
    "pay_reduced": "pay, reduced",
    "reject": "reject",
    "supplement": "pay what was withheld (9.6)",
    "salvage": "pay the rest, for the salvage was handed over (9.3.1)",
    "used_up": "nothing more: the limit is used up (9.12)",
    "bears_deductible": "nothing more: this claim bears the deductible (9.5)",
}
_STANDING: dict[str, Tone] = {"met": "good", "not_met": "bad"}
_LETTER: dict[str, Tone] = {"sent": "good", "waits": "open", "came back": "bad", "not sendable": "bad"}


def _table(columns: tuple[str, ...], rows: Iterable[tuple[Cell, ...]], amounts: Iterable[int] = ()) -> Table | None:
    made = tuple(rows)
    return Table(columns=columns, rows=made, amounts=frozenset(amounts)) if made else None


def _code(text: str) -> Cell:
    return Cell(text=text, code=True)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _name(clock: reading.Explained) -> str:
    return f"{clock.duty} {clock.subject}".strip() + (f" ({clock.n})" if clock.n > 1 else "")


def _state(clock: reading.Explained) -> str:
    return "overdue" if clock.overdue else clock.status


def _tone(clock: reading.Explained) -> Tone:
    state = _state(clock)
    return "bad" if state in ("overdue", "late") else "good" if state == "kept" else "" if state == "void" else "open"


def _left(clock: reading.Explained, now: datetime) -> str:
    if clock.status == "held":
        return "held"
    days = (clock.last_day - now.astimezone(ZoneInfo(clock.zone)).date()).days
    if clock.overdue:
        return f"overdue by {-days} d" if days else "overdue"
    return f"in {days} d" if days else "today"


def _deductible(terms: PolicyTerms) -> str:
    amount = (
        f"{terms.deductible.value:,.2f} EUR" if terms.deductible.kind == "amount" else f"{terms.deductible.value} %"
    )
    return f"{amount}, {_words(terms.deductible.basis)}"


def _day(at: datetime, organisation: str) -> date:
    return at.astimezone(ZoneInfo(books()[organisation].zone)).date()


def in_words(facts: Mapping[str, Any], organisation: str) -> str:
    """Facts in one line; instants in the organisation's zone."""
    zone = ZoneInfo(books()[organisation].zone)
    said = []
    for name, value in facts.items():
        if value not in (None, "", [], {}):
            said.append(f"{_named(name)}{':' if isinstance(value, dict) else ''} {_said(value, zone)}")
    return "; ".join(said)


def _named(name: str) -> str:
    """What a fact is about: in words, or the id of a case, party or letter as it is."""
    return name if ":" in name else _words(name)


def _said(value: Any, zone: ZoneInfo) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case dict():
            return ", ".join(f"{_named(name)} {_said(inner, zone)}" for name, inner in value.items())
        case list():
            return ", ".join(_said(inner, zone) for inner in value)
        case str() if _INSTANT.fullmatch(value):
            return f"{datetime.fromisoformat(value).astimezone(zone):%Y-%m-%d %H:%M}"
        case _:
            return str(value)


_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
_FRACTION = re.compile(r"(\d\d:\d\d:\d\d)\.\d+")
"""Of a second: in the signed evidence, for people no help."""


# ---- setting --------------------------------------------------------------------------------------------------------

_MARKS = re.compile(r"([\\`*_\[\]<>|#~])")


def _as_markdown(value: Any) -> str:
    """A value as text in Markdown: no mark of it means anything, and it stays in its cell or line."""
    return _MARKS.sub(r"\\\1", " ".join(str(value).split()))


_PAGES = FileSystemLoader(Path(__file__).parent / "pages")
_HTML = Environment(loader=_PAGES, undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True)
_MARKDOWN = Environment(
    loader=_PAGES,
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701 - Markdown: `finalize` takes the marks out of every value
    finalize=_as_markdown,
    trim_blocks=True,
    lstrip_blocks=True,
)
