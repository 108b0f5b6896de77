"""How the dashboard's server is started, and whom it refuses to serve."""

from pathlib import Path

import pytest

from dashboard.access import is_login_configured
from dashboard.launch import check_host, launch, server_command, server_environment
from search.errors import BadInput

SECRET_URL = "postgresql+psycopg://retort:hunter2@db/retort"  # noqa: S105


@pytest.fixture(autouse=True)
def _nobody_has_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))


def configure(text: str) -> Path:
    file = Path.cwd() / ".streamlit/secrets.toml"
    file.parent.mkdir()
    file.write_text(text)
    return file


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", ""])  # noqa: S104
def test_fault_27_a_host_that_others_reach_is_refused(host: str) -> None:
    with pytest.raises(BadInput, match="host must be this machine's own"):
        launch("sqlite:///retort.db", host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_alone_is_served_without_a_login(host: str) -> None:
    check_host(host)


def test_another_host_is_served_where_the_caller_insists() -> None:
    check_host("0.0.0.0", insist=True)  # noqa: S104


def test_another_host_is_served_where_login_is_configured() -> None:
    configure('[auth]\nclient_id = "retort"\n')
    check_host("0.0.0.0")  # noqa: S104


def test_secrets_without_a_login_are_no_login() -> None:
    assert not is_login_configured([configure('[other]\nkey = "1"\n')])


def test_broken_secrets_are_refused_without_being_quoted() -> None:
    configure("hunter2 = = 1")
    with pytest.raises(BadInput, match="must be TOML") as refusal:
        check_host("0.0.0.0")  # noqa: S104
    assert "hunter2" not in str(refusal.value)


def test_streamlit_invites_to_nothing_over_the_page() -> None:
    command = server_command(host="127.0.0.1", port=8501, open_browser=True)
    assert "--logger.hideWelcomeMessage=true" in command
    assert "--browser.gatherUsageStats=false" in command


def test_the_command_line_holds_no_secret() -> None:
    environment = server_environment(SECRET_URL, study="digits")
    command = server_command(host="127.0.0.1", port=8501, open_browser=False)
    assert environment["RETORT_STORE"] == SECRET_URL
    assert environment["RETORT_STUDY"] == "digits"
    assert not any("hunter2" in word for word in command)


def test_an_older_study_of_the_environment_is_not_handed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RETORT_STUDY", "yesterday")
    assert "RETORT_STUDY" not in server_environment("sqlite:///retort.db", study=None)


@pytest.mark.parametrize(
    "flag",
    [
        "--server.address=127.0.0.1",
        "--server.allowedHosts=127.0.0.1",
        "--browser.gatherUsageStats=false",
        "--client.showErrorDetails=none",
        "--server.enableXsrfProtection=true",
        "--server.enableCORS=true",
        "--server.headless=true",
    ],
)
def test_the_server_is_started_closed(flag: str) -> None:
    assert flag in server_command(host="127.0.0.1", port=8501, open_browser=False)


def test_any_host_name_is_answered_only_where_any_address_is_bound() -> None:
    anywhere = server_command(host="0.0.0.0", port=8501, open_browser=False)  # noqa: S104
    at_home = server_command(host="127.0.0.1", port=8501, open_browser=False)
    assert "--server.allowedHosts=*" in anywhere
    assert "--server.allowedHosts=*" not in at_home


def test_the_server_is_found_from_any_folder() -> None:
    command = server_command(host="127.0.0.1", port=8501, open_browser=False)
    app = Path(command[command.index("run") + 1])
    assert app.is_absolute()
    assert app.is_file()
