"""The words of a privacy request: what is filed, what the case remembers between steps, and what people say to it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from models.case import Correction, Day, Instant, Message, OldInstant, Text
from models.common import Model
from models.consent import Channels
from models.operator import Role
from models.person_system import Asked, Handling, HeldItem, PersonAct, PersonSystem, Reference, Staff
from models.rectification import Data, Rectified
from models.settlement import Label
from models.signature import Seen, Sha256
from models.storage import Code

# ---- what is filed --------------------------------------------------------------------------------------------------

Right = Literal[
    "access",
    "rectification",
    "erasure",
    "restriction",
    "portability",
    "objection",
    "statistics_objection",
    "automated_decision_review",
    "marketing_objection",
    "consent_withdrawal",
    "information",
]
Channel = Literal["in_person", "post", "email", "portal", "phone"]

DECIDED: tuple[Right, ...] = (
    "rectification",
    "erasure",
    "restriction",
    "portability",
    "objection",
    "statistics_objection",
    "automated_decision_review",
    "information",
)
"""Rights about which a person decides. Access is given unless a person refused it; marketing, and what a withdrawn
consent carried, stops without a word."""

CARRIED: tuple[Right, ...] = (
    "rectification",
    "restriction",
    "objection",
    "statistics_objection",
    "automated_decision_review",
    "marketing_objection",
    "consent_withdrawal",
)
"""Rights that a person carries out in the systems that the product does not reach, and proves."""

COPIES: tuple[Right, ...] = ("access", "portability")
"""Rights whose answer brings a copy of the data."""

EXPLAINED: tuple[Right, ...] = ("automated_decision_review", "information")
"""Rights whose answer always says something: what the review came to, where the data come from."""

UNCHECKED: tuple[Right, ...] = ("marketing_objection", "consent_withdrawal")
"""Rights for which nobody has to prove who they are: a stop harms nobody, and withdrawing is as easy as consenting."""

SUBJECT, REPRESENTATIVE = "subject", "representative"
"""The parties of a request."""

SIGNED = "qualified_signature"
"""The way of identification that needs a validator's verdict."""

HANDLED: tuple[tuple[Right, Handling], ...] = (
    ("access", "hand_out"),
    ("rectification", "rectify"),
    ("restriction", "restrict"),
    ("erasure", "erase"),
)
"""Right → what a person who keeps data does about it with what was found there."""

CITED: tuple[str, ...] = ("statute", "unfounded_or_excessive")
"""Grounds that need something to stand on: the statute that limits the right (SE-13.2), or the proof that the request
is unfounded or excessive, which is the controller's to bring (SE-21.8, GDPR 12(5))."""


FEES: dict[str, str] = {"further_copy": "GDPR 15(3)", "unfounded_or_excessive": "GDPR 12(5)(a)"}
"""What a fee can be asked for → the clause, where the controller's document has none (SE-16.8, SE-21.7.1)."""


def _each_once(rights: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(rights)) != len(rights):
        raise ValueError("a right is asked for once in a request")
    return rights


Rights = Annotated[tuple[Right, ...], Field(min_length=1), AfterValidator(_each_once)]


class Person(Model):
    """The data subject."""

    name: Text
    personal_code: Text
    email: Text | None = None
    language: Literal["lv", "lt", "en"] = "lv"


class Representative(Model):
    """Somebody who asks for the data subject, with a reference to the proof of that right, if it came along."""

    name: Text
    proof: Text | None = None
    personal_code: Text | None = None
    """Without it no electronic signature can be the representative's."""
    email: Text | None = None
    """Where the answer goes while the right to represent lasts; without it the data subject gets it."""


class WithdrawnConsents(Model):
    """What of somebody's consents is withdrawn; none named: for every purpose, by every channel."""

    purposes: Annotated[tuple[Code, ...], Field(max_length=20)] = ()
    channels: Channels = ()


class PrivacyFiling(Model):
    """A privacy request as it was received."""

    rights: Rights
    channel: Channel
    person: Person
    representative: Representative | None = None
    identified_by: Text | None = None
    """The way of identification with which it came, as the rulebook names it (`qualified_signature`)."""
    answer_channel: Channel | None = None
    """Where the answer is wanted, if not where the request came from."""
    statement: Text | None = None
    """In the person's own words: what is wrong or incomplete, what is objected to, the view on a decision."""
    transfer_to: Text | None = None
    """Portability straight to another controller: which one."""
    received_by: Staff | None = None
    """Who on the staff was handed it, by code, if it did not come straight to those who handle it (SE-14.1)."""
    told_at: Instant | None = None
    """When that person told them orally what a request needs (SE-14.4)."""
    withdraw: WithdrawnConsents | None = None
    """Which consents are withdrawn; without it every one that the person gave."""

    @model_validator(mode="after")
    def _about_what(self) -> PrivacyFiling:
        if self.withdraw is not None and "consent_withdrawal" not in self.rights:
            raise ValueError("withdraw: only where a consent is withdrawn")
        if self.transfer_to is not None and "portability" not in self.rights:
            raise ValueError("transfer_to: only where portability is asked for")
        if self.told_at is not None and self.received_by is None:
            raise ValueError("told_at: only with received_by, who told them")
        return self


# ---- what people read -----------------------------------------------------------------------------------------------


def _label(lv: str, lt: str, en: str) -> Label:
    return Label(lv=lv, lt=lt, en=en)


