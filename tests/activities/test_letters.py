"""Letters: every letter exists in three languages, says all it must, and is never sent with a hole in it."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from activities.letters import (
    LANGUAGES,
    TEMPLATES,
    LetterFault,
    attached,
    day,
    facts_of,
    moment,
    money,
    render,
    title_of,
)
from integrations.mail import Letter
from models.citing import cited

DECISION: dict[str, object] = {
    "reference": "2026-000123",
    "outcome": "pay_reduced",
    "claimant": "Žanete Ķirse",
    "amount": Decimal("1234.50"),
    "lines": ["Step one 1 500,00", "Step two 1 234,50"],
    "reasons": ["A duty of clause 8.1.3 was breached"],
    "pay_by": date(2026, 12, 21),
    "by_agreement": None,
}
CLIENT: dict[str, object] = {"client": "SIA Paraugs", "authenticator": "Smart-ID"}
ACCOUNT: dict[str, object] = {"user": "Andris Bērziņš", "username": "2026-A1-U1", "to_whom": "responsible"}
DUTY: dict[str, object] = {
    "case": "claim:BTA:2026-000123",
    "duty": "BTA-10.5a",
    "title": "Decide on the claim",
    "due": date(2026, 12, 21),
}
DEBT: dict[str, object] = {
    "reference": "2026-R17",
    "claim": "2026-000123",
    "amount": Decimal("730.00"),
    "payee": "BTA Insurance Company",
    "account": "LV80BANK0000435195001",
}
BREACH: dict[str, object] = {
    "nature": "A stolen computer",
    "consequences": "Strangers may read the data",
    "measures": "Accesses were closed; change your passwords",
    "contact": "officer@example.org",
    "authority": "Datu valsts inspekcija",
}
PRIVACY: dict[str, object] = {"reference": "2026-000007", "controller": "Segosta"}

FACTS: dict[str, dict[str, object]] = {
    "claim-received": {
        "reference": "2026-000123",
        "received_on": date(2026, 12, 21),
        "missing": ["Copy of the policy"],
    },
    "claim-document": {
        "reference": "2026-000123",
        "asked": {"title": "Roof inspection protocol", "reason": "The photos do not show the frame."},
    },
    "claim-handling": {"reference": "2026-000123"},
    "claim-instalments-ended": {
        "reference": "2026-000123",
        "claimant": "Anna Bērziņa",
        "clause": "9.2.4",
        "ended_on": date(2026, 12, 21),
        "reason": "The studies have ended",
    },
    "BTA-10.5b-third-party": DECISION,
    "BTA-10.5b-insured": DECISION,
    "BTA-10.5b-automatic": {
        name: fact for name, fact in DECISION.items() if name not in ("outcome", "reasons", "by_agreement")
    },
    "GJ-claims-review": {
        "reference": "2026-000123",
        "received_on": date(2026, 12, 21),
        "outcome": "upheld",
        "reason": "The invoice shows this sum",
    },
    "BTA-6.5-refusal": {
        "policy": "BTA-CTA-26-0417",
        "due_on": date(2026, 12, 1),
        "paid_on": date(2026, 12, 21),
        "amount": Decimal("730.00"),
        "reason": "The risk has changed",
    },
    "internal-person-system": {
        "case": "privacy_request:SE:2026-000007",
        "title": "Paper archive",
        "system": "archive",
        "act": "erase",
        "wanted": "destroy",
        "records": ["archive:1"],
        "last_day": date(2026, 12, 21),
    },
    "internal-task": {
        "case": "task:SE:SE-3.2_reception_1",
        "duty": "SE-3.2",
        "clause": "3.2",
        "about": "reception",
        "title": "Yearly analysis of the department's data",
    },
    "internal-sign-in-review": {
        "case": "sign_in_review:BL:2026-10",
        "month": "2026-10",
        "users": 12,
        **dict.fromkeys(("allowed", "refused", "failed", "locks", "new_addresses", "odd_hours", "opened", "health"), 3),
    },
    "GJ-renewal": {
        "policy": "BTA-CTA-26-0417",
        "insurer": "BTA Insurance Company",
        "ends_on": date(2026, 12, 21),
        "next_from": date(2026, 12, 22),
        "next_to": date(2027, 12, 21),
        "premium": Decimal("730.00"),
    },
    "BTA-11.3-demand": DEBT
    | {
        "reason": "compensated_by_others",
        "text": "The carrier has compensated the same loss",
        "payments": [{"paid_on": date(2026, 12, 1), "amount": Decimal("1234.50")}],
        "repay_by": date(2026, 12, 21),
    },
    "GJ-debts": DEBT | {"collector": "SIA Parādu Birojs", "data": ["name", "address"]},
    "BL-4-secret": {
        "user_name": "Andris Bērziņš",
        "username": "andris.berzins",
        "secret": "once-only-7Q",
        "address": "https://zona.example",
    },
    "BL-4-confirmation": {"user_name": "Andris Bērziņš", "authenticator": "Smart-ID"},
    "BL-4-incomplete": {
        "reference": "2026-000045",
        "lines": [{"name": "Andris Bērziņš", "faults": ["no phone number", "no e-mail address"]}],
    },
    "BL-4-not-authorised": {"reference": "2026-000045", "requester": "Ilze Ozola", "to_whom": "requester"},
    "BL-11-contract-ended": {"reference": "2026-000045", "requester": "Ilze Ozola", "to_whom": "requester"},
    "BL-4-bounced": {"reference": "2026-000045", "user": "Andris Bērziņš"},
    "BL-4-cancelled": {"reference": "2026-000045", "names": ["Andris Bērziņš", "Ilze Ozola"]},
    "client-role": {
        "reference": "BL-0042.L-17",
        "client": "SIA Paraugs",
        "was": None,
        "now": "responsible employee",
        "predecessor": "Ilze Ozola",
        "successor": None,
    },
    "client-people": {
        "reference": "BL-0042.L-17",
        "client": "SIA Paraugs",
        "people": [
            {"name": "Andris Bērziņš", "was": None, "now": "deputy"},
            {"name": "Ilze Ozola", "was": "deputy", "now": None},
        ],
    },
    "client-not-authorised": {
        "reference": "BL-0042.L-17",
        "client": "SIA Paraugs",
        "requester": "Ilze Ozola",
        "to_whom": "requester",
    },
    "credential-suspended": ACCOUNT | {"clause": "10"},
    "credential-reinstated": ACCOUNT,
    "credential-secret": {
        "user_name": "Andris Bērziņš",
        "username": "2026-A1-U1",
        "secret": "once-only-7Q",
        "address": "https://zona.example",
    },
    "credential-ended": ACCOUNT | {"cause": "breach"},
    "credential-password-due": {"user": "Andris Bērziņš", "username": "2026-A1-U1"},
    "BL-3-notice": CLIENT
    | {"scope": "limit", "effect_not_before": date(2026, 12, 21), "limitation": "Only reading remains possible."},
    "BL-3-moved": CLIENT
    | {"scope": "limit", "effect_not_before": date(2026, 12, 21), "limitation": "Only reading remains possible."},
    "BL-3-withdrawn": CLIENT,
    "BL-3-effect": CLIENT | {"effective_on": date(2026, 12, 21)},
    "breach-told": PRIVACY | BREACH,
    "privacy-identify": PRIVACY | {"ways": ["In person with an identity document"]},
    "privacy-extension": PRIVACY | {"new_due": date(2026, 12, 21), "reason": "Very many data systems hold something."},
    "privacy-answer": PRIVACY
    | {
        "rights": [
            {"title": "Access", "outcome": "fulfilled", "ground": None, "clause": None},
            {"title": "Erasure", "outcome": "in_part", "ground": "A legal duty to keep them", "clause": "17.4.2"},
            {"title": "Portability", "outcome": "refused", "ground": "Not automated", "clause": "19.1"},
        ],
        "systems": [{"name": "Patient records", "found": "two visits"}, {"name": "Newsletter", "found": "nothing"}],
        "authority": "Valstybinė duomenų apsaugos inspekcija",
        "court": True,
    },
    "privacy-part": PRIVACY
    | {
        "rights": [
            {"title": "Marketing", "outcome": "fulfilled", "ground": None, "clause": None, "more": []},
            {"title": "Objection", "outcome": "refused", "ground": "A claim", "clause": "20.2", "more": ["One line"]},
        ],
        "attach": "archive",
        "outstanding": ["Paper archive"],
        "authority": "Valstybinė duomenų apsaugos inspekcija",
    },
    "privacy-lifting": PRIVACY | {"reason": "The dispute has ended."},
    "privacy-joined": PRIVACY | {"earlier": "2026-3001"},
    "internal-reminder": DUTY,
    "internal-escalation": DUTY,
    "internal-screening": {
        "case": "claim:BTA:2026-000123",
        "payment": "C1:indemnity",
        "list": "2026-11-20 b103679d7e15",
    },
    "internal-screening-party": {
        "case": "claim:BTA:2026-000123",
        "who": "C1",
        "list": "2026-11-20 b103679d7e15",
    },
    "internal-authority": {"case": "claim:BTA:2026-000123", "amount": Decimal("18400.00"), "nobody": False},
    "internal-account": {
        "case": "claim:BTA:2026-000123",
        "payment": "C1:indemnity",
        "amount": Decimal("18400.00"),
        "by": "op-1",
    },
    "internal-second-person": {"case": "claim:BTA:2026-000123", "step": 12, "entry": "payment confirmed", "by": "op-1"},
    "internal-notice": {"case": "claim:BTA:2026-000123", "text": "The bank rejected the payment."},
}
EVERY = [(template, language) for template in FACTS for language in LANGUAGES]
DAYS = {"lv": "2026. gada 21. decembris", "lt": "2026 m. gruodžio 21 d.", "en": "21 December 2026"}


def written(template: str, language: str, facts: Mapping[str, object] | None = None) -> Letter:
    return render(
        template,
        language,
        FACTS[template] if facts is None else facts,
        id="notice-1",
        to="reader@example.org",
        sender="Termins <termins@example.org>",
    )


def words(value: object) -> list[str]:
    """The texts in a fact, which a letter has to repeat or an error has to keep to itself."""
    match value:
        case str():
            return [value]
        case list():
            return [word for item in value for word in words(item)]
        case dict():
            return [word for item in value.values() for word in words(item)]
        case _:
            return []


def test_no_letter_lacks_a_language_and_none_is_left_over() -> None:
    expected = {f"{template}.{language}.txt" for template, language in EVERY}
    assert {path.name for path in TEMPLATES.iterdir()} == expected


@pytest.mark.parametrize(("template", "language"), EVERY)
def test_every_letter_says_all_its_facts(template: str, language: str) -> None:
    letter = written(template, language)
    assert letter.language == language
    assert facts_of(template, language) == FACTS[template].keys()
    codes = {"upheld", "pay_reduced", "requester", "limit", "fulfilled", "in_part", "refused", "compensated_by_others"}
    codes |= {"responsible", "breach", "erase"}
    said = letter.subject + letter.text
    assert [word for word in words(FACTS[template]) if word not in codes and word not in said] == []
    if any(isinstance(fact, date) for fact in FACTS[template].values()):
        assert DAYS[language] in letter.text
    assert not any(hole in said for hole in ("{", "None", "\n\n\n"))


@pytest.mark.parametrize(("template", "language"), EVERY)
def test_a_missing_fact_is_named_and_no_value_is_shown(template: str, language: str) -> None:
    for fact in FACTS[template]:
        rest = {name: value for name, value in FACTS[template].items() if name != fact}
        with pytest.raises(LetterFault, match=rf"\b{fact}\b") as fault:
            written(template, language, rest)
        assert not any(word in str(fault.value) for word in words(rest) if " " in word)


@pytest.mark.parametrize("template", FACTS)
def test_the_languages_really_differ(template: str) -> None:
    letters = {language: written(template, language) for language in LANGUAGES}
    assert len({letter.subject for letter in letters.values()}) == 3
    assert len({letter.text for letter in letters.values()}) == 3
    sources = {language: (TEMPLATES / f"{template}.{language}.txt").read_text().lower() for language in LANGUAGES}
    latvian, lithuanian = set("āēīģķļņ"), set("ąęėįų")
    assert latvian & set(sources["lv"])
    assert not lithuanian & set(sources["lv"])
    assert lithuanian & set(sources["lt"])
    assert not latvian & set(sources["lt"])
    assert sources["en"].replace("–", "-").isascii()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("template", [template for template in FACTS if not template.startswith("internal-")])
def test_every_letter_to_the_outside_cites_its_clause(template: str, language: str) -> None:
    cited = {"lv": "punkt", "lt": ("punkt", "dal"), "en": ("clause", "Article")}[language]
    text = written(template, language).text
    assert any(word in text for word in ((cited,) if isinstance(cited, str) else cited))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("template", ["BTA-10.5b-third-party", "BTA-10.5b-insured"])
def test_each_outcome_has_words_of_its_own_and_a_rejection_names_no_sum(template: str, language: str) -> None:
    texts = {
        outcome: written(template, language, DECISION | {"outcome": outcome}).text
        for outcome in ("pay", "pay_reduced", "reject")
    }
    assert len(set(texts.values())) == 3
    assert money(Decimal("1234.50"), language) in texts["pay"]
    rejected = DECISION | {"outcome": "reject", "amount": None, "pay_by": None, "lines": []}
    assert "EUR" not in written(template, language, rejected).text
    assert DAYS[language] not in written(template, language, rejected).text
    with pytest.raises(LetterFault, match="outcome"):
        written(template, language, DECISION | {"outcome": "perhaps"})


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("template", "fact", "values"),
    [
        ("BL-3-notice", "scope", ("end", "limit")),
        ("BL-4-not-authorised", "to_whom", ("requester", "responsible_employee")),
        ("BL-11-contract-ended", "to_whom", ("requester", "responsible_employee")),
        ("client-not-authorised", "to_whom", ("requester", "responsible")),
        ("BTA-11.3-demand", "reason", ("unjustified", "compensated_by_others")),
        ("BTA-11.3-demand", "text", (None, "The carrier has compensated the same loss")),
        ("BTA-11.3-demand", "repay_by", (None, date(2026, 12, 21))),
        ("GJ-claims-review", "outcome", ("upheld", "anew")),
        ("claim-received", "missing", ([], ["Copy of the policy"])),
        ("privacy-answer", "court", (False, True)),
    ],
)
def test_a_letter_follows_the_fact_that_decides_its_words(
    language: str, template: str, fact: str, values: tuple[object, object]
) -> None:
    first, second = (written(template, language, FACTS[template] | {fact: value}).text for value in values)
    assert first != second


@pytest.mark.parametrize(
    ("template", "fact", "value"),
    [
        ("BL-3-notice", "scope", "x"),
        ("GJ-claims-review", "outcome", "x"),
        ("BL-4-not-authorised", "to_whom", "x"),
        ("BL-11-contract-ended", "to_whom", "x"),
        ("client-not-authorised", "to_whom", "x"),
        ("privacy-answer", "rights", [{"title": "T"}]),
    ],
)
def test_a_fact_without_words_for_it_stops_the_letter(template: str, fact: str, value: object) -> None:
    with pytest.raises(LetterFault):
        written(template, "lv", FACTS[template] | {fact: value})


def test_a_fact_cannot_put_a_header_into_the_subject() -> None:
    facts = FACTS["internal-notice"] | {"case": "x\nBcc: other@example.org"}
    with pytest.raises(ValueError, match="line break"):
        written("internal-notice", "en", facts)


@pytest.mark.parametrize(("template", "language"), [("no-such", "lv"), ("../pyproject", "lv"), ("BL-3-notice", "et")])
def test_a_letter_that_does_not_exist_is_refused(template: str, language: str) -> None:
    with pytest.raises(LetterFault, match="no letter"):
        render(template, language, {}, id="1", to="a@example.org", sender="b@example.org")


def test_days_are_written_as_each_language_does() -> None:
    assert {language: day("2026-12-21", language) for language in LANGUAGES} == DAYS
    assert day(date(2027, 5, 4), "lv") == "2027. gada 4. maijs"
    assert day(date(2027, 2, 16), "lt") == "2027 m. vasario 16 d."
    assert moment(datetime(2027, 2, 16, 9, 5), "lt") == "2027 m. vasario 16 d., 09:05 val."  # noqa: DTZ001


@pytest.mark.parametrize("value", [datetime(2026, 12, 21, 23, 0, tzinfo=UTC), "soon", None, 1])
def test_an_instant_or_a_word_is_no_day(value: object) -> None:
    with pytest.raises(LetterFault, match="a day is given as"):
        day(value, "lv")


@pytest.mark.parametrize(
    ("value", "lv", "en"),
    [
        (Decimal("1234.5"), "1 234,50 EUR", "EUR 1,234.50"),
        ("1234567.89", "1 234 567,89 EUR", "EUR 1,234,567.89"),
        (0, "0,00 EUR", "EUR 0.00"),
    ],
)
def test_money_is_written_as_each_language_does(value: object, lv: str, en: str) -> None:
    """No line breaks within an amount."""
    said = [money(value, language) for language in ("lv", "lt", "en")]
    assert [one.replace("\N{NO-BREAK SPACE}", " ") for one in said] == [lv, lv, en]
    assert not any(" " in one for one in said)


@pytest.mark.parametrize(
    ("short", "lv", "lt", "en"),
    [
        (
            "GDPR 17(3)(b)",
            "VDAR 17. panta 3. punkta b) apakšpunkts",
            "BDAR 17 straipsnio 3 dalies b punktas",
            "GDPR 17(3)(b)",
        ),
        ("GDPR 12(5)", "VDAR 12. panta 5. punkts", "BDAR 12 straipsnio 5 dalis", "GDPR 12(5)"),
        ("GDPR 16", "VDAR 16. pants", "BDAR 16 straipsnis", "GDPR 16"),
        ("14.5.5", "mūsu noteikumu 14.5.5. punkts", "mūsų taisyklių 14.5.5 punktas", "clause 14.5.5 of our rules"),
        (
            "11.2 c)",
            "mūsu noteikumu 11.2. punkta c) apakšpunkts",
            "mūsų taisyklių 11.2 punkto c papunktis",
            "clause 11.2 c) of our rules",
        ),
        (
            "lines 96–104",
            "mūsu noteikumu 96.–104. rinda",
            "mūsų taisyklių 96–104 eilutės",
            "lines 96–104 of our rules",
        ),
        ("line 289", "mūsu noteikumu 289. rinda", "mūsų taisyklių 289 eilutė", "line 289 of our rules"),
        (
            "16; GDPR 12(3)",
            "mūsu noteikumu 16. punkts; VDAR 12. panta 3. punkts",
            "mūsų taisyklių 16 punktas; BDAR 12 straipsnio 3 dalis",
            "clause 16 of our rules; GDPR 12(3)",
        ),
        ("Apdrošināšanas līguma likums", *["Apdrošināšanas līguma likums"] * 3),
    ],
)
def test_a_provision_is_cited_as_each_language_does(short: str, lv: str, lt: str, en: str) -> None:
    """The rulebooks cite shortly; nobody has to know what GDPR is called in English."""
    assert tuple(cited(short, language) for language in LANGUAGES) == (lv, lt, en)


@pytest.mark.parametrize(("template", "language"), EVERY)
def test_nobody_is_greeted_by_a_name_that_would_have_to_be_declined(template: str, language: str) -> None:
    """Latvian and Lithuanian greet in the vocative, which cannot be made from a name by rule."""
    greetings = {"lv": "Labdien", "lt": "Laba diena", "en": "Dear"}
    lines = (TEMPLATES / f"{template}.{language}.txt").read_text(encoding="utf-8").split("\n")
    greeting = [line for line in lines if line.startswith(greetings[language])]
    assert bool(greeting) == (not template.startswith("internal-"))
    if language != "en":
        assert set(greeting) <= {"Labdien!", "Laba diena,"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_letter_is_named_without_its_facts(language: str) -> None:
    for template in FACTS:
        title = title_of(template, language)
        assert len(title) > 5
        assert not any(hole in title for hole in ("{", "  ", " ,"))
    assert title_of("BTA-6.5-refusal", "en") == "Premium not accepted"


@pytest.mark.parametrize("value", [1.5, "much", None, Decimal("0.005"), True, Decimal("NaN"), "Infinity"])
def test_what_is_not_an_exact_amount_is_no_money(value: object) -> None:
    with pytest.raises(LetterFault, match="amount"):
        money(value, "lv")


@pytest.mark.parametrize(("template", "language"), EVERY)
def test_a_decision_goes_as_a_pdf_too_and_nothing_else_does(template: str, language: str) -> None:
    names = {
        "lv": "Lēmums 2026-000123.pdf",
        "lt": "Sprendimas 2026-000123.pdf",
        "en": "Decision 2026-000123.pdf",
    }
    expected = names[language] if template.startswith("BTA-10.5b") else None
    assert attached(template, language, FACTS[template]) == expected


@pytest.mark.parametrize(
    ("language", "automatically", "by_a_person"),
    [
        ("lv", "pieņemts automātiski", "varat lūgt, lai šo lēmumu pārskata cilvēks"),
        ("lt", "priimtas automatiškai", "galite prašyti, kad šį sprendimą peržiūrėtų žmogus"),
        ("en", "made automatically", "ask at any time that a person reviews"),
    ],
)
def test_an_automatic_decision_says_so_and_how_to_ask_for_a_person(
    language: str, automatically: str, by_a_person: str
) -> None:
    text = written("BTA-10.5b-automatic", language).text
    assert automatically in text
    assert by_a_person in text
    assert automatically not in written("BTA-10.5b-third-party", language).text


@pytest.mark.parametrize(
    ("language", "arbitration", "court", "for_others"),
    [
        ("lv", "šķīrējtiesa (reģistrācijas numurs 40003764669)", "vērsties tiesā", "nevis uz Jums kā trešo personu"),
        ("lt", "arbitražo teismas Rygoje", "kreiptis į teismą", "o ne Jums kaip trečiajam asmeniui"),
        ("en", "court of arbitration in Riga", "go to court", "not for you as a third party"),
    ],
)
def test_each_reader_is_told_the_ways_to_object_that_are_theirs(
    language: str, arbitration: str, court: str, for_others: str
) -> None:
    """11.5 is between insurer, policyholder and insured: negotiation, then arbitration; a third party goes to court."""
    insured, third = (written(f"BTA-10.5b-{who}", language).text for who in ("insured", "third-party"))
    assert arbitration in insured
    assert court not in insured
    assert court in third
    assert for_others in third
    assert "11.5" in insured
    assert "11.5" in third
