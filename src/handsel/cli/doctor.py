"""`handsel doctor`: what keeps this host from being well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from handsel import settings
from handsel.cli import common
from handsel.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from handsel.diagnose.doctor.model import Check, Report

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failure": ("✗", "red"), "skipped": ("-", "bright_black")}
_NAME_WIDTH = 20
_INDENT = " " * (_NAME_WIDTH + 5)


@click.command()
@common.config_option
@common.state_option
@common.envoy_option
@click.option(
    "--unit-folder", type=click.Path(path_type=Path), default=Path("/etc/systemd/system"), show_default=True,
    help="Where the agent's systemd unit would be.",
)  # fmt: skip
@click.option("--fix", is_flag=True, help="Mend what can be mended without losing anything: modes, stale files.")
@click.option("--dry-run", is_flag=True, help="With --fix: only say what that would be.")
@common.output_option
def command(
    config: Path, state: Path | None, envoy: Path | None, unit_folder: Path, output: str, *, fix: bool, dry_run: bool
) -> None:
    """Look at this host: environment, rights, state, ports, time, what answers. Ends with 1 when a failure remains.

    \b
    Examples:
      handsel doctor
      handsel doctor --state /var/lib/handsel --fix --dry-run
      handsel doctor --state /var/lib/handsel -o json
    """
    from handsel.wiring.doctor import Patient, examine

    if dry_run and not fix:
        raise UsageError("--dry-run is about --fix", next_step="handsel doctor --fix --dry-run")
    named = config if config.exists() or config != settings.config_file() else None
    report = examine(Patient(named, state, envoy, unit_folder), fix=fix, dry_run=dry_run)
    if output == "json":
        click.echo(json.dumps(_content(report, dry_run=dry_run), indent=2))
    elif output == "yaml":
        common.print_yaml(_content(report, dry_run=dry_run))
    else:
        _print(report, dry_run=dry_run)
    raise SystemExit(ExitCode.OK if report.ok else ExitCode.FAILED)


def _content(report: Report, *, dry_run: bool) -> dict[str, Any]:
    checks = [
        {
            "group": each.group, "name": each.name, "result": each.result.value, "what": each.what, "why": each.why,
            "next_step": each.next_step, "can_be_fixed": bool(each.mends),
        }
        for each in report.checks
    ]  # fmt: skip
    mended = {"would_mend" if dry_run else "mended": [str(mend) for mend in report.mended]}
    return {"apiVersion": "handsel/v1", "kind": "DoctorReport", "ok": report.ok, "checks": checks, **mended}


def _print(report: Report, *, dry_run: bool) -> None:
    group = ""
    for check in report.checks:
        if check.group != group:
            click.echo(("" if not group else "\n") + click.style(check.group, bold=True))
            group = check.group
        _print_check(check)
    click.echo("")
    for mend in report.mended:
        click.echo(f"{'would ' if dry_run else 'mended: '}{mend}")
    click.echo(_summary(report, dry_run=dry_run))


def _print_check(check: Check) -> None:
    mark, colour = _MARKS[check.result]
    dim = check.result == "skipped"
    click.echo(f"  {click.style(mark, fg=colour)} {check.name:<{_NAME_WIDTH}} {click.style(check.what, dim=dim)}")
    if check.why:
        click.echo(_INDENT + click.style(check.why, dim=True))
    if check.next_step:
        click.echo(f"{_INDENT}→ {check.next_step}")


def _summary(report: Report, *, dry_run: bool) -> str:
    counts = [(report.count(result), result) for result in _results()]
    told = ", ".join(f"{count} {_plural(result, count)}" for count, result in counts if count)
    mends = len(report.mends)
    more = f"; {mends} of it: handsel doctor --fix" if mends and not dry_run else ""
    return (told or "all is well") + more


def _results() -> tuple[Any, ...]:
    from handsel.diagnose.doctor.model import Result

    return (Result.FAILURE, Result.WARNING)


def _plural(result: str, count: int) -> str:
    return result if count == 1 else f"{result}s"