RIGHTS: dict[str, Label] = {
    "access": _label("Piekļuve datiem", "Prieiga prie duomenų", "Access to the data"),
    "rectification": _label("Datu labošana", "Duomenų ištaisymas", "Rectification of the data"),
    "erasure": _label("Datu dzēšana", "Duomenų ištrynimas", "Erasure of the data"),
    "restriction": _label("Apstrādes ierobežošana", "Duomenų tvarkymo apribojimas", "Restriction of processing"),
    "portability": _label("Datu pārnesamība", "Duomenų perkeliamumas", "Portability of the data"),
    "objection": _label("Iebildums pret apstrādi", "Nesutikimas su duomenų tvarkymu", "Objection to processing"),
    "statistics_objection": _label(
        "Iebildums pret apstrādi statistikai",
        "Nesutikimas su duomenų tvarkymu statistikos tikslais",
        "Objection to processing for statistics",
    ),
    "automated_decision_review": _label(
        "Automatizēta lēmuma pārskatīšana", "Automatizuoto sprendimo peržiūra", "Review of an automated decision"
    ),
    "marketing_objection": _label(
        "Iebildums pret tiešo tirgvedību", "Nesutikimas su tiesiogine rinkodara", "Objection to direct marketing"
    ),
    "consent_withdrawal": _label("Piekrišanas atsaukums", "Sutikimo atšaukimas", "Withdrawal of consent"),
    "information": _label(
        "Informācija par datiem, kas iegūti no citiem",
        "Informacija apie iš kitų gautus duomenis",
        "Information about data obtained from elsewhere",
    ),
}
CHANNELS: dict[str, Label] = {
    "in_person": _label("klātienē", "atvykus", "in person"),
    "post": _label("pa pastu", "paštu", "by post"),
    "email": _label("e-pastā", "elektroniniu paštu", "by e-mail"),
    "portal": _label("portālā", "portale", "in the portal"),
    "phone": _label("pa tālruni", "telefonu", "by phone"),
}
WAYS: dict[str, Label] = {
    "identity_document": _label(
        "uzrādot personu apliecinošu dokumentu",
        "pateikus asmens tapatybę patvirtinantį dokumentą",
        "with an identity document",
    ),
    "signed_request": _label("ar parakstītu pieprasījumu", "pateikus pasirašytą prašymą", "with a signed request"),
    "signed_request_copy": _label(
        "ar parakstīta pieprasījuma kopiju", "pateikus pasirašyto prašymo kopiją", "with a copy of a signed request"
    ),
    "notarised_request": _label(
        "ar notariāli apliecinātu pieprasījumu", "pateikus notaro patvirtintą prašymą", "with a notarised request"
    ),
    "qualified_signature": _label(
        "ar kvalificētu elektronisko parakstu",
        "pasirašius kvalifikuotu elektroniniu parašu",
        "with a qualified electronic signature",
    ),
    "portal_sign_in": _label("pieslēdzoties portālam", "prisijungus prie portalo", "by signing in"),
    "call_back": _label(
        "mums atzvanot uz reģistrēto numuru",
        "mums perskambinus registruotu numeriu",
        "when we call back the number on file",
    ),
}
GROUNDS: dict[str, Label] = {
    "legal_duty": _label(
        "juridisks pienākums datus glabāt", "teisinė prievolė saugoti duomenis", "a legal duty to keep them"
    ),
    "legal_claim": _label(
        "dati vajadzīgi likumīgu prasību celšanai, īstenošanai vai aizstāvēšanai",
        "duomenys reikalingi teisiniams reikalavimams pareikšti, vykdyti ar apginti",
        "they are needed to establish, exercise or defend legal claims",
    ),
    "public_task": _label(
        "uzdevums sabiedrības interesēs",
        "užduotis, vykdoma viešojo intereso labui",
        "a task in the public interest",
    ),
    "public_health": _label(
        "sabiedrības intereses veselības jomā", "viešasis interesas visuomenės sveikatos srityje", "public health"
    ),
    "expression_and_information": _label(
        "vārda un informācijas brīvība", "saviraiškos ir informacijos laisvė", "freedom of expression and information"
    ),
    "archiving_research_statistics": _label(
        "arhivēšana, pētniecība vai statistika",
        "archyvavimas, moksliniai tyrimai ar statistika",
        "archiving, research or statistics",
    ),
    "unfounded_or_excessive": _label(
        "pieprasījums ir acīmredzami nepamatots vai pārmērīgs",
        "prašymas akivaizdžiai nepagrįstas arba neproporcingas",
        "the request is manifestly unfounded or excessive",
    ),
    "rights_of_others": _label(
        "citu personu tiesības un brīvības", "kitų asmenų teisės ir laisvės", "the rights and freedoms of others"
    ),
    "statute": _label("ierobežojums likumā", "įstatyme nustatytas apribojimas", "a limit laid down by statute"),
    "accurate": _label(
        "dati ir pārbaudīti: tie ir precīzi un pilnīgi",
        "duomenys patikrinti, jie tikslūs ir išsamūs",
        "the data were checked; they are accurate and complete",
    ),
    "no_ground": _label(
        "nav neviena no pamatiem, kas paredzēti apstrādes ierobežošanai",
        "nėra nė vieno iš tvarkymo apribojimo pagrindų",
        "none of the grounds for a restriction is given",
    ),
    "not_portable": _label(
        "datus nesniedzāt Jūs, vai arī tos neapstrādā uz piekrišanas vai līguma pamata vai neapstrādā automatizēti",
        "duomenis pateikėte ne Jūs arba jie tvarkomi ne sutikimo ar sutarties pagrindu, arba neautomatizuotai",
        "you did not provide the data, or they are not processed on consent or contract, or not by automated means",
    ),
    "compelling_grounds": _label(
        "pārliecinoši leģitīmi apstrādes iemesli, kas ir svarīgāki par Jūsu interesēm, tiesībām un brīvībām",
        "įtikinamos teisėtos tvarkymo priežastys, viršesnės už Jūsų interesus, teises ir laisves",
        "compelling legitimate grounds that override your interests, rights and freedoms",
    ),
    "not_automated": _label(
        "lēmumu pieņēma cilvēks, nevis tikai automatizēta sistēma",
        "sprendimą priėmė žmogus, o ne vien automatizuota sistema",
        "a person made the decision, not only an automated system",
    ),
    "known_already": _label(
        "informācija Jums jau ir", "šią informaciją jau turite", "you have the information already"
    ),
    "disproportionate_effort": _label(
        "informācijas sniegšana nav iespējama vai tai vajadzētu nesamērīgi lielas pūles",
        "pateikti informaciją neįmanoma arba tam reikėtų neproporcingų pastangų",
        "giving it is impossible or would take a disproportionate effort",
    ),
    "laid_down_by_law": _label(
        "datu iegūšana vai izpaušana ir noteikta tiesību aktos",
        "duomenų gavimas ar atskleidimas nustatytas teisės aktuose",
        "obtaining or disclosing the data is laid down by law",
    ),
    "professional_secret": _label(
        "datiem jāpaliek konfidenciāliem dienesta noslēpuma dēļ",
        "duomenys turi likti konfidencialūs dėl profesinės paslapties",
        "the data must stay confidential under a professional secret",
    ),
}
EXTENSION_REASONS: dict[str, Label] = {
    "complexity": _label("pieprasījums ir sarežģīts", "prašymas sudėtingas", "the request is complex"),
    "number": _label("saņemts daudz pieprasījumu", "gauta daug prašymų", "many requests were received"),
}

