"""What the mesh file says about OCSP and CRLs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from handsel.errors import InvalidFile
from handsel.model.authority import CrlSettings
from tests.support import read_mesh


def test_the_place_of_the_status_and_the_lists_are_settings():
    mesh = read_mesh(
        "authority: {status_url: 'http://ca.example:8880/pki', crl: {lifetime: 7d, delta_lifetime: 30m, shards: 16}}\n"
    )
    assert mesh.authority.status_url == "http://ca.example:8880/pki"
    assert mesh.authority.crl == CrlSettings(timedelta(days=7), timedelta(minutes=30), 16)
    usual = read_mesh("authority: {}\n").authority
    assert (usual.status_url, usual.crl) == ("", CrlSettings())


@pytest.mark.parametrize(
    "written",
    [
        "status_url: https://ca.example", "status_url: http://ca.example/", "status_url: 'http://ca.example/a b'",
        "status_url: ''", "crl: {shards: 0}", "crl: {shards: 1000}", "crl: {lifetime: never}",
    ],
)  # fmt: skip
def test_what_cannot_be_a_place_or_a_list_is_a_fault_with_its_line(written):
    with pytest.raises(InvalidFile) as caught:
        read_mesh(f"authority:\n  {written}\n")
    (fault,) = caught.value.faults
    assert fault.line == 2
