"""What the API takes and gives: the shapes of its document."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from crm import appeals
from crm.public import STAGES
from crm.stages import Awaited, Step

MOST_ID = 2**31 - 1
Id = Annotated[int, Field(ge=1, le=MOST_ID)]
Number = Annotated[int, Field(ge=1_000_000, le=999_999_999, description="The appeal’s number.", examples=[26000123])]
Code = Annotated[str, Field(pattern=r"^[0-9]{4}$", description="Told with the number.", examples=["4821"])]


def _a_stage(said: str) -> str:
    if said not in STAGES:
        raise ValueError("not a stage")
    return said


Stage = Annotated[str, AfterValidator(_a_stage), Field(json_schema_extra={"enum": [*STAGES]}, description=(
    "accepted: passed to those responsible; executed: says the department, the resident has not yet; "
    "solved: says the resident; the others are what they say."))]  # fmt: skip


class Shape(BaseModel):
    """Nothing that is not asked for is taken."""

    model_config = ConfigDict(extra="forbid")


# ── what is sent ──
class NewAppeal(Shape):
    """An appeal as the law wants it: who, where, what. Without a name it is held for a person. Either ``building_id``
    or ``place`` is needed."""

    subject_id: Id
    text: str = Field(min_length=1, max_length=appeals.LONGEST_TEXT)
    name: str = Field("", max_length=200, description="Surname and given name.")
    phone: str = Field("", max_length=40, description="As people write it, or E.164.")
    email: str = Field("", max_length=200)
    language: Literal["uk", "en"] = Field("uk", description="In which he is told of it.")
    building_id: Id | None = Field(None, description="From /addresses.")
    flat: str = Field("", max_length=20)
    place: str = Field("", max_length=200, description="In words, where there is no building.")
    district_id: Id | None = Field(None, description="Of a place in words.")
    tell_by: Literal["email", "sms", "phone", "nothing"] = Field(
        "nothing", description="How he is told of it; nothing: he looks himself.")  # fmt: skip
    auto_confirm: bool = Field(False, description="A machine may call and ask him whether it is solved.")
    incident_id: Id | None = Field(None, description="A known failure at the building that it is about.")
    apart: bool = Field(False, description="It is about none of the known failures.")


class Own(Shape):
    """Whose appeal it is, shown by its code."""

    number: Number
    code: Code


class Words(Own):
    """More about an appeal: words, photos, or both."""

    text: str = Field("", max_length=appeals.LONGEST_NOTE)


class Answer(Own):
    """The resident’s word on what the department says is done."""

    result: Literal["solved", "partly", "not_solved"]
    text: str = Field("", max_length=appeals.LONGEST_NOTE)


class Token(Shape):
    token: str = Field(min_length=1, max_length=100)


# ── what is given ──
class Subject(BaseModel):
    """``group``: what it stands under, "" for nothing. ``days``: to act in; null is a month."""

    id: int
    name: str
    group: str
    days: int | None


class Subjects(BaseModel):
    subjects: list[Subject]


class District(BaseModel):
    id: int
    name: str


class Districts(BaseModel):
    districts: list[District]


class Building(BaseModel):
    """``old_name``: the street’s, where it was found by that."""

    id: int
    street: str
    number: str
    district_id: int
    district: str
    old_name: str


class Addresses(BaseModel):
    addresses: list[Building]


class Incident(BaseModel):
    """A failure that is known. ``expected_at``: when it should be over."""

    id: int
    subject_id: int
    subject: str
    cause: str
    since: datetime
    expected_at: datetime | None


class AtBuilding(BaseModel):
    building: Building
    incidents: list[Incident]


class Registered(BaseModel):
    """``page``: the appeal’s own page, for the applicant alone: it opens without the code."""

    number: int
    code: str
    due_at: datetime
    page: str


class Held(BaseModel):
    """A person looks at it first; nothing is lost."""

    token: str
    message: str


class Became(BaseModel):
    """``waits``: nobody has looked yet. ``appeal``: that was made of it."""

    waits: bool
    appeal: Registered | None


class File(BaseModel):
    name: str
    media_type: str
    bytes: int


class Passed(BaseModel):
    """One step of the appeal’s way. ``words``: what the city answers, or the applicant wrote."""

    step: Step
    at: datetime
    department: str
    words: str
    until: datetime | None
    files: list[File]


class Status(BaseModel):
    """``awaited``: what is to happen next, ``by`` when it must. ``answerable``: the resident may say whether it is
    solved."""

    number: int
    subject_id: int
    subject: str
    stage: Stage
    awaited: Awaited
    by: datetime | None
    answerable: bool
    registered_at: datetime
    due_at: datetime
    steps: list[Passed]


class Public(BaseModel):
    """What everybody may see of an appeal. ``street``, ``district``: "" where there is none to show."""

    number: int
    subject_id: int
    subject: str
    district_id: int | None
    district: str
    street: str
    department: str
    stage: Stage
    open: bool
    registered_at: datetime
    updated_at: datetime
    due_at: datetime


class PublicList(BaseModel):
    """``before``: asks for the next part; null at the end."""

    appeals: list[Public]
    before: int | None


class Problem(BaseModel):
    """``id``: never changes, for programs. ``message``: for people, in the language asked for. ``fields``: what is
    wrong with which."""

    id: str
    message: str
    fields: dict[str, str] | None = None


class Failure(BaseModel):
    error: Problem


def form_schema(shape: type[BaseModel]) -> dict[str, Any]:
    """The same as a form with photos: what is left out stands for null there."""
    schema = shape.model_json_schema()
    for its in schema["properties"].values():
        if "anyOf" in its:
            its |= next(each for each in its.pop("anyOf") if each.get("type") != "null")
        its.pop("default", None)
    schema["properties"]["photos"] = {"type": "array", "maxItems": 5, "items": {"type": "string", "format": "binary"}}
    return schema
