"""The words of a privacy request: what is filed, what the case remembers between steps, and what people say to it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from models.case import Correction, Day, Instant, Message, Text
from models.common import Model
from models.operator import Role
from models.settlement import Label

# ---- what is filed --------------------------------------------------------------------------------------------------

Right = Literal["access", "erasure"]
Channel = Literal["in_person", "post", "email", "portal", "phone"]

LATER = (
    "rectification",
    "restriction",
    "portability",
    "objection",
    "automated_decision_review",
    "marketing_objection",
    "consent_withdrawal",
)
"""Rights that the law gives and a later version of the product handles."""


def _known_right(value: Any) -> Any:
    if value in LATER:
        raise ValueError(f"{value} is not handled yet: it comes in a later version; now access and erasure")
    return value


def _each_once(rights: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(rights)) != len(rights):
        raise ValueError("a right is asked for once in a request")
    return rights


Rights = Annotated[
    tuple[Annotated[Right, BeforeValidator(_known_right)], ...], Field(min_length=1), AfterValidator(_each_once)
]


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


# ---- what people read -----------------------------------------------------------------------------------------------


def _label(lv: str, lt: str, en: str) -> Label:
    return Label(lv=lv, lt=lt, en=en)


RIGHTS: dict[str, Label] = {
    "access": _label("Piekļuve datiem", "Prieiga prie duomenų", "Access to the data"),
    "erasure": _label("Datu dzēšana", "Duomenų ištrynimas", "Erasure of the data"),
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
        "uzrādot personu apliecinošu dokumentu", "pateikus asmens dokumentą", "with an identity document"
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
    "legal_duty": _label("juridisks pienākums datus glabāt", "teisinė prievolė saugoti", "a legal duty to keep them"),
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
}
EXTENSION_REASONS: dict[str, Label] = {
    "complexity": _label("pieprasījums ir sarežģīts", "prašymas sudėtingas", "the request is complex"),
    "number": _label("pieprasījumu ir daudz", "gauta daug prašymų", "many requests were received"),
}

# ---- what the case remembers ----------------------------------------------------------------------------------------

Letter = Literal["queued", "sent", "refused"]


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


class Assessment(Model):
    """What a person decided about a right."""

    outcome: Literal["fulfilled", "in_part", "refused"]
    ground: str | None = None
    reason: str | None = None
    keep: tuple[str, ...] = ()
    """Erasure in part: what a person wants kept on that ground, such as a case under a legal hold."""
    by: str


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


class Erased(Model):
    """What `privacy.erase` answers; a second look has found nothing but what is kept."""

    at: datetime
    erased: int
    kept: dict[str, str]
    """What was kept (a case, `client:K1`) → the ground."""
    unmarked: tuple[str, ...] = ()
    """Of these, what its system cannot mark as restricted: a person has to see that nobody uses it."""


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
    notices: dict[str, Letter] = Field(default_factory=dict)
    ended: tuple[tuple[str, str], ...] = ()
    """Duty and subject of the clocks that the answer ended; a bounce reopens them."""
    outcome: str | None = None

    @property
    def accepted(self) -> str:
        """The ways of identification that this controller accepts, by channel."""
        return "; ".join(f"{channel}: {', '.join(ways)}" for channel, ways in self.terms.ways.items() if ways)

    def result(self, right: Right) -> Literal["fulfilled", "in_part", "refused"]:
        """What the answer says of a right: what a person decided, or in part where something had to be kept."""
        assessment = self.assessments.get(right)
        outcome = assessment.outcome if assessment else "fulfilled"
        if right == "erasure" and outcome == "fulfilled" and self.erased is not None and self.erased.kept:
            return "in_part"
        return outcome


class PrivacyWork(Model):
    """What `privacy.gather` and `privacy.erase` are asked: the request; everything else they read from the store."""

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
    representation: Text | None = Field(
        default=None, description="representative: reference to the proof of the right to represent"
    )


class AskIdentification(PrivacyMessage):
    """Ask the person again to confirm the identity, by a letter that names the ways."""


class AssessRight(PrivacyMessage):
    """Decide about a right: fulfilled, in part or refused, with a ground of the controller's list."""

    right: Right = Field(description="access or erasure")
    outcome: Literal["fulfilled", "in_part", "refused"] = Field(description="fulfilled, in_part or refused")
    ground: Text | None = Field(default=None, description="ground, where not fulfilled")
    reason: Text | None = Field(default=None, description="reasons for the person, where not fulfilled; name nobody")
    keep: tuple[Text, ...] = Field(default=(), description="erasure in part: what is kept, such as a case")


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


class WithdrawRequest(PrivacyMessage):
    """The person took the request back; its clocks end without a judgment."""

    withdrawn_at: Instant = Field(description="when it was taken back, such as 2026-11-21T10:00+02:00")
    document: Text = Field(description="reference to what shows it")
