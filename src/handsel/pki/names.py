"""Names that identify: trust domains, SPIFFE IDs (SPIFFE-ID standard, sections 2.1 to 2.4), a certificate's names."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from cryptography import x509

_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")
_SEGMENT = re.compile(r"[A-Za-z0-9._-]+")
_MAXIMUM_LENGTH = 2048


@dataclass(frozen=True, order=True)
class TrustDomain:
    """A trust domain's name: lower-case letters, digits, dots, dashes, underscores; at most 255.

    Raises `ValueError` for anything else.
    """

    name: str

    def __post_init__(self) -> None:
        if not _TRUST_DOMAIN.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no trust domain: use lower-case letters, digits, '.', '-' and '_'")

    def __str__(self) -> str:
        return self.name

    @property
    def server(self) -> SpiffeId:
        """The identity of handsel's own servers (reserved path)."""
        return SpiffeId(self, "/handsel/server")

    @property
    def server_dns(self) -> str:
        """The DNS name that every server's certificate carries, so that agents check one name at any address."""
        return f"server.handsel.{self.name}"

    @property
    def nobody(self) -> SpiffeId:
        """An identity that is never issued: what a matcher says when nobody is allowed."""
        return SpiffeId(self, "/handsel/nobody")

    def agent(self, agent_id: str) -> SpiffeId:
        """The identity of the agent with this id (reserved path)."""
        return SpiffeId(self, f"/handsel/agent/{agent_id}")

    def administrator(self, name: str) -> SpiffeId:
        """The identity of a person or program that administers this authority (reserved path)."""
        return SpiffeId(self, f"/handsel/admin/{name}")

    def workload(self, namespace: str, service_account: str) -> SpiffeId:
        """A workload's identity, in the form that Istio's principals use."""
        return SpiffeId(self, f"/ns/{namespace}/sa/{service_account}")


@dataclass(frozen=True, order=True)
class SpiffeId:
    """`spiffe://<trust domain><path>`; the path is empty or starts with a slash.

    Raises `ValueError` for a path that the standard does not allow (empty or dotted segments, other characters).
    """

    trust_domain: TrustDomain
    path: str

    def __post_init__(self) -> None:
        if self.path and not self.path.startswith("/"):
            raise ValueError(f"the path {self.path!r} of a SPIFFE ID must start with '/'")
        for segment in self.path.split("/")[1:]:
            if not _SEGMENT.fullmatch(segment) or segment in (".", ".."):
                raise ValueError(f"{segment!r} is no segment of a SPIFFE ID")
        if len(str(self)) > _MAXIMUM_LENGTH:
            raise ValueError(f"a SPIFFE ID has at most {_MAXIMUM_LENGTH} bytes")

    def __str__(self) -> str:
        return f"spiffe://{self.trust_domain}{self.path}"

    @classmethod
    def parse(cls, text: str) -> SpiffeId:
        """The SPIFFE ID written in `text`. Raises `ValueError` when it is none."""
        scheme, separator, rest = text.partition("://")
        if scheme != "spiffe" or not separator:
            raise ValueError(f"{text!r} is no SPIFFE ID: it must start with spiffe://")
        domain, slash, path = rest.partition("/")
        return cls(TrustDomain(domain), slash + path)

    @property
    def agent_id(self) -> str | None:
        """The id of the agent that this names, or None when it names no agent."""
        prefix = "/handsel/agent/"
        return self.path.removeprefix(prefix) if self.path.startswith(prefix) else None

    @property
    def administrator_name(self) -> str | None:
        """The name of the administrator that this names, or None when it names none."""
        prefix = "/handsel/admin/"
        return self.path.removeprefix(prefix) if self.path.startswith(prefix) else None

    @property
    def is_reserved(self) -> bool:
        """Whether this names a part of handsel itself, which no workload may be."""
        return self.path == "/handsel" or self.path.startswith("/handsel/")


@dataclass(frozen=True)
class Names:
    """The names of a certificate, in canonical form: DNS lower case as A-labels, addresses as RFC 5952 writes them.

    Raises `ValueError` for a name that is none.
    """

    dns: tuple[str, ...] = ()
    ip: tuple[str, ...] = ()
    uri: tuple[str, ...] = ()
    mail: tuple[str, ...] = ()
    other: int = field(default=0, compare=True)
    """How many names are of other kinds, which nobody is given here."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "dns", tuple(dict.fromkeys(dns_name(name) for name in self.dns)))
        object.__setattr__(self, "ip", tuple(dict.fromkeys(_address(name) for name in self.ip)))

    @classmethod
    def of(cls, names: x509.SubjectAlternativeName) -> Names:
        """The names of an extension. Raises `ValueError` for names that are none."""
        dns = tuple(names.get_values_for_type(x509.DNSName))
        ip = tuple(str(address) for address in names.get_values_for_type(x509.IPAddress))
        uri = tuple(names.get_values_for_type(x509.UniformResourceIdentifier))
        mail = tuple(names.get_values_for_type(x509.RFC822Name))
        return cls(dns, ip, uri, mail, other=len(names) - len(dns) - len(ip) - len(uri) - len(mail))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Every name as (kind, value); kinds are `dns`, `ip`, `uri` and `mail`."""
        for kind in ("uri", "dns", "ip", "mail"):
            for value in getattr(self, kind):
                yield kind, value

    def __bool__(self) -> bool:
        return any(True for _ in self)

    def general(self) -> list[x509.GeneralName]:
        """The same as values of `cryptography`, URIs first."""
        found: list[x509.GeneralName] = [x509.UniformResourceIdentifier(name) for name in self.uri]
        found += [x509.DNSName(name) for name in self.dns]
        found += [x509.IPAddress(ipaddress.ip_address(name)) for name in self.ip]
        found += [x509.RFC822Name(name) for name in self.mail]
        return found


def _address(text: str) -> str:
    if "%" in text:  # a certificate has no place for a zone
        raise ValueError(f"{text!r} has a zone, which means something on one host only")
    return str(ipaddress.ip_address(text))


_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_LONGEST_DNS_NAME = 253


def dns_name(text: str) -> str:
    """A DNS name in canonical form (RFC 5280, section 7.2): lower case, A-labels, perhaps `*.` before it.

    Raises `ValueError` when it is none.
    """
    if not text.isascii():  # asked first: some letters outside ASCII have their lower case in it
        raise ValueError(f"{text!r} must be written as A-labels (xn--…)")
    name = text.lower()
    labels = name.removeprefix("*.").split(".")
    if len(name) > _LONGEST_DNS_NAME or not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdecimal():
        raise ValueError(f"{text!r} is no DNS name")
    return name
