"""The rules of a pod's network: in nft's own opinion, and on real connections in a network of the test's own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handsel.mesh.inject import values
from handsel.mesh.inject.redirect import Redirect, rules
from handsel.model.pod import Interception

PORTS = st.lists(st.integers(1, 65535), max_size=4).map(tuple)
RANGES = st.lists(
    st.builds(lambda ip, bits: ip_network((ip, bits), strict=False), st.ip_addresses(v=4), st.integers(0, 32))
    | st.builds(lambda ip, bits: ip_network((ip, bits), strict=False), st.ip_addresses(v=6), st.integers(0, 128)),
    max_size=4,
).map(tuple)
REDIRECTS = st.builds(
    Redirect,
    st.sampled_from([Interception.REDIRECT, Interception.TPROXY]),
    st.none() | RANGES,
    RANGES,
    st.none() | PORTS,
    PORTS,
    st.none() | PORTS,
    PORTS,
    st.from_regex(r"[A-Za-z0-9_.@-]{1,15}", fullmatch=True).map(lambda name: (name,)) | st.just(()),
    st.booleans(),
)


def _needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")


def _checked_by_nft(text: str, file: Path) -> None:
    file.write_text(text)
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", "nft", "--check", "-f", file],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    if "unshare" in done.stderr:
        pytest.skip(f"needs user namespaces: {done.stderr}")
    assert done.returncode == 0, f"{done.stderr}\n{text}"


def test_nft_takes_any_rules(tmp_path: Path):
    _needs("nft", "unshare")

    @settings(max_examples=40, deadline=None)
    @given(REDIRECTS)
    def check(redirect: Redirect) -> None:
        _checked_by_nft(rules(redirect), tmp_path / "rules")

    check()


def test_nft_refuses_what_is_none(tmp_path: Path):
    """The control of the test above."""
    _needs("nft", "unshare")
    with pytest.raises(AssertionError, match="syntax error"):
        _checked_by_nft(rules(Redirect()).replace("return", "retrn"), tmp_path / "rules")


def test_without_interception_there_are_no_rules():
    assert rules(Redirect(Interception.NONE)) == ""
    assert "15001" in rules(Redirect())


@given(st.text("0123456789,*. x:/", max_size=12))
def test_ranges_and_ports_are_read_or_refused(text: str):
    for read in (values.ports_or_all, values.ranges_or_all, values.interfaces):
        with contextlib.suppress(ValueError):
            read(text)


@pytest.mark.e2e
@pytest.mark.parametrize("mode", ["REDIRECT", "TPROXY"])
def test_connections_go_by_way_of_the_sidecar(mode: str):
    """A pod and its peer, a network namespace each."""
    _needs("nft", "unshare", "ip")
    if os.geteuid() != 0:
        pytest.skip("needs root")
    script = Path(__file__).parent / "network_of_a_pod.py"
    source = Path(__file__).parents[3] / "src"
    done = subprocess.run(
        ["unshare", "--net", sys.executable, script, mode],
        capture_output=True, text=True, timeout=60, check=False, env=os.environ | {"PYTHONPATH": str(source)},
    )  # fmt: skip
    if "Operation not permitted" in done.stderr:
        pytest.skip(f"needs the right to make network namespaces: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "out to 10.7.0.2:80 -> sidecar outbound, meant for 10.7.0.2:80",
        "out to 10.7.0.2:81 -> peer 81",  # an excluded port
        "out to 10.8.0.2:80 -> peer 80",  # an excluded range
        "out to 10.7.0.2:80 as 1337 -> peer 80",
        "out to 127.0.0.1:7000 -> program",
        "out to [fd07::2]:80 -> sidecar outbound, meant for [fd07::2]:80",
        "in to 10.7.0.1:7000 -> sidecar inbound, meant for 10.7.0.1:7000",
        "in to 10.7.0.1:15021 -> health",
        "in to 10.7.0.1:9100 -> metrics",  # an excluded port
        "own address 10.7.0.1:7000 as 1337 -> sidecar inbound, meant for 10.7.0.1:7000",
    ]
