"""The agent, packed into one file that any Python with a runtime can run."""

import io
import zipfile
from pathlib import Path

from search.targets.registry import OWN_RUNTIMES

_ROOT = Path(__file__).parents[2]
_MODULES = (
    "search/__init__.py",
    "search/errors.py",
    "search/files/__init__.py",
    "search/targets/__init__.py",
    "search/targets/latency.py",
    "search/targets/registry.py",
    "search/targets/target.py",
    "search/targets/agent.py",
    "search/targets/agent_limits.py",
    "search/targets/agent_measuring.py",
    "search/targets/agent_request.py",
    "search/targets/agent_server.py",
    "search/files/text.py",
    "spaces/__init__.py",
    "spaces/plugins.py",
    "spaces/processor.py",
    "spaces/names.py",
    *(f"{place.partition(':')[0].replace('.', '/')}.py" for place in OWN_RUNTIMES.values()),
)
_MAIN = "from search.targets.agent import main\nmain()\n"


def packed_agent() -> bytes:
    """Return a zip archive with a `__main__.py`, for `python3 agent.pyz`."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for module in _MODULES:
            archive.write(_ROOT / module, module)
        archive.writestr("__main__.py", _MAIN)
    return packed.getvalue()
