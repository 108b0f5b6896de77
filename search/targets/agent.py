"""The agent: a small server that measures files on the machine where it runs.

It needs only Python 3.10 or newer and the runtime. `retort agent --write agent.pyz` packs it into
one file, which a board runs with `python3 agent.pyz`. Every request must contain the token of
RETORT_AGENT_TOKEN, as `Authorization: Bearer TOKEN`:

GET  /?runtime=NAME                   returns the processor, the runtime, the cores
POST /measure?runtime=NAME&threads=1  takes the bytes of a file; returns its latency and memory

The agent measures one file at a time, in its own process and an empty folder, with limited time
and memory. It loads only the requested runtime, or the default one, and never libraries of custom
operators.
"""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from search.errors import RetortError
from search.files.text import visible
from search.targets.agent_limits import MOST_BYTES, AgentLimits, half_of_memory
from search.targets.agent_measuring import describe, measure
from search.targets.agent_request import TOKEN_VARIABLE
from search.targets.agent_server import Agent
from search.targets.registry import DEFAULT_RUNTIME

DEFAULT_PORT = 8765


def serve(host: str, port: int, *, limits: AgentLimits) -> None:
    """Answer requests until Ctrl-C or SIGTERM.

    Raises:
        ValueError: there is no token, or it is too short.
        OSError: the agent can't listen on the address.
        ImportError: the default runtime is not installed.
    """
    here = describe(DEFAULT_RUNTIME)
    with Agent(host, port, token=os.environ.get(TOKEN_VARIABLE, ""), limits=limits) as agent:
        sys.stderr.write(
            f"measuring on {visible(str(here['processor']))}, {here['cores']} cores, "
            f"{here['runtime']}, files up to {limits.file_bytes / 1e6:,.0f} MB within "
            f"{limits.memory_bytes / 1e6:,.0f} MB of memory, at "
            f"http://{host}:{agent.server_port}; Ctrl-C ends it\n"
        )
        # A service manager sends SIGTERM. Handle it, so that the measuring process ends too.
        for kind in (signal.SIGINT, signal.SIGTERM):
            signal.signal(kind, lambda *_: agent.shutdown())
        agent.serve_forever()


def main() -> None:
    """Run the packed agent's own command: `serve`, or `measure FILE`."""
    memory = argparse.ArgumentParser(add_help=False)
    memory.add_argument(
        "--max-memory",
        type=_bytes,
        default=half_of_memory(),
        help="memory of the measuring process, in bytes; half of the machine's by default",
    )
    parser = argparse.ArgumentParser(prog="agent", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    server = commands.add_parser("serve", help="answer requests", parents=[memory])
    server.add_argument("--host", default="127.0.0.1")
    server.add_argument("--port", type=int, default=DEFAULT_PORT)
    server.add_argument(
        "--max-size", type=_bytes, default=MOST_BYTES, help="largest size of a file, in bytes"
    )
    once = commands.add_parser(
        "measure", help="measure a file, and print the result as JSON", parents=[memory]
    )
    once.add_argument("file", type=Path)
    once.add_argument("--threads", type=int, default=1)
    once.add_argument("--runtime", default=DEFAULT_RUNTIME, help="runtime that loads the file")
    arguments = parser.parse_args()
    try:
        if arguments.command == "serve":
            limits = AgentLimits(file_bytes=arguments.max_size, memory_bytes=arguments.max_memory)
            serve(arguments.host, arguments.port, limits=limits)
        else:
            found = measure(
                arguments.file,
                runtime=arguments.runtime,
                threads=arguments.threads,
                memory_bytes=arguments.max_memory,
            )
            sys.stdout.write(json.dumps(found) + "\n")
    except (RetortError, OSError, ValueError, ImportError) as error:
        sys.exit(visible(f"{type(error).__name__}: {' '.join(str(error).split())}"))


def _bytes(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"must be a number of bytes above 0, but got {text!r}")
    return int(text)


if __name__ == "__main__":
    main()
