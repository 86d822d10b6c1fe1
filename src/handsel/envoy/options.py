"""What a person may choose about every Envoy that is started."""

from __future__ import annotations

from dataclasses import dataclass

from handsel.model.faults import short

LEVELS = ("trace", "debug", "info", "warning", "error", "critical", "off")


@dataclass(frozen=True)
class Options:
    """`concurrency`: worker threads, 0 is one a CPU; `component_log_level`: `http:debug,upstream:info`."""

    concurrency: int = 1
    log_level: str = "warning"
    component_log_level: str = ""

    def arguments(self) -> list[str]:
        """As Envoy's command line has them."""
        threads = ["--concurrency", str(self.concurrency)] if self.concurrency else []
        components = ["--component-log-level", self.component_log_level] if self.component_log_level else []
        return [*threads, "--log-level", self.log_level, *components]


def component_levels(text: str) -> str:
    """The text, when it is levels of components. Raises `ValueError`."""
    for part in text.split(","):
        name, _, level = part.partition(":")
        if not name.replace("_", "").isalnum() or not name.isascii() or level not in LEVELS:
            raise ValueError(f"must be component:level,…, such as http:debug, not {short(part)}")
    return text
