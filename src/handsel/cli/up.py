"""`handsel up`: everything, here, now."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from handsel import settings
from handsel.cli import common
from handsel.cli.progress import Steps
from handsel.errors import ExitCode, UsageError


@click.command()
@common.config_option
@common.state_option
@common.envoy_option
@click.option("--demo", is_flag=True, help="Run the voting application that comes with handsel.")
@click.option("--once", is_flag=True, help="Bring everything up, prove every edge, report, take all down.")
@click.option(
    "--strict", is_flag=True, envvar="HANDSEL_STRICT",
    help="Programs live in network namespaces, which only their sidecars leave.",
)  # fmt: skip
@click.option("--watch", is_flag=True, help="Read the mesh file and what it includes again when they change.")
@click.option("--detach", is_flag=True, help="Return once everything is up; stop it with `handsel down`.")
@common.output_option
def command(
    config: Path, state: Path | None, envoy: Path | None, output: str,
    *, demo: bool, once: bool, strict: bool, watch: bool, detach: bool,
) -> None:  # fmt: skip
    """Turn a mesh file into a running mesh in which every connection is mutual TLS.

    \b
    Examples:
      handsel up --demo
      handsel up -f handsel.yaml
      handsel up --demo --once -o json
      handsel up -f handsel.yaml --strict
    """
    from handsel.wiring.configuration import Given
    from handsel.wiring.logs import log_to

    given = Given(common.demo_file() if demo else config, must_exist=True, watch=watch)
    mesh = given.load()
    if once and detach:
        raise UsageError("--once ends by itself, so it does not go with --detach")
    if detach:
        from handsel.wiring.detach import detach as start_detached

        raise SystemExit(start_detached(common.state_of(state, str(mesh.trust_domain)), sys.argv[1:]))
    steps = Steps()
    with _state(state, str(mesh.trust_domain), once=once) as folder:
        log_to(folder / "up.log")
        run = _Up(mesh, given, folder, envoy, steps, demo=demo, strict=strict)
        raise SystemExit(common.run_until_signal(run.once(output) if once else run.until_stopped()))


class _Up:
    """The two ways of being up: until a signal, or once."""

    def __init__(
        self, mesh: Any, given: Any, folder: Path, envoy: Path | None, steps: Steps, *, demo: bool, strict: bool
    ) -> None:
        self._mesh = mesh
        self._given = given
        self._folder = folder
        self._envoy = envoy
        self._steps = steps
        self._demo = demo
        self._strict = strict
        self._started = common.process_started()

    def until_stopped(self) -> common.Main:
        async def run(stopping: asyncio.Event) -> int:
            async with self._up() as running:
                self._say_what_is_where(running)
                if self._demo:
                    await self._prove_demo(running)
                self._steps.note(f"metrics {running.server.metrics_url}, of the proxies {running.agent.metrics_url}")
                self._steps.note(f"server {running.server.url}   state {self._folder}   stop: Ctrl-C")
                await stopping.wait()
                self._steps.note("stopping…")
            return ExitCode.OK

        return run

    def once(self, output: str) -> common.Main:
        async def run(stopping: asyncio.Event) -> int:
            from handsel.wiring.prove import prove

            async with self._up() as running:
                with self._steps.step("proof") as step:
                    timings = {f"{name}_seconds": seconds for name, seconds in self._steps.timings.items()}
                    proving = asyncio.ensure_future(prove(self._mesh, running.agent, timings, self._started))
                    stopped = asyncio.ensure_future(stopping.wait())
                    await asyncio.wait({proving, stopped}, return_when=asyncio.FIRST_COMPLETED)
                    if not proving.done():
                        proving.cancel()
                        return ExitCode.FAILED
                    stopped.cancel()
                    report = proving.result()
                    step.say(_summary(report))
            _print_report(report, output)
            return ExitCode.OK if report["ok"] else ExitCode.FAILED

        return run

    def _up(self) -> Any:
        from handsel.wiring.up import up

        runtime = settings.runtime_folder(self._folder)
        return up(self._mesh, self._folder, runtime, self._envoy, self._steps, strict=self._strict, given=self._given)

    async def _prove_demo(self, running: Any) -> None:
        """The demonstration proves itself at its start; your own services are proven with --once."""
        from handsel.wiring.prove import prove

        with self._steps.step("proof") as step:
            step.say(_summary(await prove(self._mesh, running.agent, {}, self._started)))
        port = running.agent.ports_of("web").application
        self._steps.note(f"vote at http://127.0.0.1:{port}" + self._where("web", running))

    def _say_what_is_where(self, running: Any) -> None:
        for note in self._mesh.notes:
            self._steps.warn(note)
        for name, service in self._mesh.services.items():
            port = running.agent.ports_of(name).application if service.sidecar else service.port
            calls = f" → {', '.join(service.calls)}" if service.calls else ""
            if service.role.is_gateway:
                self._steps.note(f"{name:<12} {service.role} gateway{_ports_of(self._mesh, service)}")
                continue
            self._steps.note(f"{name:<12} {service.protocol:<5} 127.0.0.1:{port}{calls}")
        if self._strict:
            self._steps.note("strict: each port is in its service's network namespace, and only the mesh leads in")

    def _where(self, name: str, running: Any) -> str:
        path = running.agent.namespaces.path(name)
        return f" in its namespace: nsenter --net={path} curl …" if path else ""


def _ports_of(mesh: Any, service: Any) -> str:
    """Where a gateway listens, and what for."""
    from handsel.mesh.edge import Edge

    edge = Edge(mesh)
    ports = [f"{number} {port.protocol}" for port, number in edge.listening(service)]
    guarded = [each.external.name for each in edge.guarded(service)]
    at = f" at {', '.join(dict.fromkeys(ports))}" if ports else ""
    return at + (f" for {', '.join(guarded)}" if guarded else "")


@contextlib.contextmanager
def _state(state: Path | None, trust_domain: str, *, once: bool) -> Iterator[Path]:
    """The state folder; a proof without one gets a folder of its own, so that it disturbs no running mesh."""
    if state is not None or not once:
        yield common.state_of(state, trust_domain)
        return
    folder = Path(tempfile.mkdtemp(prefix="handsel-once-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(settings.runtime_folder(folder), ignore_errors=True)


def _summary(report: dict[str, Any]) -> str:
    proven = sum(edge["ok"] for edge in report["edges"])
    refused = sum(each["refused"] for each in report["denied"])
    return (
        f"{proven} of {len(report['edges'])} edges proven, "
        f"{refused} of {len(report['denied'])} undeclared pairs refused"
    )


_CHECKS = {
    "plaintext_refused": "plaintext",
    "tls12_refused": "TLS 1.2",
    "no_certificate_refused": "no certificate",
    "foreign_certificate_refused": "foreign CA",
    "other_identity_refused": "other identity",
    "wrong_callee_refused": "wrong callee",
    "policy_exact": "policy",
}


def _print_report(report: dict[str, Any], output: str) -> None:
    if output == "json":
        click.echo(json.dumps(report, indent=2))
        return
    if output == "yaml":
        common.print_yaml(report)
        return
    for edge in report["edges"]:
        mark = "✓" if edge["ok"] else "✗"
        failed = [text for name, text in _CHECKS.items() if edge[name] is False]
        how = f"{edge['tls_version'] or 'no TLS'} {edge['group'] or ''}".strip()
        tail = f"   NOT refused: {', '.join(failed)}" if failed else ""
        click.echo(f"{mark} {edge['from']} → {edge['to']}   {how}{tail}")
    for each in report["denied"]:
        click.echo(f"{'✓' if each['refused'] else '✗'} {each['from']} ⇢ {each['to']}   refused: not in calls")
    click.echo(f"{'proven' if report['ok'] else 'NOT proven'} in {report['timings']['total_seconds']:.1f} s")
