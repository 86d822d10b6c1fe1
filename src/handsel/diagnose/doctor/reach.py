"""What answers: the agent's socket, the servers over TLS; and the agent as a service of the host."""

from __future__ import annotations

from dataclasses import dataclass

from handsel.diagnose.doctor.model import Check, Group

_GROUP = Group("reach")
_SERVICE = Group("service")


@dataclass(frozen=True)
class Agent:
    """`joined`: this host has an enrolment here. `problem`: why its socket does not answer, empty when it does."""

    joined: bool
    name: str = ""
    problem: str = ""
    server_problem: str = ""


@dataclass(frozen=True)
class Server:
    """`problem`: why `/healthz` did not answer over verified TLS, if so. `verified`: TLS is not the reason."""

    url: str
    problem: str = ""
    verified: bool = True


@dataclass(frozen=True)
class Service:
    """The unit of the agent. `text` None: there is none. `wanted`: what we would write, None: it is not of ours.

    `again`: the command that writes it anew.
    """

    path: str
    systemd_runs: bool
    state: str
    text: str | None = None
    wanted: str | None = None
    unit_state: str = ""
    again: str = ""


def checks(agent: Agent, servers: tuple[Server, ...], service: Service) -> list[Check]:
    return [_agent(agent), *(_server(each, agent) for each in servers), _unit(service)]


def _agent(agent: Agent) -> Check:
    if not agent.joined:
        return _GROUP.skipped("agent", "this host has not joined with this state folder")
    if agent.problem:
        return _GROUP.failure(
            "agent",
            f"agent {agent.name} does not answer: {agent.problem}",
            "certificates of this host are not renewed, and a proxy that ends stays away",
            "start it: systemctl start handsel-agent, or handsel agent run, or handsel up",
        )
    if agent.server_problem:
        return _GROUP.warning(
            "agent",
            f"agent {agent.name} answers; it says: {agent.server_problem}",
            "it goes on with what it holds, until its certificates end",
            "see the server below, or the agent's log",
        )
    return _GROUP.ok("agent", f"agent {agent.name} answers")


def _server(server: Server, agent: Agent) -> Check:
    if not server.problem:
        return _GROUP.ok("server", f"{server.url} answers, and is the one of our roots")
    if not server.verified:
        return _GROUP.failure(
            "server",
            f"{server.url} is not the server of this trust domain: {server.problem}",
            "somebody else answers there, or the authority was made anew",
            "check the address, and that nobody sits between; else join again with a new ticket",
        )
    where = "host" if agent.joined else "state"
    return _GROUP.failure(
        "server",
        f"{server.url} does not answer: {server.problem}",
        f"nothing new is signed for this {where}; what is held goes on until it ends",
        "is it running, does the name resolve, does a firewall let us through?",
    )


def _unit(service: Service) -> Check:
    if service.text is None:
        what = "handsel-agent is no service of this host" if service.systemd_runs else "systemd does not run here"
        return _SERVICE.skipped("systemd", what)
    if service.wanted is None or service.unit_state != service.state:
        whose = f"for the state folder {service.unit_state}" if service.unit_state else "not written by handsel"
        return _SERVICE.skipped("systemd", f"{service.path} is {whose}")
    if service.text != service.wanted:
        return _SERVICE.warning(
            "systemd",
            f"{service.path} is not what this handsel would write",
            "it was edited, or an older version wrote it: its sandbox may be looser, or too tight",
            f"{service.again}; and own settings into a drop-in: systemctl edit handsel-agent",
        )
    return _SERVICE.ok("systemd", f"{service.path} is as we would write it")
