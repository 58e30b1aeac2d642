"""What is paid: the settlement of one filing, step by step, each step with its clause (BTA rules No. 19.1, 5 and 9).

The reckoning is exact (fractions of cents per claimant and head) and is rounded half-up once per claimant, at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

from models.settlement import (
    OF_DEATH,
    Basis,
    ClaimantSettlement,
    DeductibleKind,
    Head,
    HeadAmount,
    Label,
    Language,
    Loss,
    LostIncomeFacts,
    PaidSum,
    Payer,
    Settlement,
    SettlementInput,
    Step,
    Sublimit,
    UsedSum,
)
from rules.loss import Worked, cents, eur, half_up, work_out
from rules.wording import (
    AGGREGATE,
    COMPENSATED,
    DEDUCTIBLE,
    EACH_A_PERSON,
    HEADS,
    LEFT_TO_EARLIER,
    LIABILITY,
    ONE_PERSON,
    OTHER_INSURERS,
    PAYABLE,
    PAYERS,
    PER_OCCURRENCE,
    PER_PERSON,
    PREMIUM,
    PROVEN,
    RECOMMENDED,
    REDUCTION,
    RESERVED,
    ROUNDED,
    SUBLIMIT,
    Share,
    clause_in,
    in_,
    joined,
    label,
    line,
    money,
)

Cell = tuple[str, Head]
"""One head of one claimant: the smallest part that is reckoned."""
Amounts = Mapping[Cell, Fraction]
"""Exact amounts in cents."""


def settle(case: SettlementInput) -> Settlement:
    """The settlement of one filing, in EUR. Depends on `case` only; the order of its losses does not matter.

    Order of the steps: heads as proven (9.1 to 9.4), recommended sum (8.1.9), liability (9.7), other insurers (9.9),
    deductible and unpaid premium (9.5), sublimits (5.3.2), per person (5.5), per occurrence (5.4), aggregate (5.6),
    what earlier claims reserve (9.6, 9.10), reductions (8.2), paid by others (9.8). Two readings move a step.
    """
    worked = {(loss.claimant, loss.head): work_out(loss) for loss in case.losses}
    entitled = _Course.of(case, worked, reserve=False)
    course = _Course.of(case, worked, reserve=True)
    entitled_cents = _rounded(entitled, {cell: ceil(amount) for cell, amount in entitled.amounts.items()})
    # the part paid now never passes the entitlement, not even by the odd cent
    payable_cents = _rounded(course, {c: min(ceil(x), entitled_cents[c]) for c, x in course.amounts.items()})
    names = _claimants(course.amounts)
    claimants = tuple(
        _claimant(case, worked, course, entitled.used, name, payable_cents, entitled_cents) for name in names
    )
    return Settlement(
        claimants=claimants,
        payable=sum((c.payable for c in claimants), Decimal("0.00")),
        withheld=sum((c.withheld for c in claimants), Decimal("0.00")),
        deductible=eur(half_up(course.deducted)),
        premium=eur(half_up(course.premium)),
    )


def released(so_far: Mapping[Cell, Decimal], now: Settlement) -> dict[Cell, Decimal]:
    """What a supplementary decision adds to each head, in EUR: what is payable now, less what was decided so far.

    Together exactly what the limits let go since (9.6), never less than nothing for a head: where the odd cent of a
    shared limit would now fall to another one, it stays where it was paid and the largest addition is less by it.
    """
    more = {(c.claimant, h.head): h.payable for c in now.claimants for h in c.heads}
    for cell, paid in so_far.items():
        more[cell] = more.get(cell, Decimal("0.00")) - paid
    over = -sum((amount for amount in more.values() if amount < 0), Decimal(0))
    added = {cell: max(amount, Decimal("0.00")) for cell, amount in more.items()}
    for cell in sorted(added, key=lambda c: (-added[c], c)):
        part = min(over, added[cell])
        added[cell] -= part
        over -= part
    return added


def explain_supplement(
    settlement: Settlement,
    claimant: str,
    language: Language,
    added: Decimal,
    before: Decimal,
    *,
    handed_over: bool = False,
    earlier_bore: bool = False,
) -> tuple[str, ...]:
    """The lines of a supplementary decision's letter: what is added to what was decided before, and the whole again.

    It is added since earlier claims let go of a limit (9.6), or since salvage was `handed_over` (9.3.1); where
    `earlier_bore` of the deductible (9.5), for that too.
    """
    if handed_over:
        by_salvage = label(
            "Papildus izmaksājami {}; līdz šim izlemts izmaksāt {}. Mantas atliekas ir nodotas apdrošinātājam, tādēļ "
            "atlīdzina mantas vērtību pirms gadījuma (noteikumu 9.3.1. punkts).",
            "Papildomai mokama {}; iki šiol nuspręsta išmokėti {}. Turto likučiai perduoti draudikui, todėl atlyginama "
            "turto vertė prieš įvykį (taisyklių 9.3.1 punktas).",
            "{} more is payable; {} was decided so far. What is left of the thing was handed over to the insurer, so "
            "its value before the event is paid (clause 9.3.1).",
            added,
            before,
        )
        return (in_(by_salvage, language), *explain(settlement, claimant, language))
    first = label(
        "Papildus izmaksājami {}; līdz šim izlemts izmaksāt {}. Agrāk iesniegtās pretenzijas vairs neaizņem to limita "
        "daļu, kas bija tām rezervēta (noteikumu 9.6. punkts).",
        "Papildomai mokama {}; iki šiol nuspręsta išmokėti {}. Anksčiau pateiktos pretenzijos nebeužima joms "
        "rezervuotos limito dalies (taisyklių 9.6 punktas).",
        "{} more is payable; {} was decided so far. Claims filed earlier no longer hold the part of the limit that was "
        "reserved for them (clause 9.6).",
        added,
        before,
    )
    if earlier_bore:
        first = label(
            "Papildus izmaksājami {}; līdz šim izlemts izmaksāt {}. Par agrāk iesniegtajām pretenzijām ir izlemts: "
            "šī daļa vairs nav jāaiztur to limitam un pašriskam (noteikumu 9.5. un 9.6. punkts).",
            "Papildomai mokama {}; iki šiol nuspręsta išmokėti {}. Dėl anksčiau pateiktų pretenzijų nuspręsta: šios "
            "dalies nebereikia sulaikyti jų limitui ir išskaitai (taisyklių 9.5 ir 9.6 punktai).",
            "{} more is payable; {} was decided so far. Claims filed earlier are decided: this part need no longer be "
            "held back for their limit and deductible (clauses 9.5 and 9.6).",
            added,
            before,
        )
    return (in_(first, language), *explain(settlement, claimant, language))


def used_up(claimant: ClaimantSettlement) -> bool:
    """Whether the limit of the occurrence or of the period left a part of this claimant's loss uncovered (9.12)."""
    return any(step.clause in ("5.4", "5.6") and step.after < step.before for step in claimant.steps)


