"""Files that anybody may have written: read or refused, never a traceback, never code that runs."""

import json
import os
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from search.config.loader import dump_study, load_study
from search.data.dataset import Dataset
from search.errors import ArtifactError, StudyFileError
from search.evaluation.artifact import RECIPE, WEIGHTS, Provenance, load_network, write_student
from search.files.atomic import CHECKSUMS, file_digest, written_whole
from spaces.pruning.magnitude import Magnitude
from tests.search.config.test_study_file import PIECES, STUDY

pytestmark = pytest.mark.slow
# The same inputs each time, unless their number is given: `RETORT_FUZZ_INPUTS=10000 pytest …`.
INPUTS = settings(
    max_examples=int(os.environ.get("RETORT_FUZZ_INPUTS", "1000")),
    deadline=None,
    derandomize="RETORT_FUZZ_INPUTS" not in os.environ,
    suppress_health_check=list(HealthCheck),
)

PLAIN = {
    "student": "timm",
    "student.timm.model": "test_resnet",
    "training": "standard",
    "distillation": "labels",
    "quantization": "float32",
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@INPUTS
@given(data=st.data())
def test_fault_20_made_up_study_files_are_loaded_or_refused(
    folder: Path, data: st.DataObject
) -> None:
    path = folder / "study.yaml"
    if data.draw(st.booleans()):
        path.write_bytes(data.draw(st.binary(max_size=300)))
    else:
        text = STUDY
        for _ in range(data.draw(st.integers(1, 4))):
            start = data.draw(st.integers(0, len(text)))
            end = min(len(text), start + data.draw(st.integers(0, 12)))
            text = text[:start] + data.draw(PIECES | st.text(max_size=4)) + text[end:]
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        study = load_study(path)
    except StudyFileError as error:
        str(error).encode()  # can be printed
    else:
        json.dumps(dump_study(study), allow_nan=False)


@pytest.fixture(scope="module")
def student(folder: Path, schooled: nn.Module, stripes: Dataset) -> Path:
    """A pruned student on disk."""
    pruning = Magnitude(ratio=0.5)
    pruned, cuts = pruning.apply(schooled, torch.zeros(1, 1, 32, 32))
    provenance = Provenance(
        params=PLAIN | {"pruning": "magnitude", "pruning.magnitude.ratio": 0.5},
        cuts=tuple(cuts),
        data=stripes.info,
        origin={"study": "stripes"},
    )
    with written_whole(folder / "student") as temporary:
        write_student(temporary, pruned.eval(), provenance)
    return folder / "student"


@INPUTS
@given(data=st.data())
def test_fault_28_made_up_artifacts_are_read_or_refused(student: Path, data: st.DataObject) -> None:
    whole = {name: (student / name).read_bytes() for name in (RECIPE, WEIGHTS, CHECKSUMS)}
    try:
        _mutate(student, data)
        if data.draw(st.booleans()):
            # As one who means harm would: the checksums are made to fit.
            lines = [f"{file_digest(student / name)}  {name}\n" for name in (RECIPE, WEIGHTS)]
            (student / CHECKSUMS).write_text("".join(lines))
        try:
            load_network(student)
        except ArtifactError as error:
            str(error).encode()  # can be printed
    finally:
        for name, content in whole.items():
            (student / name).write_bytes(content)


def _mutate(student: Path, data: st.DataObject) -> None:
    """Changes a value of the recipe, or some bytes of one of the files."""
    if data.draw(st.booleans()):
        document = json.loads((student / RECIPE).read_text())
        place = document
        while True:
            key = data.draw(st.sampled_from(sorted(place)))
            if isinstance(place[key], dict) and place[key] and data.draw(st.booleans()):
                place = place[key]
            else:
                break
        place[key] = data.draw(JSON)
        (student / RECIPE).write_text(json.dumps(document))
        return
    path = student / data.draw(st.sampled_from([RECIPE, WEIGHTS, CHECKSUMS]))
    content = bytearray(path.read_bytes())
    # The head of the weights is what a reader has to interpret.
    start = data.draw(st.integers(0, min(len(content) - 1, 3000)))
    length = data.draw(st.integers(0, 8))
    content[start : start + length] = data.draw(st.binary(max_size=8))
    path.write_bytes(bytes(content))
