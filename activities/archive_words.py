"""What the page of an archive calls the fields of a record, in the reader's language.

The archive's JSON keeps the names that the fields have; so does the page for a field that has no word here.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from zoneinfo import ZoneInfo

from activities.letters import TEMPLATES, day, moment, money, title_of
from models.claim import Document
from models.privacy import CHANNELS, RIGHTS, WAYS
from models.settlement import Label, Language
from operations.own_store import ERASED, MASKED
from rules.documents import asked
from rules.wording import HEADS, in_


def _label(lv: str, lt: str, en: str) -> Label:
    return Label(lv=lv, lt=lt, en=en)


KINDS: dict[str, Label] = {
    "claim": _label("apdrošināšanas atlīdzības pieteikums", "prašymas išmokėti draudimo išmoką", "insurance claim"),
    "access_request": _label("piekļuves pieprasījums", "prieigos prašymas", "request for access to the client zone"),
    "authenticator_withdrawal": _label(
        "autentifikatora atsaukšana", "autentifikavimo priemonės atšaukimas", "withdrawal of an authenticator"
    ),
    "authenticator_decision": _label(
        "lēmums par autentifikatoru visiem klientiem",
        "sprendimas dėl autentifikavimo priemonės visiems klientams",
        "decision about an authenticator for all clients",
    ),
    "privacy_request": _label(
        "pieprasījums par personas datiem", "prašymas dėl asmens duomenų", "request about personal data"
    ),
    "late_premium": _label("novēloti samaksāta prēmija", "pavėluotai sumokėta įmoka", "premium paid late"),
    "circumstance": _label(
        "paziņojums par apstākli", "pranešimas apie aplinkybę", "report of something that may lead to a claim"
    ),
    "premium_refund": _label("prēmijas atmaksa", "įmokos grąžinimas", "refund of a premium"),
    "recovery": _label("izmaksātās atlīdzības atgūšana", "išmokėtos sumos atgavimas", "recovery of a payment"),
    "sign_in_review": _label(
        "pieslēgšanās žurnāla pārskatīšana", "prisijungimų žurnalo peržiūra", "review of the journal of sign-ins"
    ),
    "task": _label("uzdevums", "užduotis", "task"),
    "breach": _label(
        "personas datu aizsardzības pārkāpums", "asmens duomenų saugumo pažeidimas", "personal data breach"
    ),
    "renewal": _label(
        "atgādinājums par līguma beigām", "priminimas apie sutarties pabaigą", "reminder of a contract's end"
    ),
    "credential": _label("piekļuves konts", "prieigos paskyra", "access account"),
    "client_change": _label("klienta pārstāvju maiņa", "kliento atstovų pakeitimas", "change of a client's people"),
    "client": _label("klienta pārstāvis", "kliento atstovas", "representative of a client"),
    "consent": _label("piekrišana", "sutikimas", "consent"),
    "policy": _label("apdrošināšanas līgums", "draudimo sutartis", "insurance policy"),
}
FIELDS: dict[str, Label] = {
    "about": _label("par ko", "dėl ko", "about"),
    "action": _label("darbība", "veiksmas", "action"),
    "amount": _label("summa", "suma", "amount"),
    "answer_channel": _label("atbildes kanāls", "atsakymo kanalas", "channel of the answer"),
    "asked_by": _label("lūdzējs", "prašytojas", "asked by"),
    "at": _label("kad", "kada", "when"),
    "authenticator": _label("autentifikators", "autentifikavimo priemonė", "authenticator"),
    "aware_at": _label("kļuvis zināms", "sužinota", "known since"),
    "by": _label("kas reģistrēja", "kas užregistravo", "recorded by"),
    "channel": _label("kanāls", "kanalas", "channel"),
    "channels": _label("kanāli", "kanalai", "channels"),
    "claim": _label("pretenzija", "pretenzija", "claim"),
    "claimant": _label("pretenzijas iesniedzējs", "pretenzijos pareiškėjas", "claimant"),
    "claimants": _label("pretenzijas iesniedzēji", "pretenzijos pareiškėjai", "claimants"),
    "client": _label("klients", "klientas", "client"),
    "closed_at": _label("lieta slēgta", "byla uždaryta", "case closed"),
    "code": _label("kods", "kodas", "code"),
    "country": _label("valsts", "valstybė", "country"),
    "debtor": _label("parādnieks", "skolininkas", "debtor"),
    "decided_by": _label("kas lēma", "kas nusprendė", "decided by"),
    "description": _label("apraksts", "aprašymas", "description"),
    "document": _label("dokuments", "dokumentas", "document"),
    "documents": _label("dokumenti", "dokumentai", "documents"),
    "duty": _label("pienākums", "pareiga", "duty"),
    "email": _label("e-pasts", "el. paštas", "e-mail"),
    "ends_on": _label("pēdējā diena", "paskutinė diena", "last day"),
    "filed": _label("iesniegtais", "pateikta", "as filed"),
    "filed_by": _label("iesniedzējs", "pateikė", "filed by"),
    "first": _label("pirmais", "pirmas", "first"),
    "first_name": _label("vārds", "vardas", "first name"),
    "for_case": _label("lieta", "byla", "case"),
    "given_by": _label("kas deva", "kas davė", "given by"),
    "head": _label("zaudējumu veids", "nuostolių rūšis", "head of loss"),
    "history": _label("norise", "eiga", "history"),
    "iban": _label("konta numurs (IBAN)", "sąskaitos numeris (IBAN)", "account (IBAN)"),
    "identified_by": _label("identifikācijas veids", "tapatybės nustatymo būdas", "way of identification"),
    "information": _label("sniegtā informācija", "pateikta informacija", "information given"),
    "informed_at": _label("informēts", "informuota", "informed"),
    "insured_name": _label("apdrošinātais", "apdraustasis", "insured"),
    "kind": _label("lietas veids", "bylos rūšis", "kind of case"),
    "language": _label("valoda", "kalba", "language"),
    "last_name": _label("uzvārds", "pavardė", "surname"),
    "letter": _label("vēstule", "laiškas", "letter"),
    "letters": _label("nosūtītās vēstules", "išsiųsti laiškai", "letters sent"),
    "limitation": _label("ierobežojums", "apribojimas", "limitation"),
    "losses": _label("zaudējumi", "nuostoliai", "losses"),
    "manager": _label("vadītājs", "vadovas", "manager"),
    "month": _label("mēnesis", "mėnuo", "month"),
    "n": _label("numurs", "numeris", "number"),
    "name": _label("vārds, uzvārds vai nosaukums", "vardas, pavardė arba pavadinimas", "name"),
    "noticed_at": _label("pamanīts", "pastebėta", "noticed"),
    "occurred_on": _label("notikuma diena", "įvykio diena", "day of the event"),
    "occurrence": _label("notikums", "įvykis", "event"),
    "officer": _label("datu aizsardzības speciālists", "duomenų apsaugos pareigūnas", "data protection officer"),
    "operator": _label("darbinieks", "darbuotojas", "employee"),
    "person": _label("persona", "asmuo", "person"),
    "personal_code": _label("personas kods", "asmens kodas", "personal code"),
    "phone": _label("tālrunis", "telefonas", "telephone"),
    "place": _label("vieta", "vieta", "place"),
    "policy": _label("polise", "polisas", "policy"),
    "premium": _label("prēmija", "įmoka", "premium"),
    "proof": _label("pierādījums", "įrodymas", "proof"),
    "purpose": _label("nolūks", "tikslas", "purpose"),
    "purposes": _label("nolūki", "tikslai", "purposes"),
    "reason": _label("iemesls", "priežastis", "reason"),
    "received_at": _label("saņemts", "gauta", "received"),
    "received_by": _label("kas saņēma", "kas gavo", "received by"),
    "record": _label("ieraksts", "įrašas", "record"),
    "reference": _label("atsauce", "numeris", "reference"),
    "registered": _label("reģistrēšanas veids", "registravimo būdas", "way of registration"),
    "repay_by": _label("atmaksas termiņš", "grąžinimo terminas", "to be repaid by"),
    "reporter": _label("ziņotājs", "pranešėjas", "reporter"),
    "representative": _label("pārstāvis", "atstovas", "representative"),
    "requester": _label("pieprasījuma iesniedzējs", "prašymo pateikėjas", "requester"),
    "requesters": _label("pilnvarotās personas", "įgalioti asmenys", "authorised people"),
    "responsible": _label("atbildīgais darbinieks", "atsakingas darbuotojas", "responsible employee"),
    "rights": _label("tiesības", "teisės", "rights"),
    "role": _label("loma", "vaidmuo", "role"),
    "rows": _label("dati", "duomenys", "data"),
    "scope": _label("apjoms", "apimtis", "scope"),
    "sent_at": _label("nosūtīts", "išsiųsta", "sent"),
    "since": _label("kopš", "nuo", "since"),
    "sort": _label("veids", "rūšis", "sort"),
    "stage": _label("stadija", "stadija", "stage"),
    "statement": _label("paša vārdiem", "savais žodžiais", "in your own words"),
    "takes_effect_on": _label("spēkā stāšanās diena", "įsigaliojimo diena", "effective day"),
    "text": _label("teksts", "tekstas", "text"),
    "told": _label("kam un kad paziņots", "kam ir kada pranešta", "who was told, and when"),
    "told_at": _label("paziņots", "pranešta", "told"),
    "transfer_to": _label("kam nosūtīt", "kam perduoti", "send to"),
    "username": _label("lietotājvārds", "naudotojo vardas", "user name"),
    "users": _label("darbinieki", "darbuotojai", "employees"),
    "valid_until": _label("piekļuves pēdējā diena", "paskutinė prieigos diena", "last day of access"),
    "what": _label("kas notika", "kas įvyko", "what happened"),
    "withdraw": _label("atsauktās piekrišanas", "atšaukti sutikimai", "consents withdrawn"),
}
"""The fields of the own store; another system's that have the same name are called the same."""

