"""ActiveMQ, a broker of Java's, with TLS doors for STOMP and JMS, and stores that our own code wrote."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.mesh_process import free_port
from tests.e2e.servers.process import running

HOME = Path("/usr/share/activemq")
JARS = f"{HOME}/lib/*"
"""The class path of clients."""
OPTIONS = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djavax.net.debug=ssl:respmgr")
"""For a small machine; and why a handshake failed is told, which neither broker nor client does."""

_CONFIGURATION = """\
<beans xmlns="http://www.springframework.org/schema/beans" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xsi:schemaLocation="http://www.springframework.org/schema/beans
    http://www.springframework.org/schema/beans/spring-beans-2.0.xsd
    http://activemq.apache.org/schema/core http://activemq.apache.org/schema/core/activemq-core.xsd">
  <broker xmlns="http://activemq.apache.org/schema/core" useJmx="false" persistent="false" dataDirectory="data">
    <sslContext>
      <sslContext
        keyStore="file:{key_store}" keyStoreType="{key_type}" keyStorePassword="{password}"
        trustStore="file:{trust_store}" trustStoreType="{trust_type}" trustStorePassword="{password}"/>
    </sslContext>
    <transportConnectors>{connectors}</transportConnectors>
  </broker>
</beans>
"""
_LOG = """\
log4j.rootLogger=INFO, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.SimpleLayout
"""
_DOORS = (("stomp+ssl", False), ("stomp+ssl", True), ("ssl", False), ("ssl", True))


@dataclass(frozen=True)
class Broker:
    """The ports of its doors, of which the `two_way` ones want a certificate, and the file with what it says."""

    stomp: int
    stomp_two_way: int
    jms: int
    jms_two_way: int
    log: Path


def skip_without() -> None:
    """Skip a test that needs it."""
    if shutil.which("java") is None or not (HOME / "bin" / "activemq.jar").exists():
        pytest.skip("needs ActiveMQ")


@contextmanager
def serving(folder: Path, *, key_store: str, trust_store: str, password: str) -> Iterator[Broker]:
    """A broker with two stores of `folder`, whose formats are told from their names: `.p12` or `.jks`."""
    skip_without()
    ports = [free_port() for _ in range(4)]
    doors = [_connector(*each) for each in zip(_DOORS, ports, strict=True)]
    (folder / "activemq.xml").write_text(
        _CONFIGURATION.format(
            key_store=folder / key_store, key_type=_kind(key_store), trust_store=folder / trust_store,
            trust_type=_kind(trust_store), password=password, connectors="".join(doors),
        )
    )  # fmt: skip
    (folder / "log4j.properties").write_text(_LOG)
    command = (
        "java", *OPTIONS, "-cp", f"{JARS}:{HOME}/lib/optional/*:{HOME}/bin/activemq.jar",
        "-Dlog4j.configuration=file:log4j.properties", f"-Dactivemq.home={HOME}", f"-Dactivemq.base={folder}",
        "org.apache.activemq.console.Main", "start", f"xbean:file:{folder}/activemq.xml",
    )  # fmt: skip
    with running("activemq", command, folder, ports=ports) as log:
        yield Broker(*ports, log)


def _kind(store: str) -> str:
    return "PKCS12" if store.endswith(".p12") else "JKS"


def _connector(door: tuple[str, bool], port: int) -> str:
    scheme, two_way = door
    uri = f"{scheme}://127.0.0.1:{port}?needClientAuth={str(two_way).lower()}"
    return f'<transportConnector name="{port}" uri="{uri}"/>'