def explain(settlement: Settlement, claimant: str, language: Language) -> tuple[str, ...]:
    """The lines of the decision letter for `claimant`.

    They give how each head that was worked out from facts came to its amount, each step that changed the amount, what
    is payable, its heads and who gets them, what others paid, what is withheld (9.6), and that the limit is used up
    (9.12). Raises `ValueError` where the settlement has no such claimant.
    """
    found = next((c for c in settlement.claimants if c.claimant == claimant), None)
    if found is None:
        msg = f"the settlement has no claimant {claimant}"
        raise ValueError(msg)
    first, *middle, last = found.steps
    lines = [line(first, language)]
    for part in found.heads:
        lines += [f"- {line(step, language)}" for step in part.steps if step.note or len(part.steps) > 1]
    lines += [line(step, language) for step in (*(s for s in middle if s.before != s.after), last)]
    for part in found.heads:
        if part.payable:
            text = f"- {in_(HEADS[part.head], language)} ({clause_in(part.clause, language)}): "
            lines.append(text + money(part.payable, language) + _to_insured(part, language))
    # what was taken off within a head stands there already
    lines += [_paid(used, language) for used in found.sums if used.used and not used.clause.startswith("9.2")]
    if found.withheld:
        lines.append(in_(_withheld(found), language))
    if used_up(found) and not found.withheld:
        lines.append(
            in_(
                label(
                    "Atbildības limits ir izlietots: pārējo zaudējumu atlīdzināšanas pienākums pāriet apdrošinātajam "
                    "(noteikumu 9.12. punkts).",
                    "Atsakomybės limitas išnaudotas: pareiga atlyginti likusius nuostolius pereina apdraustajam "
                    "(taisyklių 9.12 punktas).",
                    "The limit of liability is used up: the burden of the remaining loss passes to the insured "
                    "(clause 9.12).",
                ),
                language,
            )
        )
    return tuple(lines)


