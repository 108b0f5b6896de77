import json

from tests.search.cli.conftest import AddStudy, Retort


def test_doctor_tells_of_libraries_processor_and_disk(retort: Retort) -> None:
    findings = json.loads(retort("doctor", "--json").stdout)
    assert not [name for name, found in findings.items() if found.startswith("missing")]
    assert int(findings["cores"]) >= 1
    assert "bits" in findings["int8"]
    assert findings["disk"].endswith("free")


def test_doctor_counts_the_studies_of_the_store(retort: Retort, add_study: AddStudy) -> None:
    add_study()
    assert "sqlite:///retort.db, 1 studies" in retort("doctor").stdout


def test_doctor_reports_a_store_that_is_missing_and_still_succeeds(retort: Retort) -> None:
    result = retort("doctor")
    assert result.exit_code == 0
    assert "retort.db" in result.stdout
