"""Access control: find out whether visitors must log in."""

import tomllib
from collections.abc import Sequence
from pathlib import Path


def secrets_files() -> tuple[Path, Path]:
    """Return the paths where Streamlit looks for secrets: the working folder, then the home."""
    return (Path.cwd() / ".streamlit/secrets.toml", Path.home() / ".streamlit/secrets.toml")


def is_login_configured(files: Sequence[Path] | None = None) -> bool:
    """Return whether an `[auth]` section names an OpenID Connect provider, as `st.login` needs.

    Raises:
        ValueError: a secrets file is not valid TOML.
    """
    return any(_has_login(file) for file in (files or secrets_files()) if file.is_file())


def _has_login(file: Path) -> bool:
    try:
        secrets = tomllib.loads(file.read_text())
    except tomllib.TOMLDecodeError as error:
        # The parser's message is left out: it may quote lines of the file, which are secrets.
        raise ValueError(f"{file} must be TOML: repair or remove it") from error
    return bool(secrets.get("auth"))