def _withheld(claimant: ClaimantSettlement) -> Label:
    """What is withheld, and by which of the two that claims filed earlier come first in: limit and deductible."""
    cut = [step for step in claimant.steps if step.clause in ("9.6", "9.10") and step.after < step.before]
    if all(step.label != LEFT_TO_EARLIER for step in cut):
        return label(
            "Jums ir tiesības saņemt vēl līdz {}, ievērojot noteikumu 9.6. punktu: šo atbildības limita daļu pagaidām "
            "aizņem agrāk iesniegtas pretenzijas.",
            "Jūs turite teisę gauti dar iki {}, laikantis taisyklių 9.6 punkto: šią atsakomybės limito dalį kol kas "
            "rezervuoja anksčiau pateiktos pretenzijos.",
            "You are entitled to up to {} more, subject to clause 9.6: claims filed earlier have reserved this part of "
            "the limit of liability for the time being.",
            claimant.withheld,
        )
    if all(step.label == LEFT_TO_EARLIER for step in cut):
        return label(
            "Jums ir tiesības saņemt vēl līdz {}, ievērojot noteikumu 9.5. un 9.6. punktu: pašrisku vispirms sedz "
            "agrāk iesniegtas pretenzijas, un tās vēl nav izlemtas.",
            "Jūs turite teisę gauti dar iki {}, laikantis taisyklių 9.5 ir 9.6 punktų: išskaita pirmiausia tenka "
            "anksčiau pateiktoms pretenzijoms, o dėl jų dar nenuspręsta.",
            "You are entitled to up to {} more, subject to clauses 9.5 and 9.6: claims filed earlier bear the "
            "deductible first, and they are not decided yet.",
            claimant.withheld,
        )
    return label(
        "Jums ir tiesības saņemt vēl līdz {}, ievērojot noteikumu 9.5. un 9.6. punktu: agrāk iesniegtas pretenzijas "
        "pagaidām aizņem daļu atbildības limita, un tās vispirms sedz pašrisku.",
        "Jūs turite teisę gauti dar iki {}, laikantis taisyklių 9.5 ir 9.6 punktų: anksčiau pateiktos pretenzijos kol "
        "kas rezervuoja dalį atsakomybės limito, ir joms pirmiausia tenka išskaita.",
        "You are entitled to up to {} more, subject to clauses 9.5 and 9.6: claims filed earlier have reserved a part "
        "of the limit of liability for the time being, and they bear the deductible first.",
        claimant.withheld,
    )


def _to_insured(part: HeadAmount, language: Language) -> str:
    if not part.to_insured:
        return ""
    text = label(
        "; no tiem {} apdrošinājuma ņēmējam vai apdrošinātajam (noteikumu 10.1.2. punkts)",
        "; iš jų {} draudėjui arba apdraustajam (taisyklių 10.1.2 punktas)",
        "; of this {} to the policyholder or the insured (clause 10.1.2)",
        part.to_insured,
    )
    return in_(text, language)


def _paid(used: UsedSum, language: Language) -> str:
    day = "" if used.paid_on is None else f", {in_(label('{}', '{}', '{}', used.paid_on), language)}"
    what = {
        "9.7": label("paša atbildības daļa", "paties atsakomybės dalis", "the payer's own share of the liability"),
        "9.9": label("cita apdrošinātāja daļa", "kito draudiko dalis", "the other insurer's proportion"),
        "9.8": label("atskaitīts", "atimta", "deducted"),
        "10.1.2": label(
            "maksātājs saņem to, kas paliek pēc trešās personas zaudējuma",
            "mokėtojas gauna tai, kas lieka atlyginus trečiojo asmens nuostolį",
            "the payer gets what the third party's loss leaves",
        ),
    }[used.clause]
    return (
        f"- {in_(COMPENSATED, language)}: {in_(PAYERS[used.payer], language)}{day}: {money(used.used, language)}, "
        f"{in_(what, language)} ({clause_in(used.clause, language)})"
    )


# The reckoning


@dataclass(frozen=True)
class _Stage:
    """What one step left of every cell."""

    clause: str
    label: Label
    note: Label
    after: Amounts


@dataclass(frozen=True)
class _Cap:
    """Together these cells may not pass `room` cents: what the final rounding must still respect."""

    cells: frozenset[Cell]
    room: int