RECIPIENT_OUTCOMES: dict[str, Label] = {
    "told": _label("informēts", "informuotas", "told"),
    "impossible": _label("informēt nav iespējams", "informuoti neįmanoma", "could not be told"),
    "disproportionate": _label(
        "informēšanai vajadzētu nesamērīgi lielas pūles",
        "informuoti reikėtų neproporcingų pastangų",
        "telling would take a disproportionate effort",
    ),
}

STEP_OUTCOMES: dict[str, Label] = {
    "asked": _label(
        "lūgts dzēst saites un kopijas", "paprašyta pašalinti nuorodas ir kopijas", "asked to remove links and copies"
    ),
    "removed": _label("saites un kopijas dzēstas", "nuorodos ir kopijos pašalintos", "links and copies are removed"),
    "not_feasible": _label(
        "saprātīgi pasākumi nav iespējami", "pagrįstų priemonių imtis neįmanoma", "no reasonable step was possible"
    ),
}

# ---- what the case remembers ----------------------------------------------------------------------------------------

AuthorityKind = Literal["power_of_attorney", "parent", "guardian"]
AuthorityForm = Literal["simple", "notarised"]
Letter = Literal["queued", "sent", "refused"]


class Representing(Model):
    """On what a controller lets somebody act for another."""

    channels: tuple[Channel, ...]
    form: AuthorityForm | None = None
    """The least form of a power of attorney."""
    under: int | None = None
    """Parents and guardians: the age in years from which the data subject asks alone."""
    clause: str


class Terms(Model):
    """What the controller's rulebook says of this request, as of its opening: the workflow reads no rulebook."""

    controller: str
    authority: str
    answer: str
    """The duty that runs once for the whole request, ended by the answer."""
    extension: str | None = None
    identity_gate: str | None = None
    representative_gate: str | None = None
    mail_gate: str | None = None
    """The duty by which health data leave by mail only encrypted."""
    health_data: bool = False
    restart: bool = False
    """True if the clocks start again once a doubtful identity is cleared (hold mode restart of the answer row)."""
    own: dict[Right, tuple[str, ...]] = Field(default_factory=dict)
    """The duties of each right that was asked for; the answer row where it has none of its own."""
    gathering: str | None = None
    """The duty to gather at once, from identification."""
    ways: dict[str, tuple[str, ...]]
    """Channel → ways of identification accepted there."""
    grounds: dict[Right, dict[str, str]]
    """Right → ground of refusal → clause."""
    deeds: dict[str, str] = Field(default_factory=dict)
    """Of the duties in `own` those that a deed ends and no answer does → the kind of evidence: marketing stopped."""
    cited: tuple[str, ...] = ()
    """Grounds that need a statute or a proof beside the reasons."""
    recipients: str | None = None
    """The duty to tell recipients of what was rectified, erased or restricted; without it nobody waits for that."""
    lift_gate: str | None = None
    """The duty to tell the person before a restriction is lifted."""
    transfer_gate: str | None = None
    """The duty about a transfer straight to another controller."""
    representing: dict[AuthorityKind, Representing] = Field(default_factory=dict)
    """On what somebody may act for another; requests of before took any reference."""
    doubt_by: datetime | None = None
    """Before this instant more is asked without delay; a doubt that comes later lets no clock wait. None: no end."""
    signed: bool = False
    """True if a signature identifies only by a verdict in the store; requests of before took a person's word."""
    elsewhere: str | None = None
    """The duty to inform about data that were obtained from someone else, from when they were."""
    passing_on: str | None = None
    """The duty of any employee to pass a request on to who is competent (SE-14.1)."""
    telling: str | None = None
    """The duty of any employee to tell orally what a request needs (SE-14.4)."""
    fees: dict[str, str] = Field(default_factory=dict)
    """What a fee can be asked for → clause."""
    published: str | None = None
    """The duty to have other controllers remove links to what was published, and copies of it."""


