"""`handsel mesh check`: every fault and risk of what is declared, before it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from handsel.cli import common

if TYPE_CHECKING:
    from handsel.errors import FileFault
    from handsel.model.finding import Finding


@click.command()
@click.option("-f", "--file", "path", type=click.Path(path_type=Path, exists=True), required=True,
              help="The mesh file, a file of Istio resources, or a folder of them.")  # fmt: skip
@click.option("--fail-on", type=click.Choice(["info", "low", "medium", "high", "error", "never"]), default="high",
              show_default=True, help="Findings from this severity on make the exit code 3.")  # fmt: skip
@common.output_option
def command(path: Path, fail_on: str, output: str) -> None:
    """Find what is wrong, risky, or not what its writer thinks. Nothing runs, nothing is changed.

    Exit code 2: something is invalid; 3: findings at or above --fail-on.

    \b
    Examples:
      handsel mesh check -f istio/
      handsel mesh check -f handsel.yaml -o json
      handsel mesh check -f istio/ --fail-on medium
    """
    from handsel.errors import ExitCode, InvalidFile
    from handsel.model.finding import Severity
    from handsel.wiring.mesh_files import load_mesh

    faults: list[FileFault] = []
    findings: list[Finding] = []
    try:
        findings = sorted(load_mesh(path).findings)
    except InvalidFile as error:
        faults = list(error.faults)
    if output == "table":
        _print(faults, findings)
    else:
        content = {"faults": [_fault(each) for each in faults], "findings": [_finding(each) for each in findings]}
        click.echo(json.dumps(content, indent=2)) if output == "json" else common.print_yaml(content)
    if faults:
        raise SystemExit(ExitCode.USAGE)
    if fail_on != "never" and any(each.severity >= Severity[fail_on.upper()] for each in findings):
        raise SystemExit(ExitCode.FINDINGS)


def _fault(fault: FileFault) -> dict[str, Any]:
    return {key: getattr(fault, key) for key in ("file", "line", "column", "path", "message")}


def _finding(finding: Finding) -> dict[str, Any]:
    keys = ("file", "line", "column", "path", "code", "istio", "subject", "message", "fix")
    return {"severity": finding.severity.name.lower(), **{key: getattr(finding, key) for key in keys}}


def _print(faults: list[FileFault], findings: list[Finding]) -> None:
    for fault in faults:
        where = f"{fault.path}: " if fault.path else ""
        click.echo(f"{fault.file}:{fault.line}:{fault.column}: invalid: {where}{fault.message}")
    for each in findings:
        codes = " ".join(code for code in (each.code, each.istio) if code)
        subject = f"{each.subject}: " if each.subject else ""
        place = f"{each.file}:{each.line}:{each.column}"
        click.echo(f"{place}: {each.severity.name.lower()} {codes}: {subject}{each.message}")
        if each.fix:
            click.echo(f"    {each.fix}")
    if not faults and not findings:
        click.echo("nothing found")
