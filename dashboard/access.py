"""Who may look: whether this dashboard asks its visitors to log in."""

import tomllib
from collections.abc import Sequence
from pathlib import Path


def secrets_files() -> tuple[Path, Path]:
    """Where Streamlit looks for secrets: beside what a person works on, then in their home."""
    return (Path.cwd() / ".streamlit/secrets.toml", Path.home() / ".streamlit/secrets.toml")


def is_login_configured(files: Sequence[Path] | None = None) -> bool:
    """Whether an `[auth]` section names an OpenID Connect provider, as `st.login` needs it.

    Raises:
        ValueError: a secrets file is no TOML.
    """
    return any(_has_login(file) for file in (files or secrets_files()) if file.is_file())


def _has_login(file: Path) -> bool:
    try:
        secrets = tomllib.loads(file.read_text())
    except tomllib.TOMLDecodeError as error:
        # Its lines are secrets, so the parser's message, which may quote them, is left out.
        raise ValueError(f"{file} must be TOML: mend or remove it") from error
    return bool(secrets.get("auth"))