class Authority(Model):
    """What gives somebody the right to act for the data subject; its proof is referred to beside it."""

    kind: AuthorityKind
    rights: tuple[Right, ...] = ()
    """Power of attorney: the rights that it covers."""
    form: AuthorityForm | None = None
    """Power of attorney: simple written, or notarised."""
    given_on: Day | None = None
    until: Day | None = None
    """The last day on which it holds; None: until it is revoked."""
    born_on: Day | None = None
    """Parent or guardian: the data subject's day of birth."""


class Withheld(Model):
    """What is left out of a copy: on which ground, and until when, if that has an end."""

    what: Text
    record: Text | None = None
    """A record that is left out as a whole, such as `clinic:visits`; without it the words say what was masked."""
    field: Text | None = None
    """Of that record this field alone is masked, as the copy names it: `rows.2.notes`, `rows.*.notes` of every row."""
    ground: Text
    until: Day | None = None

    @model_validator(mode="after")
    def _of_what(self) -> Withheld:
        if self.field is not None and self.record is None:
            raise ValueError("field: only with the record that it is of")
        return self

    @property
    def named(self) -> str | None:
        """What has to be there, so that something is withheld: a record, or a field of one."""
        return f"{self.record} {self.field}" if self.field is not None else self.record


class Recipient(Model):
    """Somebody to whom the data had gone, and whether they were told of the change."""

    name: Text
    outcome: Literal["told", "impossible", "disproportionate"]
    told_at: Instant | None = None
    reason: Text | None = None


class Fee(Model):
    """A fee instead of a refusal, or for a copy beyond the first: by administrative cost, with reasons."""

    amount: Annotated[Decimal, Field(gt=0, le=1000, max_digits=6, decimal_places=2)]
    """EUR."""
    basis: Literal["further_copy", "unfounded_or_excessive"]
    reason: Text
    """What the person is told; names nobody."""
    proof: Text | None = None
    """That the request is unfounded or excessive, which is the controller's to bring (SE-21.8)."""


class PublicStep(Model):
    """What was done so that another controller removes links to erased data, and copies of them (GDPR 17(2))."""

    controller: Text
    outcome: Literal["asked", "removed", "not_feasible"]
    done_at: Instant
    reason: Text | None = None
    """Why nothing reasonable could be done."""


class Assessment(Model):
    """What a person decided about a right."""

    outcome: Literal["fulfilled", "in_part", "refused"]
    ground: str | None = None
    reason: str | None = None
    keep: tuple[str, ...] = ()
    """Erasure in part: what a person wants kept on that ground, such as a case under a legal hold."""
    keep_until: Day | None = None
    """The last day on which that is needed, if it is known."""
    published: bool = False
    """Erasure: the data had been published, and other controllers are to remove links and copies (SE-17.3)."""
    cites: str | None = None
    """The statute that limits the right, or what proves that the request is unfounded or excessive."""
    withheld: tuple[Withheld, ...] = ()
    corrections: Data = ()
    """Rectification: what the systems correct by themselves."""
    fee: Fee | None = None
    by: str


class Deed(Model):
    """That a right was carried out in the systems, with its proof."""

    at: datetime
    reference: str


class StoppedConsents(Model):
    """What the register of consents stopped for a right, in the step that opened the request."""

    at: datetime
    consents: int
    records: int = 0
    """Records elsewhere that nothing else carried: the next night asks for their destruction."""


class Transfer(Model):
    """A transfer straight to another controller: first the format, then the data, then the receipt."""

    feasible: bool
    format: str | None = None
    agreed_at: datetime | None = None
    sent_at: datetime | None = None
    received_at: datetime | None = None

    @property
    def pending(self) -> bool:
        """True until the other controller confirmed the receipt; what cannot be sent waits for nothing."""
        return self.feasible and self.received_at is None


class Restricted(Model):
    """What `privacy.restrict` answers: records of the own store that carry the mark, and those that cannot."""

    at: datetime
    records: int
    left: tuple[str, ...] = ()
    """Records that a person has to see to, such as `policy:P1`."""


class Released(Model):
    """What `privacy.release` answers: from how many records the mark is gone."""

    at: datetime
    records: int


class Lifting(Model):
    """The restriction is to be lifted: the person is told first."""

    reason: str
    status: Literal["untold", "told", "lifted"]


class Extension(Model):
    """An extension: it stands once it was told within the first term."""

    reason: str
    status: Literal["untold", "told", "lapsed"]


class SystemCount(Model):
    """What a data system said: how much it holds, and what of it cannot be erased because it is still in use."""

    system: str
    title: Label
    held: int
    in_use: tuple[str, ...] = ()


class Gathered(Model):
    """What `privacy.gather` answers: counts only; the data stay in the store."""

    at: datetime
    systems: tuple[SystemCount, ...]
    unfound: tuple[str, ...] = ()
    """Records that were to be withheld and are not there: a name that is wrong would withhold nothing."""


