"""What a server knows becomes conditions: expiry, NACK, a ticket that came again; each beside what is well."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from handsel.authority.attest import stories
from handsel.authority.attest.model import TicketUse
from handsel.authority.model import Host, Standing
from handsel.link.report import Rejection, WorkloadReport
from handsel.model.telemetry import AlertKind
from handsel.wiring.alerting import Known, conditions, is_replayed
from handsel.xds.resources import LISTENER
from tests.support import NOW, read_mesh

MESH = read_mesh("services: {web: {}, emoji: {}}\nauthority: {leaf_lifetime: 1h}")
HOST = Host("a1", "box", ("*",), NOW)
WELL = WorkloadReport("web", "127.0.0.1", 1, 2, 3, {}, "/log", certificate_not_after=NOW + timedelta(minutes=40))


def _found(*reports: WorkloadReport, host: Host = HOST, mesh=MESH, issuers=()) -> list[tuple[AlertKind, str]]:
    places = {host.agent_id: {report.service: report for report in reports}}
    found = conditions(Known(mesh, places, [host], issuers), NOW, lambda *_: "handsel.yaml:1")
    return [(each.kind, each.subject) for each in found]


def test_what_is_well_is_no_alert(authority) -> None:
    assert _found(WELL, issuers=(authority.issuer,)) == []


@pytest.mark.parametrize(("left", "alert"), [(13, False), (11, True), (0, True), (-5, True)])
def test_a_certificate_whose_renewal_is_late(left: int, alert: bool) -> None:
    report = replace(WELL, certificate_not_after=NOW + timedelta(minutes=left))
    assert _found(report) == ([(AlertKind.EXPIRY, "web on box")] if alert else [])


def test_a_renewal_that_was_asked_for_late_is_not_late() -> None:
    mesh = read_mesh("services: {web: {}}\nauthority: {leaf_lifetime: 1h, renew_after: 55m}")
    report = replace(WELL, certificate_not_after=NOW + timedelta(minutes=4))
    assert _found(report, mesh=mesh) == []
    assert _found(report) == [(AlertKind.EXPIRY, "web on box")]


def test_a_refused_resource_and_a_host_that_was_banned() -> None:
    report = replace(WELL, rejections=(Rejection(LISTENER, ("inbound",), "no such field"),))
    assert _found(report) == [(AlertKind.NACK, "web on box: inbound")]
    assert _found(report, host=replace(HOST, standing=Standing.BANNED)) == []
    assert _found(replace(report, service="gone")) == []


def test_a_ca_that_ends_soon(authority) -> None:
    ending = authority.issuer.certificate.not_after - timedelta(days=3)
    places: dict[str, dict[str, WorkloadReport]] = {}
    found = conditions(Known(MESH, places, [], [authority.issuer]), ending, lambda *_: "")
    assert [(each.kind, each.details["role"]) for each in found] == [(AlertKind.EXPIRY, "issuing CA")]


def test_a_quarantine_is_an_alert_when_a_ticket_came_again_and_not_when_somebody_said_so() -> None:
    use = TicketUse("t1", "a1", None, 0)
    replayed = stories.replayed(use, Standing.GOOD, host_name="thief", client="10.0.0.9", now=NOW).answer
    assert replayed is not None
    quarantined = replace(HOST, standing=Standing.QUARANTINED, cause=replayed)
    assert _found(host=quarantined) == [(AlertKind.REPLAYED_TICKET, "a1")]
    assert _found(host=replace(quarantined, cause="it is looked into")) == []
    assert _found(host=replace(quarantined, standing=Standing.GOOD)) == []
    assert is_replayed(replayed)
