"""What is paid: the settlement of one filing, step by step, each step with its clause (BTA rules No. 19.1, 5 and 9).

The reckoning is exact (fractions of cents per claimant and head) and is rounded half-up once per claimant, at the end.
Not part of this version: the share of other insurers of the same liability (9.9), withholding unpaid premium (9.5), and
a death counted as one person for several dependants: here a person is a claimant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

from models.settlement import (
    Basis,
    ClaimantSettlement,
    DeductibleKind,
    Head,
    HeadAmount,
    Label,
    Language,
    Loss,
    Settlement,
    SettlementInput,
    Step,
    Sublimit,
)

Cell = tuple[str, Head]
"""One head of one claimant: the smallest part that is reckoned."""
Amounts = Mapping[Cell, Fraction]
"""Exact amounts in cents."""


def settle(case: SettlementInput) -> Settlement:
    """The settlement of one filing, in EUR. Depends on `case` only; the order of its losses does not matter.

    Order of the steps: heads as proven, liability (9.7), deductible (9.5), sublimits (5.3.2), per person (5.5), per
    occurrence (5.4), aggregate (5.6), what earlier claims reserve (9.6, 9.10), reductions (8.2), paid by others (9.8).
    """
    entitled = _Course.of(case, reserve=False)
    course = _Course.of(case, reserve=True)
    entitled_cents = _rounded(entitled, {cell: ceil(amount) for cell, amount in entitled.amounts.items()})
    # the part paid now never passes the entitlement, not even by the odd cent
    payable_cents = _rounded(course, {c: min(ceil(x), entitled_cents[c]) for c, x in course.amounts.items()})
    names = _claimants(course.amounts)
    claimants = tuple(_claimant(case, course, name, payable_cents, entitled_cents) for name in names)
    return Settlement(
        claimants=claimants,
        payable=sum((c.payable for c in claimants), Decimal("0.00")),
        withheld=sum((c.withheld for c in claimants), Decimal("0.00")),
        deductible=_eur(_half_up(course.deducted)),
    )


def explain(settlement: Settlement, claimant: str, language: Language) -> tuple[str, ...]:
    """The lines of the decision letter for `claimant`.

    They give each step that changed the amount, what is payable, its heads, and what is withheld (9.6). Raises
    `ValueError` where the settlement has no such claimant.
    """
    found = next((c for c in settlement.claimants if c.claimant == claimant), None)
    if found is None:
        msg = f"the settlement has no claimant {claimant}"
        raise ValueError(msg)
    first, *middle, last = found.steps
    lines = [_line(step, language) for step in (first, *(s for s in middle if s.before != s.after), last)]
    lines += [
        f"- {_in(HEADS[part.head], language)} ({_clause(part.clause, language)}): {_money(part.payable, language)}"
        for part in found.heads
        if part.payable
    ]
    if found.withheld:
        lines.append(
            _in(
                _label(
                    "Jums ir tiesības saņemt vēl līdz {}, ievērojot noteikumu 9.6. punktu: šo atbildības limita daļu "
                    "pagaidām aizņem agrāk iesniegtas pretenzijas.",
                    "Jūs turite teisę gauti dar iki {}, laikantis taisyklių 9.6 punkto: šią atsakomybės limito dalį "
                    "kol kas rezervuoja anksčiau pateiktos pretenzijos.",
                    "You are entitled to up to {} more, subject to clause 9.6: claims filed earlier have reserved this "
                    "part of the limit of liability for the time being.",
                    found.withheld,
                ),
                language,
            )
        )
    return tuple(lines)


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

    @classmethod
    def of(cls, case: SettlementInput, *, reserve: bool) -> _Course:
        """The whole course; with `reserve`, earlier claims hold back the part of the limits they reserved."""
        course = cls(
            amounts={(loss.claimant, loss.head): _cents(_accepted(loss)) for loss in case.losses},
            own=frozenset((loss.claimant, loss.head) for loss in case.losses if loss.own_costs),
        )
        course.keep(
            "9.1",
            PROVEN,
            _label(
                "Par katru zaudējumu veidu ņemts vērā pierādītais, bet ne vairāk par pieprasīto.",
                "Pagal kiekvieną nuostolių rūšį imama įrodyta suma, bet ne didesnė už reikalaujamą.",
                "For each head of loss what is proven, but no more than claimed.",
            ),
        )
        if case.readings.liability_before_deductible:
            course.take_liability(case)
            course.take_deductible(case)
        else:
            course.take_deductible(case)
            course.take_liability(case)
        course.keep_limits(case)
        if reserve:
            course.keep_reserved(case)
        course.take_reductions(case)
        course.take_compensated(case)
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
        members = frozenset(cells)
        left = _cents(room)
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

    def take_liability(self, case: SettlementInput) -> None:
        self.scale(self.amounts, Fraction(case.liability_share) / 100)
        before = case.readings.liability_before_deductible
        self.keep(
            "9.7",
            LIABILITY,
            _label(
                "Apdrošinātā atbildības pakāpe: {}; piemērota " + ("pirms" if before else "pēc") + " pašriska.",
                "Apdraustojo atsakomybės laipsnis: {}; taikytas "
                + ("prieš išskaitą" if before else "po išskaitos")
                + ".",
                "The insured's degree of liability: {}, applied "
                + ("before" if before else "after")
                + " the deductible.",
                _Share(case.liability_share),
            ),
        )

    def take_deductible(self, case: SettlementInput) -> None:
        deductible = case.policy.deductible
        total = self.total(self.amounts)
        if deductible.kind is DeductibleKind.percent:
            # a share of each claim is the same share of the occurrence, whichever the basis
            self.scale(self.amounts, 1 - Fraction(deductible.value) / 100)
            note = _label(
                "Pašrisks ir {} no summas šajā solī.",
                "Išskaita sudaro {} sumos šiame žingsnyje.",
                "The deductible is {} of the amount at this step.",
                _Share(deductible.value),
            )
        elif deductible.basis is Basis.per_occurrence:
            self.deduct(self.amounts, _left(deductible.value, case.taken.deductible))
            note = _label(
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
            for name in _claimants(self.amounts):
                self.deduct(self.cells_of(name), _left(deductible.value, earlier.get(name, Decimal(0))))
            note = _label(
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
            self.scale(members, 1 - min(_cents(value) / total, Fraction(1)))

    def keep_limits(self, case: SettlementInput) -> None:
        policy, taken = case.policy, case.taken
        for sublimit in policy.sublimits:
            self.keep_sublimit(case, sublimit)
        if policy.limit_per_person is not None:
            earlier = {person.claimant: person.paid for person in taken.persons}
            for name in _claimants(self.amounts):
                self.fit(self.cells_of(name), _left(policy.limit_per_person, earlier.get(name, Decimal(0))))
            self.keep(
                "5.5",
                PER_PERSON,
                _label(
                    "Limits vienas personas pretenzijai: {}, atskaitot šai personai iepriekš izmaksāto.",
                    "Vieno asmens pretenzijos limitas: {}, atėmus šiam asmeniui anksčiau išmokėtą sumą.",
                    "The limit per person is {}, less what this person was paid earlier.",
                    policy.limit_per_person,
                ),
            )
        self.fit(self.amounts, _left(policy.limit_per_occurrence, taken.occurrence))
        self.keep("5.4", PER_OCCURRENCE, _used(policy.limit_per_occurrence, taken.occurrence))
        self.fit(self.amounts, _left(policy.limit_aggregate, taken.aggregate))
        self.keep("5.6", AGGREGATE, _used(policy.limit_aggregate, taken.aggregate))

    def keep_sublimit(self, case: SettlementInput, sublimit: Sublimit) -> None:
        cells = [cell for cell in self.amounts if cell[1] in sublimit.heads]
        earlier = {part.claimant: part.paid for part in case.taken.sublimits if part.name == sublimit.name}
        groups: dict[str | None, list[Cell]] = {None: cells}
        if sublimit.basis is Basis.per_person:
            groups = {name: [cell for cell in cells if cell[0] == name] for name in _claimants(cells)}
        for name, group in groups.items():
            self.fit(group, _left(sublimit.limit, earlier.get(name, Decimal(0))))
        self.keep(
            "5.3.2",
            SUBLIMIT,
            _label(
                "Apakšlimits „{}”: {}, atskaitot iepriekš izmaksāto.",
                "Sublimitas „{}“: {}, atėmus anksčiau išmokėtą sumą.",
                "The sublimit “{}” is {}, less what was paid under it earlier.",
                sublimit.name,
                sublimit.limit,
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
                    _label(
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
                _label(
                    "Nav izpildīts noteikumu {}. punktā noteiktais pienākums: {} no atlīdzības "
                    "pēc limitu piemērošanas.",
                    "Neįvykdyta taisyklių {} punkte nustatyta pareiga: {} nuo išmokos pritaikius limitus.",
                    "The duty of clause {} was not kept: {} of the indemnity after the limits.",
                    reduction.clause,
                    _Share(reduction.percent),
                ),
            )

    def take_compensated(self, case: SettlementInput) -> None:
        if not any(loss.compensated for loss in case.losses):
            return
        for loss in case.losses:
            cell = (loss.claimant, loss.head)
            self.amounts[cell] = max(self.amounts[cell] - _cents(loss.compensated), Fraction(0))
        self.keep(
            "9.8",
            COMPENSATED,
            _label(
                "Citu personu atlīdzinātais atskaitīts tikai no tā paša zaudējumu veida atlikuma.",
                "Kitų asmenų atlygintos sumos atimtos tik iš tos pačios nuostolių rūšies likučio.",
                "What others paid is taken only off what is left of the same head of loss.",
            ),
        )


# Rounding: the one place where fractions of a cent end


def _rounded(course: _Course, ceilings: Mapping[Cell, int]) -> dict[Cell, int]:
    """Whole cents per cell: each claimant half-up, spread over the heads with the odd cents to the largest.

    Claimants who share a limit are rounded together, so that it is used to the cent: odd cents go to the largest
    claimant first, ties by id. No cell passes its ceiling, and no limit is passed: a cent without room is not paid.
    """
    exact = course.amounts
    cents = {cell: floor(amount) for cell, amount in exact.items()}
    totals = {name: course.total(course.cells_of(name)) for name in _claimants(exact)}

    def largest_first(name: str) -> tuple[bool, Fraction, tuple[int, str]]:
        return all(cell in course.own for cell in course.cells_of(name)), -totals[name], _by_id(name)

    ranked = sorted(totals, key=largest_first)
    targets = {name: _half_up(total) for name, total in totals.items()}
    shared = [name for name in ranked if name in course.sharing]
    targets.update({name: floor(totals[name]) for name in shared})
    odd = _half_up(sum((totals[name] for name in shared), Fraction(0))) - sum(targets[name] for name in shared)
    for name in [name for name in shared if totals[name] > targets[name]][:odd]:
        targets[name] += 1

    for name in ranked:
        own = course.cells_of(name)
        odd = targets[name] - sum(cents[cell] for cell in own)
        for cell in sorted(own, key=lambda c: (c in course.own, -exact[c], _HEAD_ORDER[c[1]])):
            fits = all(sum(cents[c] for c in cap.cells) < cap.room for cap in course.caps if cell in cap.cells)
            if odd and fits and cents[cell] < ceilings[cell]:
                cents[cell] += 1
                odd -= 1
    return cents


def _claimant(
    case: SettlementInput, course: _Course, name: str, payable: Mapping[Cell, int], entitled: Mapping[Cell, int]
) -> ClaimantSettlement:
    losses = sorted((loss for loss in case.losses if loss.claimant == name), key=lambda loss: _HEAD_ORDER[loss.head])
    cells = [(name, loss.head) for loss in losses]
    due = sum(payable[cell] for cell in cells)
    before = int(sum(_cents(loss.claimed) for loss in losses))
    steps = []
    for stage in course.stages:
        after = _half_up(sum((stage.after[cell] for cell in cells), Fraction(0)))
        steps.append(_step(stage.clause, stage.label, before, after, stage.note))
        before = after
    steps.append(_step("10.1", PAYABLE, before, due, ROUNDED if before != due else None))
    return ClaimantSettlement(
        claimant=name,
        payable=_eur(due),
        withheld=_eur(sum(entitled[cell] for cell in cells) - due),
        uncompensated=_eur(
            sum(
                max(int(_cents(_accepted(loss) - loss.compensated)) - entitled[cell], 0)
                for loss, cell in zip(losses, cells, strict=True)
            )
        ),
        heads=tuple(
            HeadAmount(
                head=cell[1],
                clause=HEAD_CLAUSES[cell[1]],
                payable=_eur(payable[cell]),
                withheld=_eur(entitled[cell] - payable[cell]),
            )
            for cell in cells
        ),
        steps=tuple(steps),
    )


def _step(clause: str, label: Label, before: int, after: int, note: Label | None) -> Step:
    return Step(clause=clause, label=label, before=_eur(before), after=_eur(after), note=note)


def _accepted(loss: Loss) -> Decimal:
    return min(loss.claimed, loss.proven)


def _left(limit: Decimal, used: Decimal) -> Decimal:
    # a limit lowered later (5.8) may be below what it already took
    return max(limit - used, Decimal(0))


def _cents(amount: Decimal) -> Fraction:
    return Fraction(amount) * 100


def _eur(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)


def _half_up(cents: Fraction) -> int:
    return floor(cents + Fraction(1, 2))


def _by_id(name: str) -> tuple[int, str]:
    # C2 before C10
    return len(name), name


def _claimants(cells: Iterable[Cell]) -> list[str]:
    return sorted({name for name, _ in cells}, key=_by_id)


# Words


@dataclass(frozen=True)
class _Share:
    """A percentage in a text."""

    percent: Decimal


def _money(amount: Decimal, language: Language) -> str:
    grouped = f"{amount:,.2f}"
    if language == "en":
        return f"EUR\N{NO-BREAK SPACE}{grouped}"
    return grouped.replace(",", "\N{NO-BREAK SPACE}").replace(".", ",") + "\N{NO-BREAK SPACE}EUR"


def _say(value: Decimal | _Share | str, language: Language) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return _money(value, language)
    number = f"{value.percent:f}"
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return f"{number}%" if language == "en" else number.replace(".", ",") + "\N{NO-BREAK SPACE}%"


def _label(lv: str, lt: str, en: str, *values: Decimal | _Share | str) -> Label:
    """The text in each language, its `{}` filled with the values as that language writes them."""

    def fill(text: str, language: Language) -> str:
        return text.format(*(_say(value, language) for value in values))

    return Label(lv=fill(lv, "lv"), lt=fill(lt, "lt"), en=fill(en, "en"))


def _in(label: Label, language: Language) -> str:
    return {"lv": label.lv, "lt": label.lt, "en": label.en}[language]


def _clause(clause: str, language: Language) -> str:
    return _in(_label("noteikumu {}. punkts", "taisyklių {} punktas", "clause {}", clause), language)


def _line(step: Step, language: Language) -> str:
    amounts = _money(step.after, language)
    if step.before != step.after:
        amounts = _in(_label("no {} uz {}", "nuo {} iki {}", "from {} to {}", step.before, step.after), language)
    line = f"{_in(step.label, language)} ({_clause(step.clause, language)}): {amounts}."
    return f"{line} {_in(step.note, language)}" if step.note else line


def _used(limit: Decimal, taken: Decimal) -> Label:
    return _label(
        "Limits: {}, no tā iepriekš izmaksāti {}; tajā ietilpst arī izdevumi.",
        "Limitas: {}, iš jo anksčiau išmokėta {}; į jį įskaičiuojamos ir išlaidos.",
        "The limit is {}, of which {} was paid earlier; costs count within it.",
        limit,
        taken,
    )


PROVEN = _label("Pierādītie zaudējumi", "Įrodyti nuostoliai", "Loss as proven")
LIABILITY = _label("Atbildības pakāpe", "Atsakomybės laipsnis", "Degree of liability")
DEDUCTIBLE = _label("Pašrisks", "Išskaita", "Deductible")
SUBLIMIT = _label("Apakšlimits", "Sublimitas", "Sublimit")
PER_PERSON = _label("Limits vienas personas pretenzijai", "Vieno asmens pretenzijos limitas", "Limit per person")
PER_OCCURRENCE = _label(
    "Limits vienam apdrošināšanas gadījumam", "Vieno draudžiamojo įvykio limitas", "Limit per occurrence"
)
AGGREGATE = _label(
    "Apdrošināšanas perioda kopējais limits", "Bendras draudimo laikotarpio limitas", "Aggregate limit for the period"
)
RESERVED = _label("Rezervēts agrākām pretenzijām", "Rezervuota ankstesnėms pretenzijoms", "Reserved for earlier claims")
REDUCTION = _label(
    "Samazinājums par neizpildītu pienākumu", "Sumažinimas dėl neįvykdytos pareigos", "Reduction for a breached duty"
)
COMPENSATED = _label("Citu personu atlīdzinātais", "Kitų asmenų atlyginta", "Paid by others")
PAYABLE = _label("Izmaksājamā atlīdzība", "Mokėtina išmoka", "Payable")
ROUNDED = _label(
    "Dalot limitu, atlikušais cents piešķirts lielākajai summai.",
    "Dalijant limitą, likęs centas priskirtas didžiausiai sumai.",
    "In sharing a limit, the odd cent goes to the largest amount.",
)

HEADS = {
    Head.treatment: _label("Ārstniecība", "Gydymas", "Treatment"),
    Head.temporary_incapacity: _label("Pārejoša darbnespēja", "Laikinasis nedarbingumas", "Temporary incapacity"),
    Head.lost_capacity: _label("Darbspējas zaudējums", "Darbingumo netekimas", "Lost capacity to work"),
    Head.death: _label("Apgādnieka zaudējums", "Maitintojo netekimas", "Loss of support after a death"),
    Head.funeral: _label("Apbedīšanas izdevumi", "Laidojimo išlaidos", "Funeral costs"),
    Head.property_destroyed: _label("Mantas pilnīga bojāeja", "Visiškas turto sunaikinimas", "Property destroyed"),
    Head.property_damaged: _label("Mantas bojājums", "Turto sugadinimas", "Property damaged"),
    Head.litigation_costs: _label("Tiesāšanās izdevumi", "Bylinėjimosi išlaidos", "Litigation costs"),
    Head.rescue_costs: _label("Glābšanas izdevumi", "Gelbėjimo išlaidos", "Rescue costs"),
    Head.expert_costs: _label("Ekspertīzes izdevumi", "Ekspertizės išlaidos", "Expert costs"),
}
HEAD_CLAUSES = {
    Head.treatment: "9.2.1",
    Head.temporary_incapacity: "9.2.2",
    Head.lost_capacity: "9.2.3",
    Head.death: "9.2.4",
    Head.funeral: "9.2.5",
    Head.property_destroyed: "9.3.1",
    Head.property_damaged: "9.3.2",
    Head.litigation_costs: "9.1",
    Head.rescue_costs: "9.1",
    Head.expert_costs: "9.4",
}
_HEAD_ORDER = {head: place for place, head in enumerate(Head)}