class KeptRecord(Model):
    """A record that an erasure left, until the ground ends: then the night's run over the storage terms erases it."""

    system: str
    record: str
    ground: str
    rows: int
    decided: bool = False
    """A person wanted it kept; nothing else may keep it."""
    until: Day | None = None
    """The last day that a person said."""
    ends: Day | None = None
    """The last day, as far as it can be counted now: the later one of what a person and what the rulebook says."""


class Erased(Model):
    """What `privacy.erase` answers; a second look has found nothing but what is kept."""

    at: datetime
    erased: int
    kept: dict[str, str]
    """What was kept (a case, `client:K1`) → the ground."""
    unmarked: tuple[str, ...] = ()
    """Of these, what its system cannot mark as restricted: a person has to see that nobody uses it."""
    records: tuple[KeptRecord, ...] = ()
    """The same, one by one, with the day until which each is kept; a request of before has none of them."""


class PrivacyBody(Model):
    """All of a privacy request that must survive its run."""

    received_at: datetime
    rights: tuple[Right, ...]
    channel: Channel
    answer_channel: Channel
    terms: Terms
    has_mail: bool
    represented: bool = False
    came_with: str | None = None
    """The way of identification that the request came with, accepted or not."""
    announced: bool = False
    asked_at: datetime | None = None
    """When more was asked for, because the identity was doubtful."""
    identified_at: datetime | None = None
    extension: Extension | None = None
    assessments: dict[Right, Assessment] = Field(default_factory=dict)
    systems: tuple[SystemCount, ...] = ()
    erased: Erased | None = None
    mail_refused: bool = False
    """The answer may not go by mail; the gate is still to be recorded, or was."""
    gate_said: bool = False
    encrypted: bool = False
    """It goes by mail as an encrypted file, whose password a person handed over by another channel."""
    password_with: str | None = None
    """Who was given that password: the data subject or the representative."""
    notices: dict[str, Letter] = Field(default_factory=dict)
    ended: tuple[tuple[str, str], ...] = ()
    """Duty and subject of the clocks that the answer ended; a bounce reopens them."""
    outcome: str | None = None
    transfer_asked: bool = False
    """Portability straight to another controller."""
    done: dict[Right, Deed] = Field(default_factory=dict)
    restricted: Restricted | None = None
    rectified: Rectified | None = None
    lifting: Lifting | None = None
    transfer: Transfer | None = None
    recipients: dict[Right, tuple[Recipient, ...]] = Field(default_factory=dict)
    unfound: tuple[str, ...] = ()
    parts: dict[str, tuple[Right, ...]] = Field(default_factory=dict)
    """Partial answers: key of the letter → what it told."""
    parts_open: dict[str, tuple[Right, ...]] = Field(default_factory=dict)
    """Partial answers that a person gave without what people still search: key of the letter → rights not whole yet."""
    copies_before: int = 0
    """Requests of before by which the same person got a copy: a further one may cost a fee."""
    received_by: str | None = None
    entered_at: datetime | None = None
    """When the request was entered, by which it was passed on."""
    told_at: datetime | None = None
    part_ended: dict[str, tuple[tuple[str, str], ...]] = Field(default_factory=dict)
    """Partial answers: key of the letter → duty and subject of the clocks that it ended."""
    duplicates: tuple[str, ...] = ()
    """Open requests of the same person for any of the same rights, as of the opening."""
    representative_mail: bool = False
    """The representative has an address to which the answer can go."""
    represented_by: AuthorityKind | None = None
    represented_until: datetime | None = None
    """From this instant the representative is told nothing more: it expired, was revoked, or a birthday has come."""
    revoked: bool = False
    """The power of attorney was revoked."""
    representation_said: bool = False
    """That a representative's right is proved stands in the timeline."""
    signature: Seen | None = None
    """By which electronic signature the person was identified."""
    joined: str | None = None
    """The earlier request that answers this one too."""
    people: tuple[PersonSystem, ...] | None = None
    """The people who are asked as data systems; None: there are none, or nobody has looked yet."""
    asked: tuple[Asked, ...] = ()
    """What each of them was asked for, in that order."""
    found: dict[str, tuple[HeldItem, ...]] = Field(default_factory=dict)
    """Data system of a person → what its holder found there."""
    steps: tuple[PublicStep, ...] = ()
    """What was done about links and copies elsewhere."""
    stopped: dict[Right, StoppedConsents] = Field(default_factory=dict)
    """Rights that the register of consents carried out by itself; a person proves the others."""

    @property
    def to_say(self) -> tuple[Right, ...]:
        """The rights that were carried out by themselves, and whose clocks still wait for that to be recorded."""
        return tuple(right for right in self.stopped if right not in self.done)

    @property
    def needs_identity(self) -> bool:
        """False where all that is asked for may be done whoever asks."""
        return any(right not in UNCHECKED for right in self.rights)

    def granted(self, right: Right) -> bool:
        """Whether a right is to be carried out, in full or in part, as far as that is decided."""
        if right not in self.rights:
            return False
        if right in DECIDED and right not in self.assessments:
            return False
        return self.result(right) != "refused"

    @property
    def undecided(self) -> tuple[Right, ...]:
        """The rights about which a person is still to decide."""
        open_ones = tuple(r for r in self.rights if r in DECIDED and r not in self.assessments)
        return open_ones or (tuple(r for r in self.rights if r in COPIES) if self.unfound else ())

    @property
    def changed(self) -> tuple[Right, ...]:
        """The rights by which data were changed, of which recipients are to be told (GDPR 19)."""
        made = [r for r in ("rectification", "restriction") if r in self.done]
        return (*made, *(("erasure",) if self.erased is not None else ()))

    @property
    def to_do(self) -> tuple[str, ...]:
        """What is decided and not carried out yet, for the waiting line."""
        wanted: list[str] = [r for r in self.rights if r in CARRIED and self.granted(r) and r not in self.done]
        if self.granted("restriction") and self.restricted is None:
            wanted.append("the mark on the own records")
        if self.rectifies and self.rectified is None:
            wanted.append("the corrections in the data systems")
        if self.granted("portability") and self.transfer is not None and self.transfer.pending:
            wanted.append("the transfer")
        for right, act in HANDLED:
            if act != "erase" and self.granted(right):
                wanted += [f"{system}: {act}" for system in self.people_left(act)]
        if self.terms.recipients is not None:
            wanted += [f"recipients of the {right}" for right in self.changed if right not in self.recipients]
        if self.published and self.erased is not None and not self.steps:
            wanted.append("the steps about what was published")
        return tuple(wanted)

    @property
    def rectifies(self) -> bool:
        """Whether the data systems are to correct something by themselves."""
        assessment = self.assessments.get("rectification")
        return assessment is not None and bool(assessment.corrections) and self.granted("rectification")

    @property
    def published(self) -> bool:
        """Whether published data are to be erased, of which other controllers are to remove links and copies."""
        assessment = self.assessments.get("erasure")
        return assessment is not None and assessment.published and self.granted("erasure")

    def settled(self, right: Right) -> bool:
        """Whether there is nothing left to decide or to do about a right."""
        if right in DECIDED and right not in self.assessments:
            return False
        if self.result(right) == "refused":
            return True
        if any(self.people_left(act) for of, act in HANDLED if of == right):
            return False
        if right == "erasure":
            done = self.erased is not None
        elif right == "restriction":
            done = right in self.done and self.restricted is not None
        else:
            done = right not in CARRIED or right in self.done
        told = self.terms.recipients is None or right not in self.changed or right in self.recipients
        stepped = right != "erasure" or not self.published or bool(self.steps)
        return done and told and stepped

    def tellable(self, right: Right) -> bool:
        """Whether a partial answer can say something of a right now: of a copy what is gathered so far."""
        if right not in COPIES or self.result(right) == "refused":
            return self.settled(right)
        return bool(self.systems) and (right == "access" or right in self.assessments)

    @property
    def told(self) -> tuple[Right, ...]:
        """The rights of which the person was told already in full, by a partial answer that was sent."""
        sent = {key: rights for key, rights in self.parts.items() if self.notices.get(key) == "sent"}
        return tuple(r for key, rights in sent.items() for r in rights if r not in self.parts_open.get(key, ()))

    def brings_copy(self, rights: tuple[Right, ...]) -> bool:
        """Whether an answer about these rights comes with a copy of the data."""
        return any(right in COPIES and self.result(right) != "refused" for right in rights)

    def without(self, rights: tuple[Right, ...]) -> tuple[str, ...]:
        """The systems whose holders have not answered yet, without which a copy is given."""
        if "access" not in rights or self.result("access") == "refused":
            return ()
        late = self.people_left("hand_out")
        return (*self.searching, *(system for system in late if system not in self.searching))

    def reader(self, now: datetime) -> str:
        """Who is told: the representative who proved the right to ask, while it lasts; else the data subject."""
        until = self.represented_until
        represents = self.represented_by is not None and self.representative_mail
        return REPRESENTATIVE if represents and (until is None or now < until) else SUBJECT

    @property
    def accepted(self) -> str:
        """The ways of identification that this controller accepts, by channel."""
        return "; ".join(f"{channel}: {', '.join(ways)}" for channel, ways in self.terms.ways.items() if ways)

    def result(self, right: Right) -> Literal["fulfilled", "in_part", "refused"]:
        """What the answer says of a right: what a person decided, or in part where something had to be kept."""
        assessment = self.assessments.get(right)
        outcome = assessment.outcome if assessment else "fulfilled"
        if right == "erasure" and outcome == "fulfilled" and self.erased is not None and self.kept:
            return "in_part"
        return outcome

    # ---- people as data systems ----

    @property
    def kept(self) -> dict[str, str]:
        """What an erasure left, in systems and with people → the ground."""
        assessment = self.assessments.get("erasure")
        kept = dict(self.erased.kept) if self.erased is not None else {}
        if assessment is not None and assessment.ground is not None:
            held = {record for person in self.people or () for record in self.records_of(person.name)}
            wanted = (*assessment.keep, *self.in_use_on_paper)
            kept |= dict.fromkeys((record for record in wanted if record in held), assessment.ground)
        for asked in self.asked:
            kept |= asked.kept
        return kept

    def records_of(self, system: str, act: PersonAct = "search") -> tuple[str, ...]:
        """What its holder found, by name, as far as an act is about it."""
        every = tuple(f"{system}:{n}" for n in range(1, len(self.found.get(system, ())) + 1))
        left_out: set[str] = set()
        if act == "hand_out" and (access := self.assessments.get("access")) is not None:
            left_out = {w.record for w in access.withheld if w.record and w.field is None}
        if act == "erase" and (erasure := self.assessments.get("erasure")) is not None:
            left_out = {*erasure.keep, *self.in_use_on_paper}
        return tuple(record for record in every if record not in left_out)

    @property
    def in_use_on_paper(self) -> tuple[str, ...]:
        """What people keep and a legal hold or a storage term does not let go, as it was when all was gathered."""
        people = {person.name for person in self.people or ()}
        return tuple(record for system in self.systems if system.system in people for record in system.in_use)

    def items_for(self, asked: Asked) -> tuple[HeldItem, ...]:
        """What an act is about."""
        named = zip(self.records_of(asked.system), self.found.get(asked.system, ()), strict=True)
        return tuple(item for record, item in named if record in asked.records)

    def asked_of(self, system: str, act: PersonAct) -> Asked | None:
        """What a person was asked for."""
        return next((a for a in self.asked if (a.system, a.act) == (system, act)), None)

    @property
    def unanswered(self) -> tuple[Asked, ...]:
        """What people were asked for and have not answered."""
        return tuple(a for a in self.asked if a.answered_at is None)

    @property
    def searching(self) -> tuple[str, ...]:
        """The systems of people who are still searching, where anything that is asked for needs it."""
        if all(self.result(right) == "refused" for right in self.rights if right not in UNCHECKED):
            return ()
        answered = {a.system for a in self.asked if a.act == "search" and a.answered_at is not None}
        return tuple(person.name for person in self.people or () if person.name not in answered)

    def people_left(self, act: PersonAct) -> tuple[str, ...]:
        """The systems whose holders found something that this act is about, and have not done it."""
        done = {a.system for a in self.asked if a.act == act and a.answered_at is not None}
        return tuple(p.name for p in self.people or () if self.records_of(p.name, act) and p.name not in done)

    def to_ask(self, stage: str) -> tuple[tuple[str, PersonAct], ...]:
        """What is to be asked of people now and was not yet: data system and act."""
        wanted: list[tuple[str, PersonAct]] = [(system, "search") for system in self.searching]
        if stage in ("assessing", "carrying_out"):
            for right, act in HANDLED[1:3]:
                wanted += [(system, act) for system in self.people_left(act) if self.granted(right)]
        if stage == "carrying_out" and self.granted("access"):
            wanted += [(system, "hand_out") for system in self.people_left("hand_out")]
        if stage == "erasing":
            wanted += [(system, "erase") for system in self.people_left("erase")]
        if stage == "lifting" and self.lifting is not None and self.lifting.status == "told":
            marked = {a.system for a in self.asked if a.act == "restrict"}
            wanted += [(system, "release") for system in self.people_left("release") if system in marked]
        return tuple(one for one in wanted if self.asked_of(*one) is None)


