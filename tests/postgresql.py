"""A PostgreSQL server of the tests' own, that can be stopped and started."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

PASSWORD = "correct-horse"  # noqa: S105 - of a server that lives as long as the tests


class PostgresqlServer:
    """A server on a free port of this machine; running, until `stop` or `remove`.

    Skips the test where there are no binaries of PostgreSQL.

    Args:
        settings: of the server, besides those that the tests need.
    """

    def __init__(self, **settings: object) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not found:
            pytest.skip("no PostgreSQL in /usr/lib/postgresql: apt-get install postgresql")
        self._binaries = found[-1].parent
        # The server refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="retort-postgresql-"))
        password = self._folder / "password"
        password.write_text(PASSWORD)
        if self._user:
            for path in (self._folder, password):
                shutil.chown(path, self._user)
        self._call(
            "initdb", "-U", "retort", "-A", "scram-sha-256", f"--pwfile={password}", "-E", "UTF8"
        )
        port = _free_port()  # late: others look for one meanwhile
        self.address = f"retort:{PASSWORD}@127.0.0.1:{port}"
        settings |= {"listen_addresses": "127.0.0.1", "fsync": "off"}
        given = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self._options = f"-p {port} -k {self._folder} {given}"
        self.start()

    def start(self) -> None:
        log = str(self._folder / "log")
        self._call("pg_ctl", "-w", "-l", log, "-o", self._options, "start")

    def stop(self) -> None:
        self._call("pg_ctl", "-w", "-m", "immediate", "stop")

    def remove(self) -> None:
        if (self._folder / "data" / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self._folder)

    def create_database(self, folder: Path | None = None) -> str:
        """The URL of a new, empty database; its tables are kept in `folder`, if one is given."""
        name = f"test_{os.urandom(6).hex()}"
        within = ""
        if folder is not None:
            if self._user:
                shutil.chown(folder, self._user)
            self.execute(f"CREATE TABLESPACE {name} LOCATION '{folder}'")
            within = f" TABLESPACE {name}"
        self.execute(f"CREATE DATABASE {name}{within}")
        return f"postgresql+psycopg://{self.address}/{name}"

    def execute(self, *statements: str) -> None:
        """Runs each statement in a transaction of its own, as the server's superuser."""
        import psycopg

        address = f"postgresql://{self.address}/postgres"
        with psycopg.connect(address, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def _call(self, program: str, *arguments: str) -> None:
        command = [
            str(self._binaries / program), "-D", str(self._folder / "data"), *arguments
        ]  # fmt: skip
        subprocess.run(
            command, check=True, user=self._user, cwd=self._folder, stdout=subprocess.DEVNULL
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
