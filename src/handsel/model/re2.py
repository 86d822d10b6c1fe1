"""Patterns as Envoy takes them: the syntax of RE2 (https://github.com/google/re2/wiki/Syntax)."""

from __future__ import annotations

import re
import warnings

LONGEST = 1024
_MOST_REPEATED = 1000
_TOKEN = re.compile(r"\[\^?\]?[^\]]*\]|\{\d{1,9}(?:,\d{0,9})?\}|.", re.DOTALL)
# Python knows these, RE2 does not: what would need more than one pass over the text, and comments.
_NOT_RE2 = re.compile(r"\\[1-9]|\(\?[=!]|\(\?<[=!]|\(\?P=|\(\?>|\(\?\(|\(\?#|\(\?[imsU-]*[aLux]|(?:[*+?]|\{[\d,]+\})\+")
_PAIRS = re.compile(r"\\Q.*?(?:\\E|$)|\\[pP](?:\{\^?\w+\}|\w)|\\.|\[:\^?\w+:\]", re.DOTALL)


def check_pattern(pattern: str) -> str:
    """The pattern itself. Raises `ValueError` when Envoy would refuse it."""
    if not pattern:
        raise ValueError("a regex must not be empty")
    if len(pattern) > LONGEST:
        raise ValueError(f"a regex has at most {LONGEST} characters")
    bare = _PAIRS.sub(lambda found: found[0] if found[0][1:2].isdigit() else "x", pattern)
    if unknown := _NOT_RE2.search(bare):
        raise ValueError(f"not a regex of RE2, which Envoy has: it knows no {unknown[0]}")
    if _repeated(bare) > _MOST_REPEATED:
        raise ValueError(f"not a regex of RE2, which Envoy has: it repeats nothing more than {_MOST_REPEATED} times")
    try:
        compiled(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regex: {error}") from error
    return pattern


def _repeated(bare: str) -> int:
    """How often the most repeated part is repeated, by all the counts around it together."""
    stack, last = [1], 1
    for part in _TOKEN.findall(bare):
        if part == "(":
            stack.append(1)
        elif part == ")" and len(stack) > 1:
            last = stack.pop()
            stack[-1] = max(stack[-1], last)
        elif part.startswith("{"):
            count = max(int(each) for each in re.findall(r"\d+", part))
            stack[-1] = max(stack[-1], last * max(count, 1))
        else:
            last = 1
    return stack[0]


def compiled(pattern: str) -> re.Pattern[str]:
    """The same for Python, as near as it comes: of Unicode's classes it knows none. Raises `re.error`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return re.compile(_PAIRS.sub(_in_python, pattern).replace("(?<", "(?P<"), re.ASCII)


def _in_python(found: re.Match[str]) -> str:
    text = found[0]
    if text.startswith(r"\Q"):
        return re.escape(text.removeprefix(r"\Q").removesuffix(r"\E"))
    if text.startswith("[:"):
        return _CLASSES.get(text.strip("[:]"), text)
    if text[:2] in (r"\p", r"\P"):
        return r"\w"
    return {r"\z": r"\Z", r"\C": "."}.get(text, text)


_CLASSES = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "digit": "0-9", "lower": "a-z", "upper": "A-Z", "space": r"\s",
    "word": r"\w", "xdigit": "0-9A-Fa-f", "punct": r"!-/:-@\[-`{-~", "blank": r"\t ",
}  # fmt: skip
