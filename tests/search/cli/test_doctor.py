import json
import re
from importlib.metadata import version

from spaces.processor import multiplies_int8_exactly
from tests.messages import naming
from tests.search.cli.conftest import AddStudy, Retort


def test_doctor_tells_of_libraries_processor_and_disk(retort: Retort) -> None:
    result = retort("doctor", "--json")
    assert result.exit_code == 0
    findings = json.loads(result.stdout)
    assert findings["torch"] == version("torch")
    assert int(findings["cores"]) >= 1
    assert naming(8 if multiplies_int8_exactly() else 7).search(findings["int8"])
    assert re.match(r"[\d.]+ [KMGT]B\b", findings["disk"])


def test_doctor_counts_the_studies_of_the_store(retort: Retort, add_study: AddStudy) -> None:
    add_study()
    assert naming("sqlite:///retort.db", 1).search(retort("doctor").stdout.splitlines()[-1])


def test_doctor_reports_a_store_that_is_missing_and_still_succeeds(retort: Retort) -> None:
    result = retort("doctor")
    assert result.exit_code == 0
    assert "retort.db" in result.stdout
