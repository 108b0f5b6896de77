"""The command that predicts the classes of images: predict."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.cli.browsing import OutputFormat
from search.cli.evaluating import Folder
from search.cli.options import Json, path
from search.cli.terminal import complain, csv_text, err, json_text, say
from search.errors import BadInput, DataError
from search.files.atomic import file_written_whole

if TYPE_CHECKING:
    from search.export.predict import ClassPrediction

_FORMATS = {".csv": OutputFormat.CSV, ".json": OutputFormat.JSON}


def predict(
    folder: Folder,
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Image files, and folders of them, with all folders below.",
            show_default=False,
            parser=path,
        ),
    ],
    *,
    top: Annotated[
        int, typer.Option(min=1, help="The number of classes to print for each image.")
    ] = 3,
    as_format: Annotated[
        OutputFormat | None, typer.Option("--format", help="The output format.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write a .csv or .json file.", show_default=False, parser=path
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Predict the classes of images, and print their probabilities.

    An image that can't be read is named, and the others are predicted; the exit code is then 1.
    """
    from search.data.image_kinds import in_words
    from search.export.predict import image_files
    from search.export.predict import predict as predict_images

    form = _format(as_format, output, as_json=as_json)
    damaged: list[DataError] = []
    rows = []
    files, unused = image_files(images)
    if unused:
        err.print(f"not used: {in_words(unused.items())}", markup=False, highlight=False)
    for image, classes in predict_images(folder, files, on_damage=damaged.append):
        if form is OutputFormat.TABLE:
            say(_line(image, classes[:top]))
        else:
            rows.append((image, classes[:top]))
    if form is not OutputFormat.TABLE:
        _write(rows, form, output)
    for error in damaged:
        complain(str(error))
    if damaged:
        raise typer.Exit(1)


def _format(given: OutputFormat | None, output: Path | None, *, as_json: bool) -> OutputFormat:
    """Return the format that the options name, or that the file's ending names."""
    form = OutputFormat.JSON if as_json else given
    if output is None:
        return form or OutputFormat.TABLE
    form = form or _FORMATS.get(output.suffix.lower())
    if form is None or form is OutputFormat.TABLE:
        raise BadInput(
            f"--output must end in {' or '.join(_FORMATS)}, or --format must be csv or json, but "
            f"--output is {output}"
        )
    return form


def _line(image: Path, classes: Sequence["ClassPrediction"]) -> str:
    shown = ", ".join(f"{each.label} {each.probability:.2%}" for each in classes)
    return f"{image}: {shown}"


def _write(
    rows: Sequence[tuple[Path, Sequence["ClassPrediction"]]],
    form: OutputFormat,
    output: Path | None,
) -> None:
    if form is OutputFormat.CSV:
        text = csv_text([_flat(image, classes) for image, classes in rows])
    else:
        text = json_text(
            [
                {"image": str(image), "classes": [vars(each) for each in classes]}
                for image, classes in rows
            ]
        )
    if output is None:
        sys.stdout.write(text)
        return
    with file_written_whole(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    say(f"wrote {output}: {len(rows)} images")


def _flat(image: Path, classes: Sequence["ClassPrediction"]) -> Mapping[str, Any]:
    """Return an image's row: `image, label, probability, label_2, probability_2, …`."""
    row: dict[str, Any] = {"image": str(image)}
    for place, each in enumerate(classes, start=1):
        end = "" if place == 1 else f"_{place}"
        row |= {f"label{end}": each.label, f"probability{end}": each.probability}
    return row
