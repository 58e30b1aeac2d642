"""Step 1 of a settlement: what is proven of each head of loss, from its facts (BTA rules No. 19.1, 9.1 to 9.4).

The reckoning is exact; the steps show it in cents.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import singledispatch
from math import floor

from models.settlement import (
    AGE_LIMITS,
    ExpertFacts,
    FuneralFacts,
    Head,
    Label,
    LitigationFacts,
    Loss,
    LostIncomeFacts,
    PropertyFacts,
    RescueFacts,
    Step,
    SupportFacts,
    TreatmentFacts,
)
from rules.wording import CLAIMED, HEAD_CLAUSES, HEADS, PAYERS, Number, Share, joined, label


@dataclass(frozen=True)
class Worked:
    """What one head of loss comes to, in exact cents, by which clause, and how it was found."""

    clause: str
    accepted: Fraction
    """As proven, but no more than claimed."""
    steps: tuple[Step, ...]
    pension: Fraction = Fraction(0)
    """What of a survivor's pension was taken off, in exact cents (9.2.4)."""


def work_out(loss: Loss) -> Worked:
    """The accepted amount of one head. Depends on `loss` only."""
    way = _Way(loss.head)
    if loss.facts is None:
        proven = cents(loss.proven or Decimal(0))
        way.begin(proven, None)
    else:
        _work(loss.facts, way)
    claimed = cents(loss.claimed)
    if way.amount > claimed:
        way.clause, way.title = "9.1", CLAIMED
        way.to(claimed, None)
    return Worked(way.head_clause, way.amount, tuple(way.steps), way.pension)


def cents(amount: Decimal) -> Fraction:
    """EUR as exact cents."""
    return Fraction(amount) * 100


def eur(amount: int) -> Decimal:
    """Whole cents as EUR."""
    return Decimal(amount).scaleb(-2)


def half_up(amount: Fraction) -> int:
    """The nearest whole number of cents; half a cent is one."""
    return floor(amount + Fraction(1, 2))


class _Way:
    """The amount of a head on its way from the facts."""

    def __init__(self, head: Head) -> None:
        self.clause = self.head_clause = HEAD_CLAUSES[head]
        self.title = HEADS[head]
        self.amount = Fraction(0)
        self.pension = Fraction(0)
        self.steps: list[Step] = []

    def begin(self, amount: Fraction, note: Label | None) -> None:
        """Where the reckoning starts."""
        self.amount = amount
        self.to(amount, note)

    def to(self, amount: Fraction, note: Label | None) -> None:
        """One step; never below zero."""
        after = max(amount, Fraction(0))
        shown = eur(half_up(self.amount)), eur(half_up(after))
        self.steps.append(Step(clause=self.clause, label=self.title, before=shown[0], after=shown[1], note=note))
        self.amount = after

    def cite(self, head: Head) -> None:
        """It may be another head than it was claimed as: damaged property that counts as destroyed, and the reverse."""
        self.clause = self.head_clause = HEAD_CLAUSES[head]
        self.title = HEADS[head]


@singledispatch
def _work(facts: object, way: _Way) -> None:
    msg = f"there is no rule for {type(facts).__name__}"
    raise TypeError(msg)


@_work.register
def _treatment(facts: TreatmentFacts, way: _Way) -> None:
    way.begin(
        cents(facts.costs), label("Dokumentētās izmaksas.", "Dokumentais pagrįstos išlaidos.", "Documented costs.")
    )
    if facts.comfort:
        way.to(
            way.amount - cents(facts.comfort),
            label(
                "Paaugstināta servisa izmaksas {} netiek atlīdzinātas.",
                "Padidinto komforto išlaidos {} neatlyginamos.",
                "Costs for comfort, {}, are not paid.",
                facts.comfort,
            ),
        )


@_work.register
def _lost_income(facts: LostIncomeFacts, way: _Way) -> None:
    texts = {
        "day": (
            "Vidējā izpeļņa {} dienā, apliecināto dienu skaits: {}.",
            "Vidutinis uždarbis {} per dieną, patvirtintų dienų skaičius: {}.",
            "Average earnings of {} a day; certified days: {}.",
        ),
        "month": (
            "Vidējā izpeļņa {} mēnesī, apliecināto mēnešu skaits: {}.",
            "Vidutinis uždarbis {} per mėnesį, patvirtintų mėnesių skaičius: {}.",
            "Average earnings of {} a month; certified months: {}.",
        ),
    }
    way.begin(cents(facts.average) * facts.count, label(*texts[facts.per], facts.average, str(facts.count)))
    for paid in facts.received:
        way.to(
            way.amount - cents(paid.amount),
            label("Saņemts {} ({}).", "Gauta {} ({}).", "Received {} ({}).", paid.amount, PAYERS[paid.payer]),
        )


@_work.register
def _support(facts: SupportFacts, way: _Way) -> None:
    ends = right_ends(facts)
    last = facts.last_day if ends is None else min(ends, facts.last_day)
    months = _months(facts.first_day, last)
    shown = Number(Decimal(half_up(months * 10_000)).scaleb(-4))
    way.begin(
        cents(facts.income) * months * Fraction(facts.share) / 100,
        joined(
            label(
                "Bojā gājušā nesaņemtie ienākumi {} mēnesī, apgādājamā daļa {}, mēneši no {} līdz {}: {}.",
                "Žuvusiojo negautos pajamos {} per mėnesį, išlaikytinio dalis {}, mėnesiai nuo {} iki {}: {}.",
                "The deceased's lost income of {} a month, the dependant's share {}, months from {} to {}: {}.",
                facts.income,
                Share(facts.share),
                facts.first_day,
                max(last, facts.first_day),
                shown,
            ),
            label("Tiesību pēdējā diena: {}", "Paskutinė teisės diena: {}.", "The right ends on {}.", ends)
            if ends is not None and ends < facts.last_day
            else None,
        ),
    )
    if facts.pension:
        way.pension = min(cents(facts.pension) * months, way.amount)
        way.to(
            way.amount - way.pension,
            label(
                "Apgādnieka zaudējuma pensija {} mēnesī.",
                "Maitintojo netekimo pensija {} per mėnesį.",
                "Survivor's pension of {} a month.",
                facts.pension,
            ),
        )