class PrivacyWork(Model):
    """What the activities of a request are asked: which one; everything else they read from the store."""

    case: str


# ---- messages -------------------------------------------------------------------------------------------------------


class PrivacyMessage(Message):
    """What only those who decide about people's requests may say."""

    role: ClassVar[Role] = "privacy"


class IdentifyPerson(PrivacyMessage):
    """The person who asks was identified, in a way that the controller accepts."""

    way: Text = Field(description="way of identification, one of those accepted")
    identified_at: Instant = Field(description="when the person was identified, such as 2026-11-21T10:00+02:00")
    document: Text = Field(description="reference to what was seen, never its number")
    channel: Channel | None = Field(default=None, description="by which channel, if not that of the request")
    signature: Sha256 | None = Field(
        default=None, description="qualified_signature: SHA-256 of the signed document, of which there is a verdict"
    )
    representation: Text | None = Field(
        default=None, description="representative: reference to the proof of the right to represent"
    )
    authority: Authority | None = Field(
        default=None,
        description="representative: kind (power_of_attorney, parent, guardian); rights, form, days",
    )


class RevokeRepresentation(PrivacyMessage):
    """The right to represent ended before its time: from then on only the data subject is told."""

    revoked_at: Instant = Field(description="when it ended, such as 2026-11-21T10:00+02:00")
    document: Text = Field(description="reference to what shows it")


