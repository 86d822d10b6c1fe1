"""Looking names up: by the system, or by one DNS server; what is found is checked before anybody connects to it."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

from handsel.acme.problems import Identifier, Problem
from handsel.authority.acme.proof import Address, CaaRecord, forbidden
from handsel.model.authority import Validation

_QUERY_SECONDS = 5.0
_LONGEST_CHAIN = 8
_MOST_ADDRESSES = 6
_MOST_RECORDS = 100
_MOST_NAME_SERVERS = 3
# The system's own resolver waits in threads. They are not the ones that the rest of the server works in.
_WAITING = ThreadPoolExecutor(16, "name-lookup")


class Lookup:
    """Names as the settings look them up, without a cache. Raises `Problem` (`dns`, or `connection` for an address
    that is not asked)."""

    def __init__(self, settings: Validation) -> None:
        self._settings = settings

    async def addresses(self, identifier: Identifier) -> list[Address]:
        """Where a name leads to, IPv6 first, only what may be asked; at most six."""
        found = await self._addresses(identifier)
        allowed: list[Address] = []
        refused = ""
        for address in sorted(set(found), key=lambda each: (-each.version, int(each))):
            why = forbidden(address, allow_private=self._settings.allow_private_addresses)
            refused = refused or why or ""
            if why is None:
                allowed.append(address)
        if not allowed:
            raise Problem("connection", f"{identifier} is not asked: {refused or 'it has no address'}")
        return allowed[:_MOST_ADDRESSES]

    async def texts(self, name: str) -> list[bytes]:
        """Every TXT record of a name, each as one string; CNAMEs are followed."""
        return [b"".join(each.strings) for each in await self._records(name, dns.rdatatype.TXT)]

    async def caa(self, name: str) -> list[CaaRecord]:
        """The CAA records of a name; CNAMEs are followed."""
        return [
            CaaRecord(bool(each.flags & 128), each.tag.decode("ascii", errors="replace").lower(),
                      each.value.decode("ascii", errors="replace"))
            for each in await self._records(name, dns.rdatatype.CAA)
        ]  # fmt: skip

    async def _addresses(self, identifier: Identifier) -> list[Address]:
        name = identifier.value
        if identifier.type == "ip":
            return [ipaddress.ip_address(name)]
        if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3: nobody is asked
            return [ipaddress.ip_address("::1"), ipaddress.ip_address("127.0.0.1")]
        if self._settings.resolver == "system":
            return await _by_system(name)
        kinds = (dns.rdatatype.AAAA, dns.rdatatype.A)
        answers = await asyncio.gather(*(self._records(name, kind) for kind in kinds))
        return [ipaddress.ip_address(each.address) for answer in answers for each in answer]

    async def _records(self, name: str, kind: dns.rdatatype.RdataType) -> Sequence[Any]:
        """The records of one kind; none is no error, but no answer is."""
        wanted = dns.name.from_text(name)
        for _ in range(_LONGEST_CHAIN):
            try:
                answer = await self._ask(wanted, kind)
                return list(answer)[:_MOST_RECORDS]
            except dns.resolver.NXDOMAIN:
                return []
            except dns.resolver.NoAnswer as error:
                # An authoritative server names the other zone, and leaves it to us to ask there.
                following = error.kwargs["response"].resolve_chaining().canonical_name
                if following == wanted:
                    return []
                wanted = following
            except (dns.exception.DNSException, OSError) as error:
                raise Problem("dns", f"{name} ({kind.name}): {_reason(error)}") from error
        raise Problem("dns", f"{name}: more than {_LONGEST_CHAIN} CNAMEs follow each other")

    async def _ask(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.resolver.Answer:
        if self._settings.resolver != "system":
            host, _, port = self._settings.resolver.rpartition(":")
            return await _resolver([host.strip("[]")], int(port)).resolve(name, kind, search=False)
        # The zone's own servers know now what caches on the way will know later (section 8.4).
        with contextlib.suppress(dns.exception.DNSException, OSError):
            servers = await _name_servers(name)
            if servers:
                return await _resolver(servers, 53).resolve(name, kind, search=False)
        return await _own_resolver().resolve(name, kind, search=False)


async def _by_system(name: str) -> list[Address]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.run_in_executor(
            _WAITING, lambda: socket.getaddrinfo(name, None, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        )
    except (OSError, UnicodeError) as error:
        raise Problem("dns", f"{name} has no address: {error}") from error
    return [ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found]


async def _name_servers(name: dns.name.Name) -> list[str]:
    """The addresses of the servers of the zone that a name is in."""
    resolver = _own_resolver()
    zone = await dns.asyncresolver.zone_for_name(name, resolver=resolver, lifetime=_QUERY_SECONDS)
    names = [str(each.target) for each in await resolver.resolve(zone, "NS", search=False)]
    found: list[str] = []
    for each in names[:_MOST_NAME_SERVERS]:
        with contextlib.suppress(Problem):
            found += [str(address) for address in await _by_system(each.rstrip("."))]
    return found


def _own_resolver() -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver()
    resolver.cache = None
    resolver.lifetime = _QUERY_SECONDS
    return resolver


def _resolver(servers: Sequence[str], port: int) -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [dns.nameserver.Do53Nameserver(each, port) for each in servers]
    resolver.lifetime = _QUERY_SECONDS
    resolver.timeout = _QUERY_SECONDS / 2
    return resolver


def _reason(error: Exception) -> str:
    if isinstance(error, dns.resolver.LifetimeTimeout):
        return "no answer in time"
    if isinstance(error, dns.resolver.NoNameservers):
        return "the name servers failed"
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
