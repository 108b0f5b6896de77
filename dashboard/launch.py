"""Start of the dashboard's server, with restricted access. Imports nothing that is slow."""

import ipaddress
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from dashboard.access import is_login_configured
from search.errors import BadInput

_APP = Path(__file__).with_name("app.py")
STORE_VARIABLE = "RETORT_STORE"
STUDY_VARIABLE = "RETORT_STUDY"

_OPTIONS = {
    "browser.gatherUsageStats": "false",
    "client.showErrorDetails": "none",
    "client.showErrorLinks": "false",
    "client.toolbarMode": "viewer",
    # Streamlit's welcome also invites to install its skills, by a card over the page.
    "logger.hideWelcomeMessage": "true",
    "runner.magicEnabled": "false",
    "server.enableAgentApi": "false",
    "server.enableCORS": "true",
    "server.enableStaticServing": "false",
    "server.enableXsrfProtection": "true",
    "server.fileWatcherType": "none",
    "server.showEmailPrompt": "false",
    "theme.light.primaryColor": "#0d8a6a",
    "theme.dark.primaryColor": "#19c39a",
}


def launch(
    url: str,
    *,
    study: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8501,
    open_browser: bool = True,
    insist: bool = False,
) -> int:
    """Serve the dashboard until it is stopped.

    Args:
        url: the store's URL; passed in the environment, because it may hold a password.
        study: the study shown first; by default the one that changed last.
        host: the address to listen on.
        port: the port to listen on.
        open_browser: whether to open the page in this machine's browser.
        insist: listen on `host` even if anyone who reaches it can see the dashboard.

    Returns:
        The server's exit status; 0 if a person stopped it.

    Raises:
        BadInput: other machines can reach `host`, no login is required, and the caller does not
            insist.
    """
    check_host(host, insist=insist)
    command = server_command(host=host, port=port, open_browser=open_browser)
    server = subprocess.Popen(command, env=server_environment(url, study=study))  # noqa: S603
    name = f"[{host}]" if ":" in host else host
    sys.stdout.write(f"dashboard: http://{name}:{port} (Ctrl-C ends it)\n")
    sys.stdout.flush()
    try:
        return server.wait()
    except KeyboardInterrupt:
        # The server receives Ctrl-C too, but not a signal to this process alone: see below.
        return 0
    finally:
        server.terminate()
        server.wait()


def check_host(host: str, *, insist: bool = False) -> None:
    """Refuse an address that others can reach, unless login is required or the caller insists.

    Raises:
        BadInput: the address is refused.
    """
    if insist or _is_loopback(host):
        return
    try:
        has_login = is_login_configured()
    except ValueError as error:
        raise BadInput(str(error)) from error
    if not has_login:
        raise BadInput(
            f"host must be this machine's own, such as 127.0.0.1, but got {host}: anyone who "
            "reaches it could read the whole store. Configure a login ([auth] in "
            ".streamlit/secrets.toml), tunnel with ssh -L, or pass --insist"
        )


def server_command(*, host: str, port: int, open_browser: bool) -> list[str]:
    """Return the command line. It holds no secret, because others on this machine can read it."""
    options = {
        **_OPTIONS,
        "server.address": host,
        "server.port": str(port),
        "server.headless": "false" if open_browser else "true",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    flags += [f"--server.allowedHosts={name}" for name in _names(host)]
    # -P: a folder named `search` in the working folder must not replace our package.
    return [sys.executable, "-P", "-m", "streamlit", "run", str(_APP), *flags]


def server_environment(url: str, *, study: str | None) -> Mapping[str, str]:
    """Return this process's environment, with the store and the study that the server shows."""
    passed = {STORE_VARIABLE: url} | ({} if study is None else {STUDY_VARIABLE: study})
    others = {name: value for name, value in os.environ.items() if name != STUDY_VARIABLE}
    return others | passed


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _names(host: str) -> list[str]:
    """Return the host names by which a browser may address the server.

    Without this check, another site could reach the server by DNS rebinding.
    """
    if _is_loopback(host):
        return ["localhost", "127.0.0.1", "::1"]
    is_any = host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    return ["*"] if is_any else [host, "localhost"]
