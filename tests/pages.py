"""The code that the pages show, for tests that run it as it stands."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def code_block(page: str, language: str, holding: str = "") -> str:
    """Return the page's only block in that language that holds the text."""
    text = (ROOT / page).read_text()
    blocks = re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)
    (block,) = (block for block in blocks if holding in block)
    return str(block)