@dataclass
class _Course:
    """The amounts on their way through the steps, and what has to be known of it at the end."""

    amounts: dict[Cell, Fraction]
    own: frozenset[Cell]
    stages: list[_Stage] = field(default_factory=list)
    caps: list[_Cap] = field(default_factory=list)
    sharing: set[str] = field(default_factory=set)
    """Claimants who share a limit that was too small for them: their odd cents are dealt out together."""
    deducted: Fraction = Fraction(0)
    limited: Fraction = Fraction(0)
    """Of all cells together, what the limits left."""
    premium: Fraction = Fraction(0)
    used: list[_Use] = field(default_factory=list)
    """What others paid, each sum where it was used."""

    @classmethod
    def of(
        cls, case: SettlementInput, worked: Mapping[Cell, Worked], *, reserve: bool, left_to_earlier: bool = True
    ) -> _Course:
        """The whole course; with `reserve`, earlier claims hold back the part of the limits they reserved.

        What open claims filed earlier may bear of the occurrence's deductible is left to them, and with `reserve` held
        back until they did; without `left_to_earlier`, this filing bears it.
        """
        course = cls(
            amounts={cell: part.accepted for cell, part in worked.items()},
            own=frozenset((loss.claimant, loss.head) for loss in case.losses if loss.own_costs),
        )
        course.keep(
            "9.1",
            PROVEN,
            label(
                "Par katru zaudējumu veidu ņemts vērā pierādītais, bet ne vairāk par pieprasīto.",
                "Pagal kiekvieną nuostolių rūšį imama įrodyta suma, bet ne didesnė už reikalaujamą.",
                "For each head of loss what is proven, but no more than claimed.",
            ),
        )
        course.keep_recommended(case)
        if case.readings.liability_before_deductible:
            course.take_liability(case)
        course.take_other_insurers(case)
        course.take_deductible(case, left_to_earlier=left_to_earlier)
        if case.readings.unpaid_premium_with_deductible:
            course.take_premium(case)
        if not case.readings.liability_before_deductible:
            course.take_liability(case)
        course.keep_limits(case)
        course.limited = course.total(course.amounts)
        if reserve:
            course.keep_left_to_earlier(case, worked)
            course.keep_reserved(case)
        course.take_reductions(case)
        course.take_compensated(case, worked)
        if not case.readings.unpaid_premium_with_deductible:
            course.take_premium(case)
        return course

    def keep(self, clause: str, label: Label, note: Label) -> None:
        self.stages.append(_Stage(clause, label, note, dict(self.amounts)))

    def scale(self, cells: Iterable[Cell], factor: Fraction) -> None:
        for cell in cells:
            self.amounts[cell] *= factor

    def total(self, cells: Iterable[Cell]) -> Fraction:
        return sum((self.amounts[cell] for cell in cells), Fraction(0))

    def cells_of(self, claimant: str) -> list[Cell]:
        return [cell for cell in self.amounts if cell[0] == claimant]

    def fit(self, cells: Iterable[Cell], room: Decimal) -> None:
        """Fit the cells into `room` EUR, pro rata; the insured's own costs get what the third parties leave."""
        self.fit_cents(cells, cents(room))

    def fit_cents(self, cells: Iterable[Cell], left: Fraction) -> None:
        """The same of cents, and fractions of them."""
        members = frozenset(cells)
        self.caps.append(_Cap(members, int(left)))
        for tier in (members - self.own, members & self.own):
            total = self.total(tier)
            if total > left:
                names = {name for name, _ in tier}
                if len(names) > 1:
                    self.sharing |= names
                self.scale(tier, left / total)
                total = left
            left -= total

    def persons(self, case: SettlementInput, cells: Iterable[Cell]) -> dict[str, list[Cell]]:
        """The cells by the person that a limit or deductible per person counts: a claimant, or the deceased."""
        deceased = {(loss.claimant, loss.head): loss.deceased for loss in case.losses}
        groups: dict[str, list[Cell]] = {}
        for cell in cells:
            one = case.policy.death_is_one_person and cell[1] in OF_DEATH
            groups.setdefault(deceased[cell] if one else cell[0], []).append(cell)
        return groups

    def keep_recommended(self, case: SettlementInput) -> None:
        if not case.recommended:
            return
        for recommended in case.recommended:
            self.fit(self.cells_of(recommended.claimant), recommended.amount)
        self.keep(
            "8.1.9",
            RECOMMENDED,
            label(
                "Solīts vai tērēts pretēji norādījumiem: ne vairāk par apdrošinātāja ieteikto (8.1.11. punkts).",
                "Pažadėta ar išleista nesilaikant nurodymų: ne daugiau nei rekomendavo draudikas (8.1.11 punktas).",
                "Promised or spent against instructions: no more than the sum that the insurer recommended "
                "(clause 8.1.11).",
            ),
        )

    def take_liability(self, case: SettlementInput) -> None:
        self.scale(self.amounts, Fraction(case.liability_share) / 100)
        before = case.readings.liability_before_deductible
        self.keep(
            "9.7",
            LIABILITY,
            label(
                "Apdrošinātā atbildības pakāpe: {}; piemērota " + ("pirms" if before else "pēc") + " pašriska.",
                "Apdraustojo atsakomybės laipsnis: {}; taikytas "
                + ("prieš išskaitą" if before else "po išskaitos")
                + ".",
                "The insured's degree of liability: {}, applied "
                + ("before" if before else "after")
                + " the deductible.",
                Share(case.liability_share),
            ),
        )

    def take_other_insurers(self, case: SettlementInput) -> None:
        if not case.other_insurers:
            return
        own = case.policy.limit_per_occurrence
        self.scale(self.amounts, _proportion(case))
        self.keep(
            "9.9",
            OTHER_INSURERS,
            label(
                "Mūsu limits vienam apdrošināšanas gadījumam ir {} no visu apdrošinātāju limitu summas {}.",
                "Mūsų vieno draudžiamojo įvykio limitas yra {} iš visų draudikų limitų sumos {}.",
                "Our limit per occurrence is {} of the {} of all insurers together.",
                own,
                own + sum(other.limit for other in case.other_insurers),
            ),
        )

    def take_premium(self, case: SettlementInput) -> None:
        unpaid = case.policy.unpaid_premium
        if not (case.withhold_premium and unpaid):
            return
        total = self.total(self.amounts)
        self.deduct(self.amounts, unpaid)
        self.premium = total - self.total(self.amounts)
        first = case.readings.unpaid_premium_with_deductible
        self.keep(
            "9.5",
            PREMIUM,
            label(
                "Nesamaksātā prēmijas daļa {}, ieturēta " + ("kopā ar pašrisku" if first else "pēdējā solī") + ".",
                "Nesumokėta įmokos dalis {}, išskaičiuota "
                + ("kartu su išskaita" if first else "paskutiniame žingsnyje")
                + ".",
                "The unpaid part of the premium, {}, withheld "
                + ("with the deductible" if first else "in the last step")
                + ".",
                unpaid,
            ),
        )

    def take_deductible(self, case: SettlementInput, *, left_to_earlier: bool) -> None:
        deductible = case.policy.deductible
        total = self.total(self.amounts)
        if deductible.kind is DeductibleKind.percent:
            # a share of each claim is the same share of the occurrence, whichever the basis
            self.scale(self.amounts, 1 - Fraction(deductible.value) / 100)
            note = label(
                "Pašrisks ir {} no summas šajā solī.",
                "Išskaita sudaro {} sumos šiame žingsnyje.",
                "The deductible is {} of the amount at this step.",
                Share(deductible.value),
            )
        elif deductible.basis is Basis.per_occurrence:
            left = _left(deductible.value, case.taken.deductible)
            self.deduct(self.amounts, left - _left_to_earlier(case) if left_to_earlier else left)
            note = label(
                "Pašrisks ir {} par vienu apdrošināšanas gadījumu, to ietur vienu reizi pretenziju iesniegšanas "
                "secībā; iepriekš ieturēts {}.",
                "Išskaita yra {} vienam draudžiamajam įvykiui, ji taikoma vieną kartą pretenzijų pateikimo tvarka; "
                "anksčiau išskaičiuota {}.",
                "The deductible is {} per occurrence, taken once, in the order of filing; {} was taken earlier.",
                deductible.value,
                case.taken.deductible,
            )
        else:
            earlier = {person.claimant: person.deductible for person in case.taken.persons}
            for name, cells in self.persons(case, self.amounts).items():
                self.deduct(cells, _left(deductible.value, earlier.get(name, Decimal(0))))
            note = label(
                "Pašrisks ir {} par vienas personas pretenzijām, atskaitot iepriekš ieturēto.",
                "Išskaita yra {} vieno asmens pretenzijoms, atėmus anksčiau išskaičiuotą sumą.",
                "The deductible is {} per person, less what was taken from that person earlier.",
                deductible.value,
            )
        self.deducted = total - self.total(self.amounts)
        self.keep("9.5", DEDUCTIBLE, note)

    def deduct(self, cells: Iterable[Cell], value: Decimal) -> None:
        """Take `value` EUR off the cells together, pro rata, at most all of it."""
        members = list(cells)
        if total := self.total(members):
            self.scale(members, 1 - min(cents(value) / total, Fraction(1)))

    def keep_limits(self, case: SettlementInput) -> None:
        policy, taken = case.policy, case.taken
        for sublimit in policy.sublimits:
            self.keep_sublimit(case, sublimit)
        if policy.limit_per_person is not None:
            earlier = {person.claimant: person.paid for person in taken.persons}
            for name, cells in self.persons(case, self.amounts).items():
                self.fit(cells, _left(policy.limit_per_person, earlier.get(name, Decimal(0))))
            self.keep(
                "5.5",
                PER_PERSON,
                joined(
                    label(
                        "Limits vienas personas pretenzijai: {}, atskaitot šai personai iepriekš izmaksāto.",
                        "Vieno asmens pretenzijos limitas: {}, atėmus šiam asmeniui anksčiau išmokėtą sumą.",
                        "The limit per person is {}, less what this person was paid earlier.",
                        policy.limit_per_person,
                    ),
                    self.one_person(case),
                ),
            )
        self.fit(self.amounts, _left(policy.limit_per_occurrence, taken.occurrence))
        self.keep("5.4", PER_OCCURRENCE, _limit_note(policy.limit_per_occurrence, taken.occurrence))
        self.fit(self.amounts, _left(policy.limit_aggregate, taken.aggregate))
        self.keep("5.6", AGGREGATE, _limit_note(policy.limit_aggregate, taken.aggregate))

    def keep_sublimit(self, case: SettlementInput, sublimit: Sublimit) -> None:
        cells = [cell for cell in self.amounts if cell[1] in sublimit.heads]
        earlier = {part.claimant: part.paid for part in case.taken.sublimits if part.name == sublimit.name}
        per_person = sublimit.basis is Basis.per_person
        groups: Mapping[str | None, list[Cell]] = {None: cells}
        if per_person:
            groups = dict(self.persons(case, cells).items())
        for name, group in groups.items():
            self.fit(group, _left(sublimit.limit, earlier.get(name, Decimal(0))))
        self.keep(
            "5.3.2",
            SUBLIMIT,
            joined(
                label(
                    "Apakšlimits „{}”: {}, atskaitot iepriekš izmaksāto.",
                    "Sublimitas „{}“: {}, atėmus anksčiau išmokėtą sumą.",
                    "The sublimit “{}” is {}, less what was paid under it earlier.",
                    sublimit.name,
                    sublimit.limit,
                ),
                self.one_person(case) if per_person else None,
            ),
        )

    def one_person(self, case: SettlementInput) -> Label | None:
        """The reading of one person, where the filing has a death."""
        if not any(head in OF_DEATH for _, head in self.amounts):
            return None
        return ONE_PERSON if case.policy.death_is_one_person else EACH_A_PERSON

    def keep_left_to_earlier(self, case: SettlementInput, worked: Mapping[Cell, Worked]) -> None:
        """No more than if this filing bore what it leaves of the deductible to those before it."""
        if not (left := _left_to_earlier(case)):
            return
        alone = _Course.of(case, worked, reserve=False, left_to_earlier=False)
        self.fit_cents(self.amounts, alone.limited)
        self.keep(
            "9.6",
            LEFT_TO_EARLIER,
            label(
                "Agrāk iesniegtās, vēl neizlemtās pretenzijas pirmās sedz pašrisku, līdz {}; aizturētā daļa nav "
                "atteikta.",
                "Anksčiau pateiktoms, dar neišspręstoms pretenzijoms išskaita tenka pirmiausia, iki {}; sulaikyta "
                "dalis nėra atmesta.",
                "Claims filed earlier that are not decided yet bear the deductible first, up to {}; the part held back "
                "is not refused.",
                left,
            ),
        )

    def keep_reserved(self, case: SettlementInput) -> None:
        policy, taken, reserved = case.policy, case.taken, case.reserved_by_earlier
        for clause, limit, used, held in (
            ("9.6", policy.limit_per_occurrence, taken.occurrence, reserved.occurrence),
            ("9.10", policy.limit_aggregate, taken.aggregate, reserved.aggregate),
        ):
            if held:
                self.fit(self.amounts, _left(limit, used + held))
                self.keep(
                    clause,
                    RESERVED,
                    label(
                        "Agrāk iesniegtām pretenzijām rezervēti {}; aizturētā daļa nav atteikta.",
                        "Anksčiau pateiktoms pretenzijoms rezervuota {}; sulaikyta dalis nėra atmesta.",
                        "Claims filed earlier have reserved {}; the part held back is not refused.",
                        held,
                    ),
                )

    def take_reductions(self, case: SettlementInput) -> None:
        """Each percentage is of the indemnity as the limits left it, so that their order does not matter."""
        limited = dict(self.amounts)
        gone = Fraction(0)
        for reduction in sorted(case.reductions, key=lambda r: r.clause):
            gone += Fraction(reduction.percent) / 100
            self.amounts = {cell: amount * (1 - gone) for cell, amount in limited.items()}
            self.keep(
                "8.2",
                REDUCTION,
                label(
                    "Nav izpildīts noteikumu {}. punktā noteiktais pienākums: {} no atlīdzības "
                    "pēc limitu piemērošanas.",
                    "Neįvykdyta taisyklių {} punkte nustatyta pareiga: {} nuo išmokos pritaikius limitus.",
                    "The duty of clause {} was not kept: {} of the indemnity after the limits.",
                    reduction.clause,
                    Share(reduction.percent),
                ),
            )

    def take_compensated(self, case: SettlementInput, worked: Mapping[Cell, Worked]) -> None:
        """Each sum is used once: own shares and proportions stay out, what 10.1.2 returns too; the rest is deducted."""
        for loss in case.losses:
            cell = (loss.claimant, loss.head)
            shares = _Shares(case, worked[cell].accepted)
            for paid in sorted(loss.compensations, key=_by_day):
                left = cents(paid.amount)
                for clause, room in shares.of(paid):
                    part = min(left, self.amounts[cell] if room is None else room)
                    left -= part
                    if room is None:
                        self.amounts[cell] -= part
                    else:
                        shares.take(clause, part)
                    if part or (room is None and left):
                        self.used.append(_Use(cell, paid, part, clause))
        if any(use.clause == "9.8" for use in self.used):
            self.keep(
                "9.8",
                COMPENSATED,
                label(
                    "Citu personu atlīdzinātais atskaitīts tikai no tā paša zaudējumu veida atlikuma.",
                    "Kitų asmenų atlygintos sumos atimtos tik iš tos pačios nuostolių rūšies likučio.",
                    "What others paid is taken only off what is left of the same head of loss.",
                ),
            )


