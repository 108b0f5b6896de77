"""What must be nowhere: passwords, secrets in a URL's query, tokens."""

from pathlib import Path

import psycopg
import pytest

from tests.faults.conftest import Command, WriteStudy
from tests.postgresql import PASSWORD, PostgresqlServer

QUERY_SECRET = "tr0ub4dor"  # noqa: S105  of no one
TOKEN = "sesame-open-sesame"  # noqa: S105  of no one

SEARCH = """
import logging, sys
from pathlib import Path
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
for name in ("sqlalchemy.engine", "sqlalchemy.pool", "alembic", "ray", "psycopg", "search"):
    logging.getLogger(name).setLevel(logging.DEBUG)
from search.cli.main import main
from tests.faults.without_ray import one_after_another
home, url = Path(sys.argv[1]), sys.argv[2]
commands = [
    ["run", "study.yaml", f"run.storage={url}"],
    ["resume", "--store", url, "search.trials=2"],
    ["status", "--store", url],
    ["show", "0", "--store", url, "--json"],
    ["export", "0", "--store", url, "-o", "student"],
    ["db", "check", "--store", url],
    ["db", "backup", "--store", url, "-o", "backup.db"],
    ["doctor", "--store", url],
    ["run", "study.yaml", f"run.storage={url}x", "seed=-1"],
    ["run", "study.yaml", f"run.storage={url}"],
]
with one_after_another():
    for command in commands:
        sys.argv = ["retort", *command]
        try:
            main()
        except SystemExit as ended:
            print(command[0], "ended with", ended.code)
"""


@pytest.mark.postgres
@pytest.mark.slow
def test_fault_21_secrets_are_in_no_output_log_row_or_file(
    postgresql: PostgresqlServer, write_study: WriteStudy, home: Path
) -> None:
    write_study(search={"trials": 1})
    database = postgresql.create_database()
    url = f"{database}?sslpassword={QUERY_SECRET}"
    run = Command(str(home), url, folder=home, script=SEARCH, RAY_AUTH_TOKEN=TOKEN)
    assert run.wait() == 0, run.output
    assert "trial 0 complete" in run.output
    assert (home / "student").is_dir()
    secrets = [secret.encode() for secret in (PASSWORD, QUERY_SECRET, TOKEN)]
    for path in home.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [secret for secret in secrets if secret in content], path
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        for (table,) in tables:
            rows = str(connection.execute(f"SELECT * FROM {table}").fetchall())  # noqa: S608
            assert not [secret for secret in secrets if secret.decode() in rows], table
