"""The examples `ingress`, `egress`, `adapter` and `ambassador` as their pages say, at ports of their own."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.mesh_process import (
    Handsel,
    access_log,
    end_everything_in,
    fetch,
    free_port,
    short_folder,
    wait_for,
    workload,
)
from tests.e2e.outside import Client, plain
from tests.e2e.programs.third_parties import Files

pytestmark = pytest.mark.e2e

EXAMPLES = Path(__file__).parents[2] / "examples"


@contextlib.contextmanager
def example(name: str, file: str, *written: int, before: str = "") -> Iterator[tuple[Path, list[int]]]:
    """An example that is up: its folder, and the ports that it has in place of the written ones."""
    with short_folder() as folder:
        here = folder / "e"
        shutil.copytree(EXAMPLES / name, here, ignore=shutil.ignore_patterns("certs", "state"))
        ports = [free_port() for _ in written]
        for path in [here / file, *here.glob("istio/*.yaml")]:
            text = path.read_text()
            for old, new in zip(written, ports, strict=True):
                text = text.replace(str(old), str(new))
            path.write_text(text)
        if before:
            subprocess.run(["sh", before], cwd=here, check=True)
        try:
            Handsel(here, "up", "up", "-f", file, "--state", str(folder / "s")).wait_for("stop: Ctrl-C")
            yield folder, ports
        finally:
            end_everything_in(folder)


@pytest.mark.parametrize("file", ["handsel.yaml", "handsel-istio.yaml"])
def test_ingress(file: str) -> None:
    with example("ingress", file, 9444, 9080, before="certificates.sh") as (folder, (https, http)):
        certs = folder / "e" / "certs"
        client = Client(https, certs / "public-ca.pem")
        till = replace(client, shows=Files(certs / "till.pem", certs / "till.key"))
        assert client.get("shop.example.com", "/cart/1").json["service"] == "cart"
        assert till.get("till.example.com").json["service"] == "web"
        assert "till.partner.example" in till.get("till.example.com").json["client"]
        assert client.refuses("till.example.com")
        assert (
            client.get("shop.example.com", X__Forwarded__Client__Cert="By=me").json["client"] == "nobody in particular"
        )
        assert client.get("shop.example.com", host="till.example.com").status == 421
        assert plain(http, "shop.example.com").status == 301


@pytest.mark.parametrize(("file", "gateway"), [("handsel.yaml", "out"), ("handsel-istio.yaml", "istio-egressgateway")])
def test_egress(file: str, gateway: str) -> None:
    with example("egress", file, 18443, 18080) as (folder, _):
        port = workload(folder / "s", "client")["ports"]["application"]
        answer = json.loads(wait_for(lambda: _answer(port)))
        assert answer["client_certificate"]["subject"] == "CN=Client of the third party"
        lines = wait_for(lambda: [each for each in access_log(folder / "s", "client") if each.get("status") == 200])
        assert {each["peer_uri"].rpartition("/")[2] for each in lines} == {gateway}
        assert all(not each["name"].startswith("file-cert") for each in workload(folder / "s", "client")["secrets"])


def test_adapter() -> None:
    with example("adapter", "handsel.yaml", 18444) as (folder, _):
        port = workload(folder / "s", "web")["ports"]["application"]
        assert wait_for(lambda: _answer(port)) == "an old ledger, by TLSv1.2 and HTTP/1.0\n"


def test_ambassador() -> None:
    with example("ambassador", "handsel.yaml") as (folder, _):
        log = folder / "s" / "programs" / "job.log"
        assert wait_for(lambda: "stock: 42" in log.read_text())


def _answer(port: int) -> str:
    try:
        status, body = fetch(f"http://127.0.0.1:{port}/")
    except OSError:
        return ""
    return body if status == 200 else ""