ROLES: dict[str, Label] = {
    "affected": _label("skartā persona", "paveiktas asmuo", "person affected"),
    "client": _label("klients", "klientas", "client"),
    "data_subject": _label("datu subjekts", "duomenų subjektas", "data subject"),
    "debtor": _label("parādnieks", "skolininkas", "debtor"),
    "deputy": _label("atbildīgā darbinieka vietnieks", "atsakingo darbuotojo pavaduotojas", "deputy"),
    "insured": _label("apdrošinātais", "apdraustasis", "insured"),
    "policyholder": _label("apdrošinājuma ņēmējs", "draudėjas", "policyholder"),
    "reporter": _label("ziņotājs", "pranešėjas", "reporter"),
    "representative": _label("pārstāvis", "atstovas", "representative"),
    "requester": _label("pieprasījuma iesniedzējs", "prašymo pateikėjas", "requester"),
    "responsible": _label("atbildīgais darbinieks", "atsakingas darbuotojas", "responsible employee"),
    "responsible_employee": _label("atbildīgais darbinieks", "atsakingas darbuotojas", "responsible employee"),
    "signatory": _label("persona ar paraksta tiesībām", "asmuo, turintis parašo teisę", "signatory"),
    "third_party": _label("trešā persona", "trečiasis asmuo", "third party"),
    "user": _label("lietotājs", "naudotojas", "user"),
}
_ANYWHERE: dict[str, Label] = {
    MASKED: _label("[citas personas dati]", "[kito asmens duomenys]", MASKED),
    ERASED: _label("[dzēsts]", "[ištrinta]", ERASED),
    "True": _label("jā", "taip", "yes"),
    "False": _label("nē", "ne", "no"),
}
LANGUAGES: dict[str, Label] = {
    "lv": _label("latviešu", "latvių", "Latvian"),
    "lt": _label("lietuviešu", "lietuvių", "Lithuanian"),
    "en": _label("angļu", "anglų", "English"),
}
_CODES: dict[str, dict[str, Label]] = {
    "language": LANGUAGES,
    "identified_by": WAYS,
    "rights": RIGHTS,
    "channel": CHANNELS,
    "answer_channel": CHANNELS,
    "kind": KINDS,
    "role": ROLES,
    "head": {head.value: title for head, title in HEADS.items()},
    "document": {document.value: asked(document).title for document in Document},
}
"""Field → what its codes are called."""
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)")
_MONEY = re.compile(r"\d{1,12}(\.\d{1,2})?")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def field_in(path: str, language: Language) -> str:
    """`filed.claimants.1.email` as people read it: `as filed, claimants 1, e-mail`."""
    said: list[str] = []
    for part in path.split("."):
        if part.isdigit() and said:
            said[-1] += f" {part}"
        else:
            said.append(in_(FIELDS[part], language) if part in FIELDS else part)
    return ", ".join(said)


def value_in(path: str, value: str, language: Language, zone: ZoneInfo) -> str:
    """Days, instants of `zone`, letters, languages, rights, heads of loss and the like in words; else as said."""
    name = next((part for part in reversed(path.split(".")) if not part.isdigit()), "")
    if (said := _ANYWHERE.get(value) or _CODES.get(name, {}).get(value)) is not None:
        return in_(said, language)
    if name == "letter" and (TEMPLATES / f"{value}.{language}.txt").is_file():
        return title_of(value, language)
    if name in ("amount", "premium") and _MONEY.fullmatch(value):
        return money(value, language)
    if _DAY.fullmatch(value):
        return _day(value, language)
    if _INSTANT.fullmatch(value):
        return _moment(value, language, zone)
    return value


def _day(value: str, language: Language) -> str:
    try:
        return day(date.fromisoformat(value), language)
    except ValueError:
        return value


def _moment(value: str, language: Language, zone: ZoneInfo) -> str:
    try:
        return moment(datetime.fromisoformat(value).astimezone(zone), language)
    except ValueError:
        return value
