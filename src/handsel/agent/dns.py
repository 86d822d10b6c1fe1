"""What a workload's stub resolver answers: the names of its callees, and that there are no others (RFC 1035).

It asks nobody: a name that a program may not call must not leave its namespace, not even as a question. (A pod is no
such place: there `adapters/pod_names.py` asks on.)
"""

from __future__ import annotations

from collections.abc import Mapping

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

LARGEST_QUERY = 1232
"""Bytes: what fits into any network's packets, and more than any question about one name."""
_LIFETIME_SECONDS = 5
_LOCALHOST = "localhost"  # RFC 6761, section 6.3
_HEADER_BYTES = 12
_RESPONSE_BIT = 0x80


def answer(query: bytes, names: Mapping[str, str]) -> bytes | None:
    """The answer to a query, or None for what deserves none. `names`: the IPv4 address of each callee, by its name.

    Any bytes are taken; the answer is never longer than 512 bytes.
    """
    if len(query) < _HEADER_BYTES or query[2] & _RESPONSE_BIT:
        return None
    try:
        asked = dns.message.from_wire(query[:LARGEST_QUERY])
        reply = dns.message.make_response(asked, recursion_available=True)
    except (dns.exception.DNSException, ValueError):
        return _cannot_read(query)
    reply.set_rcode(_decide(asked, reply, names))
    return reply.to_wire(max_size=512)


def is_unknown(reply: bytes) -> bool:
    """Whether an answer says that there is no such name."""
    return reply[3] & 0x0F == dns.rcode.NXDOMAIN


def _decide(asked: dns.message.Message, reply: dns.message.Message, names: Mapping[str, str]) -> dns.rcode.Rcode:
    """The code of the answer; what is found is put into `reply`."""
    if asked.opcode() != dns.opcode.QUERY:
        return dns.rcode.NOTIMP
    if len(asked.question) != 1:
        return dns.rcode.FORMERR
    question = asked.question[0]
    if question.rdclass not in {dns.rdataclass.IN, dns.rdataclass.ANY}:
        return dns.rcode.REFUSED
    addresses = _addresses(question.name, names)
    if addresses is None:
        return dns.rcode.NXDOMAIN
    reply.flags |= dns.flags.AA
    found = addresses.get(question.rdtype)
    if found:
        reply.answer.append(dns.rrset.from_text(question.name, _LIFETIME_SECONDS, "IN", question.rdtype, found))
    return dns.rcode.NOERROR


def _addresses(asked: dns.name.Name, names: Mapping[str, str]) -> Mapping[dns.rdatatype.RdataType, str] | None:
    """What a name has, by type; None for a name that is not there. Names are the same in upper and lower case."""
    wanted = asked.to_text(omit_final_dot=True).lower()
    if wanted == _LOCALHOST or wanted.endswith(f".{_LOCALHOST}"):
        return {dns.rdatatype.A: "127.0.0.1", dns.rdatatype.AAAA: "::1"}
    address = next((address for name, address in names.items() if name.lower() == wanted), None)
    return None if address is None else {dns.rdatatype.A: address}


def _cannot_read(query: bytes) -> bytes:
    """FORMERR, with the question's id and nothing of the question (RFC 1035, section 4.1.1)."""
    return query[:2] + bytes([_RESPONSE_BIT | query[2] & 0x79, dns.rcode.FORMERR]) + bytes(8)