class AskIdentification(PrivacyMessage):
    """Ask the person again to confirm the identity, by a letter that names the ways."""

    doubt: Text | None = Field(
        default=None, description="why the identity is doubtful, where the request came in an accepted way"
    )


class AssessRight(PrivacyMessage):
    """Decide about a right: fulfilled, in part or refused, with a ground of the controller's list."""

    right: Right = Field(description="the right, as asked for")
    outcome: Literal["fulfilled", "in_part", "refused"] = Field(description="fulfilled, in_part or refused")
    ground: Text | None = Field(default=None, description="ground, where not fulfilled")
    reason: Text | None = Field(
        default=None,
        description="what the person is told: reasons, where not fulfilled; a review's result; a source. Name nobody",
    )
    keep: tuple[Text, ...] = Field(default=(), description="erasure in part: what is kept, such as a case")
    cites: Text | None = Field(
        default=None, description="the statute that limits the right, or the proof that it is unfounded or excessive"
    )
    withheld: tuple[Withheld, ...] = Field(
        default=(),
        max_length=50,
        description="access or portability in part: what, record, field (rows.2.notes; * for each), ground, until",
    )
    keep_until: Day | None = Field(
        default=None, description="erasure in part: the last day on which what is kept is needed, if it is known"
    )
    published: bool = Field(
        default=False, description="erasure: true if the data had been published; record_steps follows the erasure"
    )
    fee: Fee | None = Field(
        default=None,
        description="amount (EUR), basis (further_copy, unfounded_or_excessive), reason, and of an unfounded one proof",
    )
    corrections: Data = Field(
        default=(),
        description="rectification: what the systems correct, as list of party (subject), category (of Fides, such as "
        "user.contact.email), was, now; without was it is filled in",
    )
    obtained_at: OldInstant | None = Field(
        default=None, description="information: when the data were obtained from someone else"
    )
    transfer: Literal["feasible", "not_feasible"] | None = Field(
        default=None, description="portability straight to another controller: feasible or not_feasible"
    )


