"""How a database of an older handsel becomes one of this. Each `rNNNN` module is imported only when it runs."""

from __future__ import annotations

REVISIONS = ("0001", "0002")
"""Every state that the schema had, oldest first: the last is what this version writes."""

HEAD = REVISIONS[-1]