@dataclass(frozen=True)
class _Use:
    """What one step used of one sum, in exact cents."""

    cell: Cell
    paid: PaidSum
    amount: Fraction
    clause: str


class _Shares:
    """What of one head others bear themselves: sums paid for that part are no compensation of the insured's part."""

    def __init__(self, case: SettlementInput, accepted: Fraction) -> None:
        liable = Fraction(case.liability_share) / 100
        ours = _proportion(case)
        self._left = {"9.7": accepted * (1 - liable), "9.9": accepted * liable * (1 - ours)}

    def of(self, paid: PaidSum) -> list[tuple[str, Fraction | None]]:
        """The clauses that may use this sum, in order, and how much; None: as much as is left to pay."""
        if paid.agreed:
            return [("10.1.2", cents(paid.amount))]
        first = {Payer.co_liable: "9.7", Payer.liability_insurer: "9.9"}.get(paid.payer)
        return [*([(first, self._left[first])] if first else []), ("9.8", None)]

    def take(self, clause: str, part: Fraction) -> None:
        """Used up: the next sum finds less."""
        if clause in self._left:
            self._left[clause] -= part


def _by_day(paid: PaidSum) -> tuple[date, str, Decimal, bool]:
    return paid.paid_on or date.min, paid.payer.value, paid.amount, paid.agreed


