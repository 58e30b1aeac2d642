"""The words of a settlement: labels in three languages, with amounts, shares and days as each language writes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from models.settlement import Head, Label, Language, Payer, Step


@dataclass(frozen=True)
class Share:
    """A percentage in a text."""

    percent: Decimal


@dataclass(frozen=True)
class Number:
    """A number that is neither money nor a percentage."""

    value: Decimal


Value = Decimal | Share | Number | date | str | Label
"""What a text can be filled with; a bare `Decimal` is EUR."""


def money(amount: Decimal, language: Language) -> str:
    """EUR with two decimals: `1 234,50 EUR`, in English `EUR 1,234.50`."""
    grouped = f"{amount:,.2f}"
    if language == "en":
        return f"EUR\N{NO-BREAK SPACE}{grouped}"
    return grouped.replace(",", "\N{NO-BREAK SPACE}").replace(".", ",") + "\N{NO-BREAK SPACE}EUR"


_MONTHS: dict[Language, str] = {
    "lv": "janvāris februāris marts aprīlis maijs jūnijs jūlijs augusts septembris oktobris novembris decembris",
    "lt": "sausio vasario kovo balandžio gegužės birželio liepos rugpjūčio rugsėjo spalio lapkričio gruodžio",
    "en": "January February March April May June July August September October November December",
}


def day(value: date, language: Language) -> str:
    """A date in words: `2026. gada 21. decembris`, `2026 m. gruodžio 21 d.`, `21 December 2026`."""
    month = _MONTHS[language].split()[value.month - 1]
    return {
        "lv": f"{value.year}. gada {value.day}. {month}",
        "lt": f"{value.year} m. {month} {value.day} d.",
        "en": f"{value.day} {month} {value.year}",
    }[language]


def moment(at: datetime, language: Language) -> str:
    """An instant in the zone it comes in: `2026. gada 21. decembris, plkst. 14:00`."""
    time = {"lv": "plkst. {}", "lt": "{} val.", "en": "{}"}[language].format(f"{at:%H:%M}")
    return f"{day(at.date(), language)}, {time}"


def _say(value: Value, language: Language) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Label):
        return in_(value, language)
    if isinstance(value, Decimal):
        return money(value, language)
    if isinstance(value, date):
        return f"{value:%d.%m.%Y}." if language == "lv" else value.isoformat()
    number = f"{value.percent if isinstance(value, Share) else value.value:f}"
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    number = number if language == "en" else number.replace(".", ",")
    if isinstance(value, Number):
        return number
    return f"{number}%" if language == "en" else f"{number}\N{NO-BREAK SPACE}%"


def label(lv: str, lt: str, en: str, *values: Value) -> Label:
    """The text in each language, its `{}` filled with the values as that language writes them."""

    def fill(text: str, language: Language) -> str:
        return text.format(*(_say(value, language) for value in values))

    return Label(lv=fill(lv, "lv"), lt=fill(lt, "lt"), en=fill(en, "en"))


def joined(*labels: Label | None) -> Label:
    """The texts one after the other."""
    there = [one for one in labels if one is not None]
    return Label(
        lv=" ".join(one.lv for one in there),
        lt=" ".join(one.lt for one in there),
        en=" ".join(one.en for one in there),
    )


def in_(text: Label, language: Language) -> str:
    """The text in one language."""
    return {"lv": text.lv, "lt": text.lt, "en": text.en}[language]


def clause_in(clause: str, language: Language) -> str:
    """`clause 9.5` in one language."""
    return in_(label("noteikumu {}. punkts", "taisyklių {} punktas", "clause {}", clause), language)


def line(step: Step, language: Language) -> str:
    """A step as a line of a letter."""
    amounts = money(step.after, language)
    if step.before != step.after:
        amounts = in_(label("no {} uz {}", "nuo {} iki {}", "from {} to {}", step.before, step.after), language)
    text = f"{in_(step.label, language)} ({clause_in(step.clause, language)}): {amounts}."
    return f"{text} {in_(step.note, language)}" if step.note else text


PROVEN = label("Pierādītie zaudējumi", "Įrodyti nuostoliai", "Loss as proven")
CLAIMED = label("Ne vairāk par pieprasīto", "Ne daugiau nei reikalaujama", "No more than claimed")
RECOMMENDED = label("Ieteiktā izlīguma summa", "Rekomenduota susitarimo suma", "Recommended settlement")
LIABILITY = label("Atbildības pakāpe", "Atsakomybės laipsnis", "Degree of liability")
OTHER_INSURERS = label("Citi apdrošinātāji", "Kiti draudikai", "Other insurers")
DEDUCTIBLE = label("Pašrisks", "Išskaita", "Deductible")
PREMIUM = label("Nesamaksātā apdrošināšanas prēmija", "Nesumokėta draudimo įmoka", "Unpaid premium")
SUBLIMIT = label("Apakšlimits", "Sublimitas", "Sublimit")
PER_PERSON = label("Limits vienas personas pretenzijai", "Vieno asmens pretenzijos limitas", "Limit per person")
PER_OCCURRENCE = label(
    "Limits vienam apdrošināšanas gadījumam", "Vieno draudžiamojo įvykio limitas", "Limit per occurrence"
)
AGGREGATE = label(
    "Apdrošināšanas perioda kopējais limits", "Bendras draudimo laikotarpio limitas", "Aggregate limit for the period"
)
RESERVED = label("Rezervēts agrākām pretenzijām", "Rezervuota ankstesnėms pretenzijoms", "Reserved for earlier claims")
LEFT_TO_EARLIER = label(
    "Pašrisks agrākām pretenzijām", "Išskaita ankstesnėms pretenzijoms", "Deductible of earlier claims"
)
REDUCTION = label(
    "Samazinājums par neizpildītu pienākumu", "Sumažinimas dėl neįvykdytos pareigos", "Reduction for a breached duty"
)
COMPENSATED = label("Citu personu atlīdzinātais", "Kitų asmenų atlyginta", "Paid by others")
PAYABLE = label("Izmaksājamā atlīdzība", "Mokėtina išmoka", "Payable")
ROUNDED = label(
    "Dalot limitu, atlikušais cents piešķirts lielākajai summai.",
    "Dalijant limitą, likęs centas priskirtas didžiausiai sumai.",
    "In sharing a limit, the odd cent goes to the largest amount.",
)
ONE_PERSON = label(
    "Visi, kas pieprasa atlīdzību par vienas personas nāvi, ir viena persona.",
    "Visi, reikalaujantys dėl vieno asmens mirties, laikomi vienu asmeniu.",
    "All who claim for one death are one person.",
)
EACH_A_PERSON = label(
    "Katrs, kas pieprasa atlīdzību par vienas personas nāvi, ir sava persona.",
    "Kiekvienas reikalaujantis dėl vieno asmens mirties laikomas atskiru asmeniu.",
    "Each who claims for a death is a person of their own.",
)

HEADS = {
    Head.treatment: label("Ārstniecība", "Gydymas", "Treatment"),
    Head.temporary_incapacity: label("Pārejoša darbnespēja", "Laikinasis nedarbingumas", "Temporary incapacity"),
    Head.lost_capacity: label("Darbspējas zaudējums", "Darbingumo netekimas", "Lost capacity to work"),
    Head.death: label("Apgādnieka zaudējums", "Maitintojo netekimas", "Loss of support after a death"),
    Head.funeral: label("Apbedīšanas izdevumi", "Laidojimo išlaidos", "Funeral costs"),
    Head.property_destroyed: label("Mantas pilnīga bojāeja", "Visiškas turto sunaikinimas", "Property destroyed"),
    Head.property_damaged: label("Mantas bojājums", "Turto sugadinimas", "Property damaged"),
    Head.litigation_costs: label("Tiesāšanās izdevumi", "Bylinėjimosi išlaidos", "Litigation costs"),
    Head.rescue_costs: label("Glābšanas izdevumi", "Gelbėjimo išlaidos", "Rescue costs"),
    Head.expert_costs: label("Ekspertīzes izdevumi", "Ekspertizės išlaidos", "Expert costs"),
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
PAYERS = {
    Payer.state: label("valsts", "valstybė", "the state"),
    Payer.municipality: label("pašvaldība", "savivaldybė", "the municipality"),
    Payer.employer: label("darba devējs", "darbdavys", "the employer"),
    Payer.co_liable: label("līdzatbildīgā persona", "kartu atsakingas asmuo", "a person also liable"),
    Payer.liability_insurer: label(
        "cits atbildības apdrošinātājs", "kitas atsakomybės draudikas", "another liability insurer"
    ),
    Payer.own_insurer: label("cietušā apdrošinātājs", "nukentėjusiojo draudikas", "the claimant's own insurer"),
    Payer.insured: label(
        "apdrošinājuma ņēmējs vai apdrošinātais", "draudėjas arba apdraustasis", "the policyholder or the insured"
    ),
    Payer.other: label("cita persona", "kitas asmuo", "another person"),
}
