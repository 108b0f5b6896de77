"""What a message must name, however it is worded."""

import re


def naming(*facts: object) -> re.Pattern[str]:
    """Pattern of a text that names each fact as a whole word, in any order.

    Args:
        facts: what must be named: a key, a file, a number, a command. Each is taken as it is
            printed, not as a regular expression.
    """
    return re.compile("".join(f"(?=.*{_whole(str(fact))})" for fact in facts), re.DOTALL)


def _whole(fact: str) -> str:
    before = r"(?<!\w)" if fact[:1].isalnum() else ""
    after = r"(?!\w)" if fact[-1:].isalnum() else ""
    return f"{before}{re.escape(fact)}{after}"