def _proportion(case: SettlementInput) -> Fraction:
    """Our part among all insurers of the same liability (9.9)."""
    own = Fraction(case.policy.limit_per_occurrence)
    total = own + sum(Fraction(other.limit) for other in case.other_insurers)
    return own / total if total else Fraction(1)


# Rounding: the one place where fractions of a cent end


def _rounded(course: _Course, ceilings: Mapping[Cell, int]) -> dict[Cell, int]:
    """Whole cents per cell: each claimant half-up, spread over the heads with the odd cents to the largest.

    Claimants who share a limit are rounded together, so that it is used to the cent: odd cents go to the largest
    claimant first, ties by id. No cell passes its ceiling, and no limit is passed: a cent without room is not paid.
    """
    exact = course.amounts
    whole = {cell: floor(amount) for cell, amount in exact.items()}
    totals = {name: course.total(course.cells_of(name)) for name in _claimants(exact)}

    def largest_first(name: str) -> tuple[bool, Fraction, tuple[int, str]]:
        return all(cell in course.own for cell in course.cells_of(name)), -totals[name], _by_id(name)

    ranked = sorted(totals, key=largest_first)
    targets = {name: half_up(total) for name, total in totals.items()}
    shared = [name for name in ranked if name in course.sharing]
    targets.update({name: floor(totals[name]) for name in shared})
    odd = half_up(sum((totals[name] for name in shared), Fraction(0))) - sum(targets[name] for name in shared)
    for name in [name for name in shared if totals[name] > targets[name]][:odd]:
        targets[name] += 1

    for name in ranked:
        own = course.cells_of(name)
        odd = targets[name] - sum(whole[cell] for cell in own)
        for cell in sorted(own, key=lambda c: (c in course.own, -exact[c], _HEAD_ORDER[c[1]])):
            fits = all(sum(whole[c] for c in cap.cells) < cap.room for cap in course.caps if cell in cap.cells)
            if odd and fits and whole[cell] < ceilings[cell]:
                whole[cell] += 1
                odd -= 1
    return whole


