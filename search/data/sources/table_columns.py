"""The columns of a table that hold the image, the label, the group and the part of each row."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from search.config.table_settings import TableColumns
from search.data.image_kinds import SUFFIXES
from search.data.sources.table_file import TableFile, shown_names
from search.errors import DataError
from spaces.names import suggestion

# The usual names in lower case, without what is no letter or digit. The first set that occurs
# counts.
_USUAL: Mapping[str, tuple[frozenset[str], ...]] = {
    "image": (
        frozenset(("path", "image", "file", "filename", "filepath", "img"))
        | frozenset(("imagepath", "imagefile", "imagename", "imgpath", "imgname")),
        frozenset(("id", "imageid")),
    ),
    "label": (
        frozenset(("label", "class", "target", "category")),
        frozenset(("labelname", "classname", "categoryname")),
        frozenset(("labelid", "classid", "categoryid")),
    ),
    "group": (frozenset(("group", "groupid", "scene", "sceneid")),),
    "part": (frozenset(("split", "part", "subset", "partition")),),
}
# Columns whose value images of one scene, person or device may share.
_LIKELY_GROUPS = re.compile(
    r"(patient|subject|person|user|video|clip|track|sequence|session|burst|camera|site|location)"
    r"(id|no|number|name)?"
)
_FIELD = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, kw_only=True)
class ChosenColumns:
    """The columns of a table by their use.

    Attributes:
        image: a pattern with the columns in braces, such as `images/{id}.jpg`.
        label: the column of the labels.
        group: the column of the groups; None if there is none.
        part: the column of the parts; None if there is none.
    """

    image: str
    label: str
    group: str | None
    part: str | None

    def __str__(self) -> str:
        image = _FIELD.sub(r"\1", self.image) if _FIELD.fullmatch(self.image) else self.image
        uses = {"image": image, "label": self.label, "group": self.group, "part": self.part}
        return ", ".join(f"{use} from {value}" for use, value in uses.items() if value)


def choose_columns(
    table: TableFile, given: TableColumns | None, *, groups: str | None
) -> ChosenColumns:
    """Return the columns that are set, or else those with usual names.

    Args:
        table: the table.
        given: the columns that the study file names.
        groups: the study file's rule for groups by the path of an image; with it, no column of
            groups is looked for.

    Raises:
        DataError: a column is missing, or several have usual names.
    """
    given = given or TableColumns()
    group = "" if groups is not None and given.group is None else given.group
    return ChosenColumns(
        image=_image(table, given.image),
        label=_required(table, "label", given.label),
        group=_column(table, "group", group),
        part=_column(table, "part", given.part),
    )


def image_values(table: TableFile, pattern: str) -> list[str]:
    """Return the path of each row's image, as the table and the pattern name it.

    Raises:
        DataError: a row has no value in a column of the pattern.
    """
    names = _FIELD.findall(pattern)
    columns = {name: table.column(name) for name in names}
    for name, values in columns.items():
        if "" in values:
            raise DataError(
                f"each row of a table must name an image, but {table.place(values.index(''))} of "
                f"{table.path.name} has no {name!r}; fill it in, or remove the row"
            )
    text = _FIELD.sub("%s", pattern.replace("%", "%%"))
    return [text % values for values in zip(*(columns[name] for name in names), strict=True)]


def likely_group_column(table: TableFile, chosen: ChosenColumns) -> str:
    """Return a column that may hold groups, by its name; empty if there is none."""
    used = {chosen.label, chosen.part, *_FIELD.findall(chosen.image)}
    free = [name for name in table.names if name not in used]
    return next((name for name in free if _LIKELY_GROUPS.fullmatch(_plain(name))), "")


def _image(table: TableFile, given: str | None) -> str:
    if given is None or given in table.names or not (fields := _FIELD.findall(given)):
        return f"{{{_required(table, 'image', given)}}}"
    for name in fields:
        _check_known(table, "image", name)
    return given


def _required(table: TableFile, use: str, given: str | None) -> str:
    found = _column(table, use, given)
    if found is not None:
        return found
    has_header = not any(_is_image(name) for name in table.names)
    raise DataError(
        f"a table must have a column with the {use} of each row, but none of the columns of "
        f"{table.path.name} has a usual name for it: {shown_names(table.names)}; set "
        f"data.columns.{use} to one of them"
        + ("" if has_header else ", or add a first line with the names of the columns")
    )


def _column(table: TableFile, use: str, given: str | None) -> str | None:
    """Return the column that is set, or the one with a usual name; None if there is none."""
    if given is not None:
        if given == "":
            return None
        _check_known(table, use, given)
        return given
    for usual in _USUAL[use]:
        found = [name for name in table.names if _plain(name) in usual]
        if len(found) > 1:
            raise DataError(
                f"one column of a table must hold the {use} of each row, but {shown_names(found)} "
                f"of {table.path.name} may: set data.columns.{use} to one of them"
            )
        if found:
            return found[0]
    return None


def _check_known(table: TableFile, use: str, name: str) -> None:
    if table.names.count(name) == 1:
        return
    if name in table.names:
        raise DataError(
            f"the columns of a table must have different names, but {table.path.name} has "
            f"{table.names.count(name)} columns {name!r}; rename them"
        )
    raise DataError(
        f"data.columns.{use} must name a column of {table.path.name}, but {name!r} is none of "
        f"{shown_names(table.names)}{suggestion(name, table.names)}"
    )


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES
