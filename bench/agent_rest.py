"""What an agent costs that has nothing to do: memory against a process with the same imports, and CPU while it waits.

Fifty workloads, each with its Envoy, in sync. The reference imports what `handsel agent run` imports, and sleeps.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

from harness import HANDSEL, cpu_seconds, end, folder, pss_mb, start, wait_for
from report import Report, interleave, run

from handsel import settings
from handsel.cli.local import call_agent, call_server
from handsel.envoy.adapters.process import ProcessRecord

WORKLOADS, ROUNDS, REST_SECONDS = 50, 3, 20.0
AGENT, IMPORTS = "agent", "bare imports"
_SLEEP = (
    "import time, handsel.cli.main, handsel.cli.agent, handsel.cli.common, handsel.wiring.agent, handsel.wiring.logs\n"
    "print('ready', flush=True)\n"
    "time.sleep(3600)"
)


def bench(report: Report, _options: object) -> None:
    report.conditions |= {"workloads": WORKLOADS, "rest_s": REST_SECONDS, "rounds": ROUNDS}
    with folder() as place:
        server, agent = _start(place)
        reference = subprocess.Popen([sys.executable, "-c", _SLEEP], stdout=subprocess.PIPE, text=True)
        try:
            assert reference.stdout is not None
            reference.stdout.readline()
            for number, side in interleave((AGENT, IMPORTS), ROUNDS):
                pid = agent.pid if side == AGENT else reference.pid
                before, began = cpu_seconds([pid]), time.perf_counter()
                time.sleep(REST_SECONDS if number else 5)
                share = (cpu_seconds([pid]) - before) / (time.perf_counter() - began)
                report.add(number, side, {"rss_mb": _rss_mb(pid), "pss_mb": pss_mb([pid]), "cpu_percent": 100 * share})
        finally:
            end([reference, agent, server])  # type: ignore[list-item]  # one of them has text on its output
            for record in (place / "agent" / "agent" / "workloads").glob("*/envoy.pid"):
                found = ProcessRecord.load(record)
                if found:
                    found.signal(15)
    report.compare("rss_mb", AGENT, IMPORTS)
    report.values["cpu_percent of an agent at rest"] = report.sides()[AGENT]["cpu_percent"]


def _start(place: Path) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]:
    """A server, and the agent of a host with all workloads, in sync."""
    names = [f"service{number}" for number in range(WORKLOADS)]
    calls = "".join(f"  {name}: {{calls: [{names[n - 1]}]}}\n" for n, name in enumerate(names) if n)
    (place / "handsel.yaml").write_text(f"trust_domain: rest.internal\nservices:\n  {names[0]}: {{}}\n{calls}")
    doors = ["--listen", "127.0.0.1:0", "--metrics-port", "0", "--status-port", "0"]
    server = start([HANDSEL, "server", "-f", "handsel.yaml", "--state", "server", *doors], place / "server.log")
    state = place / "server"
    admin = settings.runtime_folder(state) / "admin.sock"
    wait_for(admin.exists, 30, 0.05, "the server")
    wish = {
        "services": names, "lifetime_seconds": 600, "host_name": "", "network": "", "key_pin": "",
    }  # fmt: skip
    ticket = call_server(state, "POST", "/v1/tickets", wish)["ticket"]
    agent = start([HANDSEL, "agent", "run", "--state", "agent", "--ticket", ticket], place / "agent.log")
    wait_for(lambda: _in_sync(place / "agent"), 120, 0.5, "fifty proxies in sync")
    time.sleep(5)
    return server, agent


def _in_sync(state: Path) -> bool:
    try:
        workloads = call_agent(state, "GET", "/v1/status")["workloads"]
    except Exception:  # noqa: BLE001  # it is not there yet
        return False
    return len(workloads) == WORKLOADS and all(each["ready"] for each in workloads)


def _rss_mb(pid: int) -> float:
    found = re.search(r"^VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


if __name__ == "__main__":
    claim = "an agent at rest with 50 workloads needs at most 1.5 times the memory of its imports, and no CPU"
    run(Report("agent_rest", claim), bench, seconds=500)