def _claimant(
    case: SettlementInput,
    worked: Mapping[Cell, Worked],
    course: _Course,
    used: Iterable[_Use],
    name: str,
    payable: Mapping[Cell, int],
    entitled: Mapping[Cell, int],
) -> ClaimantSettlement:
    losses = sorted((loss for loss in case.losses if loss.claimant == name), key=lambda loss: _HEAD_ORDER[loss.head])
    cells = [(name, loss.head) for loss in losses]
    due = sum(payable[cell] for cell in cells)
    before = int(sum(cents(loss.claimed) for loss in losses))
    steps = []
    for stage in course.stages:
        after = half_up(sum((stage.after[cell] for cell in cells), Fraction(0)))
        steps.append(_step(stage.clause, stage.label, before, after, stage.note))
        before = after
    steps.append(_step("10.1", PAYABLE, before, due, ROUNDED if before != due else None))
    heads: list[HeadAmount] = []
    sums: list[UsedSum] = []
    uncompensated = 0
    for loss, cell in zip(losses, cells, strict=True):
        uses = [use for use in used if use.cell == cell]
        back = _Back.of(case, loss, worked[cell], uses)
        heads.append(
            HeadAmount(
                head=loss.head,
                clause=worked[cell].clause,
                payable=eur(payable[cell]),
                withheld=eur(entitled[cell] - payable[cell]),
                to_insured=eur(back.to_insured(payable[cell])),
                steps=worked[cell].steps,
            )
        )
        sums += _sums(loss, worked[cell], uses)
        if not loss.own_costs:
            others = sum((cents(paid.amount) for paid in loss.compensations), Fraction(0))
            third = entitled[cell] - back.to_insured(entitled[cell])
            uncompensated += max(half_up(worked[cell].accepted - others) - third, 0)
    return ClaimantSettlement(
        claimant=name,
        payable=eur(due),
        withheld=eur(sum(entitled[cell] for cell in cells) - due),
        uncompensated=eur(uncompensated),
        heads=tuple(heads),
        steps=tuple(steps),
        sums=tuple(sums),
    )


