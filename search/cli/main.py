"""The command `retort`: how its subcommands' errors reach the person."""

import gc
import sys

from search.cli.output import lasting_output
from search.cli.terminal import complain
from search.errors import RetortError
from search.files.disk import disk_fault
from search.ray_backend.signals import ending_like_ctrl_c
from spaces.plugins import PluginError

# Imports make objects that live as long as the process. With Python's threshold of 700 new objects,
# its collector looks through all of them again and again: a fifth of the time of importing torch.
gc.set_threshold(100_000)


def main() -> None:
    """Run the command; exit with 0, 1 failed, 2 bad input, 3 no student fits, 130 interrupted."""
    output = lasting_output()
    with ending_like_ctrl_c():
        code = _code()
        sys.stdout.flush()
    if output.is_missed:
        complain(f"standard output can't be written: {output.fault}")
        code = code or 1
    sys.exit(code)


def _code() -> int | str | None:
    """Return the exit code of the command."""
    try:
        from search.cli.app import STARTS_EARLY, app

        app(obj=STARTS_EARLY)  # exits with 2 where its options are misused, and with 130 on Ctrl-C
    except SystemExit as end:
        return end.code
    except RetortError as error:
        complain(str(error))
        return error.exit_code
    except PluginError as error:
        complain(str(error))
        return 1
    except OSError as error:
        # A full disk, a folder that can't be written: the person can mend it, retort can't.
        complain(str(disk_fault(error) or error))
        return 1
    return 0
