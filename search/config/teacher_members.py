"""The members of a study's teacher: copies, generations and assistants, written out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from search.config.teacher_settings import TeacherSettings

# The seeds of a generation are this far from those of the one before.
_GENERATION = 1000


@dataclass(frozen=True)
class TeacherMember:
    """One network of a study's teachers.

    Attributes:
        settings: the network's settings; one copy and one generation of them.
        key: the study file's key of the settings.
        place: the number of the copy, counted over all settings of the study.
        copy: the number of the copy of these settings, from 0.
        generation: the number of the generation, from 0.
        taught_by: the members from which it learns by distillation; empty if it learns from labels
            alone, or not at all.
        is_assistant: whether it is an assistant.
    """

    settings: TeacherSettings
    key: str
    place: int = 0
    copy: int = 0
    generation: int = 0
    taught_by: "tuple[TeacherMember, ...]" = ()
    is_assistant: bool = False

    def seed(self, study_seed: int) -> int:
        """Return the seed of the member's training."""
        own = self.settings.train.seed if self.settings.train else None
        start = study_seed + self.place if own is None else own + self.copy
        return start + _GENERATION * self.generation

    @property
    def label(self) -> tuple[str, int, int]:
        """Return what tells the member from all others of its study."""
        return self.key, self.copy, self.generation

    @property
    def name(self) -> str:
        """The name for people."""
        settings = self.settings
        name = str(settings.model or settings.exported or settings.factory)
        born_again = settings.train is not None and settings.train.generations > 1
        name = f"{name}, generation {self.generation + 1}" if born_again else name
        return f"assistant {name}" if self.is_assistant else name

    @property
    def role(self) -> str:
        """What the member is, for lines about its training."""
        train = self.settings.train
        role = "assistant" if self.is_assistant else "teacher"
        if train is not None and train.generations > 1:
            role = f"{role}, generation {self.generation + 1} of {train.generations}"
        if self.settings.copies > 1:
            role = f"{role}, copy {self.copy + 1} of {self.settings.copies}"
        return role


def teaching_members(stated: Sequence[TeacherSettings]) -> tuple[TeacherMember, ...]:
    """Return the networks that teach the students, in the order of the study file."""
    found: list[TeacherMember] = []
    place = 0
    for number, settings in enumerate(stated):
        key = "teacher" if len(stated) == 1 else f"teacher.{number}"
        found += _with_assistants(settings, key, place)
        place += settings.copies
    return tuple(found)


def all_members(teaching: Sequence[TeacherMember]) -> tuple[TeacherMember, ...]:
    """Return these members and those from which they learn, each once, the taught ones last."""
    found: dict[int, TeacherMember] = {}
    for member in teaching:
        found |= {id(one): one for one in all_members(member.taught_by)}
        found[id(member)] = member
    return tuple(found.values())


def all_settings(stated: Sequence[TeacherSettings]) -> Iterator[TeacherSettings]:
    """Yield the settings and those of all assistants."""
    for settings in stated:
        yield settings
        if settings.assistant:
            yield from all_settings([settings.assistant])


def _with_assistants(settings: TeacherSettings, key: str, place: int) -> tuple[TeacherMember, ...]:
    members = _copies(settings, key, place)
    while settings.assistant:
        settings, key = settings.assistant, f"{key}.assistant"
        members = _copies(settings, key, place, taught_by=members)
    return members


def _copies(
    settings: TeacherSettings,
    key: str,
    place: int,
    taught_by: tuple[TeacherMember, ...] = (),
) -> tuple[TeacherMember, ...]:
    """Return the members that teach, of all copies and generations of the settings."""
    found: list[TeacherMember] = []
    generations = settings.train.generations if settings.train else 1
    for copy in range(settings.copies):
        line: list[TeacherMember] = []
        for generation in range(generations):
            member = TeacherMember(
                settings=settings,
                key=key,
                place=place + copy,
                copy=copy,
                generation=generation,
                taught_by=tuple(line[-1:]) or taught_by,
                is_assistant=bool(taught_by),
            )
            line.append(member)
        teach_all = settings.train is not None and settings.train.teaches == "all"
        found += line if teach_all else line[-1:]
    return tuple(found)
