"""The settings of tables of images (`data.source: table`), and of the names of classes."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field

from search.config.fields import Section
from search.files.paths import expanded


class TableColumns(Section):
    """The columns of a table of images; one that is not set is found by its usual names."""

    image: str | None = Field(
        None,
        min_length=1,
        description="column with the path of each image, or a pattern of columns, such as "
        '"train/{id}.jpg"; null: found by its name, such as path, image, file_name or id',
    )
    label: str | None = Field(
        None,
        min_length=1,
        description="column with the class of each image; null: found by its name, such as label, "
        "class or category",
    )
    group: str | None = Field(
        None,
        description="column with the group of each image, such as a scene or a patient, which a "
        'split keeps in one part; null: the column group or scene, if there is one; "": none',
    )
    part: str | None = Field(
        None,
        description="column with the part of each image: train, val or test; null: the column "
        'split, part, subset or partition, if there is one; "": none',
    )


def class_names(given: object) -> object:
    """Return the names of classes: a file's path, a list by number, or a mapping by class."""
    if isinstance(given, str):
        return expanded(given)
    values = list(given.values()) if isinstance(given, dict) else given
    if isinstance(values, list) and values and all(isinstance(name, str) for name in values):
        return given
    raise ValueError(
        "must be a file with the names of the classes, a list of names, or a mapping of classes "
        f"to names (numbers in quotes), but got {given!r}"
    )


ClassNames = Annotated[str | list[str] | dict[str, str], BeforeValidator(class_names)]


def check_table(source: str, *, groups: str | None, only_tables: Mapping[str, object]) -> None:
    """Check that the keys of a table belong to a table, and that one key alone sets groups.

    Args:
        source: the source of the images.
        groups: the rule for groups by the path of an image.
        only_tables: the values of the keys that only tables have; None where a key is left out.

    Raises:
        ValueError: a key does not fit the source, or groups are set twice.
    """
    given = [key for key, value in only_tables.items() if value is not None]
    if given and source != "table":
        raise ValueError(
            f"{' and '.join(given)} must be left out unless source is table, but the source is "
            f"{source}"
        )
    columns = only_tables["columns"]
    if groups is not None and isinstance(columns, TableColumns) and columns.group:
        raise ValueError(
            f"groups come from a column or from the paths of images, but both are set: leave out "
            f"columns.group, {columns.group!r}, or groups, {groups!r}"
        )