def right_ends(facts: SupportFacts) -> date | None:
    """The last day of a dependant's right (9.2.4): by age, or by what the facts say; None where neither ends it."""
    ends = [] if facts.until is None else [facts.until]
    if facts.right in AGE_LIMITS and facts.born_on is not None:
        year = facts.born_on.year + AGE_LIMITS[facts.right]
        month, day = facts.born_on.month, facts.born_on.day
        # born on 29 February: a year older on 1 March where there is no such day
        birthday = date(year, month, day) if day <= monthrange(year, month)[1] else date(year, month + 1, 1)
        ends.append(birthday - timedelta(days=1))
    return min(ends, default=None)


def _months(first: date, last: date) -> Fraction:
    """Months from `first` to `last`, both included; part of a month by its days."""
    months = Fraction(0)
    while first <= last:
        length = monthrange(first.year, first.month)[1]
        end = min(last, first.replace(day=length))
        months += Fraction((end - first).days + 1, length)
        first = end + timedelta(days=1)
    return months


@_work.register
def _funeral(facts: FuneralFacts, way: _Way) -> None:
    way.begin(
        cents(facts.costs), label("Dokumentētās izmaksas.", "Dokumentais pagrįstos išlaidos.", "Documented costs.")
    )
    if facts.unreasonable:
        way.to(
            way.amount - cents(facts.unreasonable),
            label(
                "No tām {} pārsniedz saprātīgus izdevumus.",
                "Iš jų {} viršija protingas išlaidas.",
                "Of these, {} are beyond reasonable costs.",
                facts.unreasonable,
            ),
        )
    if not facts.natural_person:
        way.to(
            Fraction(0),
            label(
                "Tiesības ir tikai fiziskajai personai, kas uzņēmusies apbedīšanu.",
                "Teisę turi tik laidojimu pasirūpinęs fizinis asmuo.",
                "Only a natural person who took on the funeral has the right.",
            ),
        )


@_work.register
def _property(facts: PropertyFacts, way: _Way) -> None:
    lost = None if facts.before is None or facts.after is None else facts.before - facts.after
    if lost is None or (facts.repair is not None and facts.repair <= lost):
        way.cite(Head.property_damaged)
        way.begin(
            cents(facts.repair or Decimal(0)),
            label("Atjaunošanas izmaksas.", "Atkūrimo išlaidos.", "The cost of restoring it."),
        )
        return
    way.cite(Head.property_destroyed)
    why = label("Remonts nav iespējams.", "Remontas neįmanomas.", "Repair is impossible.")
    if facts.repair is not None:
        why = label(
            "Remonts ({}) pārsniedz vērtības starpību ({}).",
            "Remontas ({}) viršija vertės skirtumą ({}).",
            "Repair ({}) is dearer than the value lost ({}).",
            facts.repair,
            lost,
        )
    before, after = facts.before or Decimal(0), facts.after or Decimal(0)
    way.begin(
        cents(before),
        joined(why, label("Vērtība pirms gadījuma.", "Vertė prieš įvykį.", "The value before the event.")),
    )
    if facts.salvage_handed_over:
        way.to(
            way.amount,
            label(
                "Mantas atliekas nodotas apdrošinātājam.",
                "Turto likučiai perduoti draudikui.",
                "What is left of it was handed over to the insurer.",
            ),
        )
        return
    note = label(
        "Atskaitīta vērtība pēc gadījuma: {}.",
        "Atimta vertė po įvykio: {}.",
        "Less the value after the event: {}.",
        after,
    )
    if facts.owner_agrees:
        note = joined(
            note,
            label(
                "To izmaksā pēc atlieku nodošanas.",
                "Ji mokama perdavus likučius.",
                "It is paid once what is left is handed over.",
            ),
        )
    way.to(way.amount - cents(after), note)


@_work.register
def _litigation(facts: LitigationFacts, way: _Way) -> None:
    way.begin(cents(facts.costs), None)
    way.to(
        min(way.amount, cents(facts.agreed)),
        label("Saskaņoti {}.", "Suderinta {}.", "Agreed: {}.", facts.agreed),
    )


@_work.register
def _rescue(facts: RescueFacts, way: _Way) -> None:
    way.begin(cents(facts.costs), None)
    way.to(
        min(way.amount, cents(facts.agreed + facts.urgent)),
        label(
            "Saskaņoti {}; neatliekami bez saskaņošanas (8.1.3. punkts) {}.",
            "Suderinta {}; neatidėliotinos be suderinimo (8.1.3 punktas) {}.",
            "Agreed: {}; urgent without agreement (clause 8.1.3): {}.",
            facts.agreed,
            facts.urgent,
        ),
    )


@_work.register
def _expert(facts: ExpertFacts, way: _Way) -> None:
    way.begin(cents(facts.costs), None)
