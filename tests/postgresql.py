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
    """

    def __init__(self) -> None:
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
        self._options = f"-p {port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off"
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

    def create_database(self) -> str:
        """The URL of a new, empty database."""
        import psycopg

        name = f"test_{os.urandom(6).hex()}"
        address = f"postgresql://{self.address}/postgres"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://{self.address}/{name}"

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
