"""What agents reported, in a table."""

from __future__ import annotations

from dataclasses import replace

from handsel.link.report import Rejection, WorkloadReport
from handsel.mesh.adapters.tables import PlacesReported, load_places
from tests.support import NOW

WEB = WorkloadReport(
    "web", "10.0.0.1", 8080, 15001, 15002, {"emoji": 15003}, "/log", "7", NOW, in_sync=True,
    rejections=(Rejection("type", ("a", "b"), "no"),),
)  # fmt: skip
EMOJI = replace(WEB, service="emoji", callee_ports={})


async def test_a_report_is_read_back_as_it_came(store):
    await store.commit((PlacesReported("a", (WEB, EMOJI)), PlacesReported("b", (EMOJI,))))
    assert await load_places(store) == {"a": {"web": WEB, "emoji": EMOJI}, "b": {"emoji": EMOJI}}


async def test_a_newer_report_takes_the_place_of_the_whole_older_one(store):
    await store.commit((PlacesReported("a", (WEB, EMOJI)), PlacesReported("b", (EMOJI,))))
    moved = replace(WEB, mesh_port=16001)
    await store.commit((PlacesReported("a", (moved,)),))
    assert await load_places(store) == {"a": {"web": moved}, "b": {"emoji": EMOJI}}


async def test_a_host_that_reports_nothing_has_no_places(store):
    await store.commit((PlacesReported("a", (WEB,)),))
    await store.commit((PlacesReported("a", ()),))
    assert await load_places(store) == {}
