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
_LOG = "log4j.rootLogger=INFO, out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\n" + (
    "log4j.appender.out.layout=org.apache.log4j.SimpleLayout\n"
)


@dataclass(frozen=True)
class Ports:
    """Of the doors: `two_way` ones want a certificate of the client's."""

    stomp: int
    stomp_two_way: int
    jms: int
    jms_two_way: int


@contextmanager
def serving(folder: Path, *, key_store: str, trust_store: str, password: str) -> Iterator[Ports]:
    """A broker with two stores of `folder`, whose formats are told from their names: `.p12` or `.jks`."""
    if shutil.which("java") is None or not (HOME / "bin" / "activemq.jar").exists():
        pytest.skip("needs ActiveMQ")
    ports = Ports(free_port(), free_port(), free_port(), free_port())
    doors = [
        ("stomp+ssl", ports.stomp, False), ("stomp+ssl", ports.stomp_two_way, True),
        ("ssl", ports.jms, False), ("ssl", ports.jms_two_way, True),
    ]  # fmt: skip
    (folder / "activemq.xml").write_text(
        _CONFIGURATION.format(
            key_store=folder / key_store, key_type=_kind(key_store), trust_store=folder / trust_store,
            trust_type=_kind(trust_store), password=password,
            connectors="".join(_connector(number, *door) for number, door in enumerate(doors)),
        )
    )  # fmt: skip
    (folder / "log4j.properties").write_text(_LOG)
    command = (
        "java", *OPTIONS, "-cp", f"{JARS}:{HOME}/lib/optional/*:{HOME}/bin/activemq.jar", "-Dlog4j.configuration=file:log4j.properties",
        f"-Dactivemq.home={HOME}", f"-Dactivemq.base={folder}",
        "org.apache.activemq.console.Main", "start", f"xbean:file:{folder}/activemq.xml",
    )  # fmt: skip
    wanted = (ports.stomp, ports.stomp_two_way, ports.jms, ports.jms_two_way)
    with running("activemq", command, folder, ports=wanted):
        yield ports


def _kind(store: str) -> str:
    return "PKCS12" if store.endswith(".p12") else "JKS"


def _connector(number: int, scheme: str, port: int, two_way: bool) -> str:
    asked = str(two_way).lower()
    return f'<transportConnector name="{number}" uri="{scheme}://127.0.0.1:{port}?needClientAuth={asked}"/>'