@dataclass(frozen=True)
class _Back:
    """How one head is divided between the third party and the insured, who paid a part of it or whose costs it is."""

    own_costs: bool
    third_party: int
    """What is left of the third party's loss on our part, in cents: it comes first."""
    agreed: int

    @classmethod
    def of(cls, case: SettlementInput, loss: Loss, worked: Worked, uses: Iterable[_Use]) -> _Back:
        """By what was paid for our part: not what others paid for their own (9.7, 9.9)."""
        ours = worked.accepted * Fraction(case.liability_share) / 100 * _proportion(case)
        apart = sum((use.amount for use in uses if use.clause in ("9.7", "9.9")), Fraction(0))
        paid = sum((cents(paid.amount) for paid in loss.compensations), -apart)
        agreed = sum((cents(paid.amount) for paid in loss.compensations if paid.agreed), Fraction(0))
        return cls(loss.own_costs, half_up(max(ours - paid, Fraction(0))), int(agreed))

    def to_insured(self, due: int) -> int:
        """What of `due` cents goes to the insured."""
        return due if self.own_costs else min(max(due - self.third_party, 0), self.agreed)


def _sums(loss: Loss, worked: Worked, uses: Iterable[_Use]) -> Iterable[UsedSum]:
    """What was paid by others towards one head, each sum with the one step that used it."""

    def record(paid: PaidSum, part: Fraction, clause: str) -> UsedSum:
        shown = eur(half_up(part))
        return UsedSum(
            head=loss.head, payer=paid.payer, paid_on=paid.paid_on, amount=paid.amount, used=shown, clause=clause
        )

    if isinstance(loss.facts, LostIncomeFacts):
        left = cents(loss.facts.average) * loss.facts.count
        for paid in loss.received:
            part = min(cents(paid.amount), left)
            left -= part
            yield record(paid, part, worked.clause)
    if worked.pension:
        pension = eur(half_up(worked.pension))
        yield UsedSum(
            head=loss.head, payer=Payer.state, paid_on=None, amount=pension, used=pension, clause=worked.clause
        )
    so_far: dict[PaidSum, Fraction] = {}
    for use in uses:
        # the parts of one sum are shown in cents that add up
        before = so_far.get(use.paid, Fraction(0))
        so_far[use.paid] = before + use.amount
        yield record(use.paid, Fraction(half_up(so_far[use.paid]) - half_up(before)), use.clause)


def _step(clause: str, title: Label, before: int, after: int, note: Label | None) -> Step:
    return Step(clause=clause, label=title, before=eur(before), after=eur(after), note=note)


def _left_to_earlier(case: SettlementInput) -> Decimal:
    """What of the occurrence's deductible open claims filed earlier may still bear: not taken yet, no percentage."""
    deductible = case.policy.deductible
    if deductible.kind is DeductibleKind.percent or deductible.basis is not Basis.per_occurrence:
        return Decimal(0)
    return min(case.reserved_by_earlier.deductible, _left(deductible.value, case.taken.deductible))


def _left(limit: Decimal, used: Decimal) -> Decimal:
    # a limit lowered later (5.8) may be below what it already took
    return max(limit - used, Decimal(0))


def _limit_note(limit: Decimal, taken: Decimal) -> Label:
    return label(
        "Limits: {}, no tā iepriekš izmaksāti {}; tajā ietilpst arī izdevumi.",
        "Limitas: {}, iš jo anksčiau išmokėta {}; į jį įskaičiuojamos ir išlaidos.",
        "The limit is {}, of which {} was paid earlier; costs count within it.",
        limit,
        taken,
    )


def _by_id(name: str) -> tuple[int, str]:
    # C2 before C10
    return len(name), name


def _claimants(cells: Iterable[Cell]) -> list[str]:
    return sorted({name for name, _ in cells}, key=_by_id)


_HEAD_ORDER = {head: place for place, head in enumerate(Head)}
