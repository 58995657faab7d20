"""Path patterns of settings: `*` within one name, `**` across names, `{customer}` for a name that is told."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import cache

_WORD = re.compile(r"\*\*|\*|\?|\{customer\}")
_MEANING = {"**": ".*", "*": "[^/]*", "?": "[^/]", "{customer}": "(?P<customer>[^/]+?)"}


@cache
def path_pattern(pattern: str) -> re.Pattern[str]:
    """The expression of a pattern, for `fullmatch` on a path without slashes around it."""
    pieces, at = [], 0
    for match in _WORD.finditer(pattern):
        pieces += [re.escape(pattern[at : match.start()]), _MEANING[match[0]]]
        at = match.end()
    return re.compile("".join((*pieces, re.escape(pattern[at:]))))


def matches_path(path: str, patterns: Sequence[str]) -> bool:
    """Whether any pattern is that of the path."""
    return any(path_pattern(pattern.strip("/")).fullmatch(path) for pattern in patterns)


def customer_in(path: str, pattern: str) -> str | None:
    """The name that stands for `{customer}` in a path: `acme` of `tenants/acme/vm1` by `tenants/{customer}/**`; None: no match."""
    match = path_pattern(pattern.strip("/")).fullmatch(path) if pattern else None
    return match["customer"] if match else None


def matches_command(command: str, command_line: str, patterns: Sequence[str]) -> bool:
    """Whether any pattern is that of a command's name, or of its whole command line."""
    return any(fnmatchcase(command, pattern) or fnmatchcase(command_line, pattern) for pattern in patterns)