class ConfirmDone(PrivacyMessage):
    """A right was carried out in the systems: corrected, restricted, stopped, reviewed."""

    right: Right = Field(description="the right, as asked for")
    done_at: Instant = Field(description="when it was done, such as 2026-11-21T10:00+02:00")
    reference: Text = Field(description="reference to the proof")
    correction: Correction | None = Field(
        default=None, description="where the term is over already: reason, document, second_person"
    )


class ReportRecipients(PrivacyMessage):
    """Who had received what was rectified, erased or restricted, and whether they were told; nobody is a list too."""

    right: Right = Field(description="rectification, erasure or restriction")
    recipients: tuple[Recipient, ...] = Field(
        max_length=100, description="list of name, outcome (told, impossible, disproportionate), told_at, reason"
    )
    reference: Text = Field(description="reference to the proof")
    correction: Correction | None = Field(
        default=None, description="where the term is over already: reason, document, second_person"
    )


class RecordSteps(PrivacyMessage):
    """What was done so that other controllers remove links to published data that were erased, and copies of them."""

    steps: tuple[PublicStep, ...] = Field(
        min_length=1,
        max_length=100,
        description="list of controller, outcome (asked, removed, not_feasible), done_at, reason where not feasible",
    )
    reference: Text = Field(description="reference to the proof")

    example: ClassVar[dict[str, Any]] = {
        "steps": [{"controller": "‹name›", "outcome": "asked", "done_at": "‹YYYY-MM-DDTHH:MM+02:00›"}]
    }


class ReportTransfer(PrivacyMessage):
    """A step of a transfer straight to another controller: agreed (the format), sent, received."""

    step: Literal["agreed", "sent", "received"] = Field(description="agreed, sent or received")
    at: Instant = Field(description="when, such as 2026-11-21T10:00+02:00")
    reference: Text = Field(description="reference to the proof")
    format: Text | None = Field(default=None, description="agreed: the format, such as CSV")


class ReportTold(Message):
    """Whoever received the request told the person orally what it needs and how to identify oneself."""

    told_at: Instant = Field(description="when, such as 2026-11-21T10:00+02:00")
    by: Staff = Field(description="code of who told them")
    reference: Reference = Field(description="reference to the note of it")
    correction: Correction | None = Field(
        default=None, description="where the term is over already: reason, document, second_person"
    )


class AnswerPart(PrivacyMessage):
    """Tell the person now of rights that are settled, or give the copy so far, while others still wait."""

    rights: Rights = Field(description="list of rights")


class LiftRestriction(PrivacyMessage):
    """The restriction is to end: the person is told first, then the mark is taken away."""

    reason: Text = Field(description="why, for the person; name nobody")


class JoinRequest(PrivacyMessage):
    """The same person asked the same before: the earlier request answers both."""

    into: Text = Field(description="the earlier request's case")


class ExtendRequest(PrivacyMessage):
    """Two more months for the answer; told to the person within the first term."""

    reason: Literal["complexity", "number"] = Field(description="complexity or number")


class ConfirmLetterSent(PrivacyMessage):
    """A letter that mail could not take (not the answer) was sent by another channel."""

    notice: Text = Field(description="key of the letter")
    channel: Channel = Field(description="post, portal, in_person, phone or email")
    sent_at: Instant = Field(description="when it was sent, such as 2026-11-21T10:00+02:00")
    reference: Text = Field(description="reference to the proof of sending")


class ConfirmAnswerSent(PrivacyMessage):
    """The answer was handed over or sent by a person: by portal, by post, in person."""

    channel: Channel = Field(description="post, portal, in_person, phone or email")
    sent_on: Day | None = Field(default=None, description="the day it was sent")
    sent_at: Instant | None = Field(default=None, description="or the instant, such as 2026-11-21T10:00+02:00")
    reference: Text = Field(description="reference to the proof of sending")
    correction: Correction | None = Field(
        default=None, description="where the term is over already: reason, document, second_person"
    )

    example: ClassVar[dict[str, Any]] = {"sent_on": "‹YYYY-MM-DD›"}

    @model_validator(mode="after")
    def _one_time(self) -> ConfirmAnswerSent:
        if (self.sent_on is None) == (self.sent_at is None):
            raise ValueError("either sent_on or sent_at")
        return self


class SendEncrypted(PrivacyMessage):
    """The password was handed over, never by e-mail: the answer with health data goes by e-mail, encrypted."""

    channel: Literal["in_person", "post", "portal", "phone"] = Field(
        description="how the password was handed over: in_person, post, portal or phone"
    )
    handed_over_at: Instant = Field(description="when it was, such as 2026-11-21T10:00+02:00")
    reference: Text = Field(description="reference to the proof; never the password")


class WithdrawRequest(PrivacyMessage):
    """The person took the request back; its clocks end without a judgment."""

    withdrawn_at: Instant = Field(description="when it was taken back, such as 2026-11-21T10:00+02:00")
    document: Text = Field(description="reference to what shows it")
