"""Questions to a workload's stub resolver: any bytes get a short answer that can be read, about callees only, or none."""

from __future__ import annotations

import dns.message
import dns.rcode

from handsel.agent.dns import answer

_NAMES = {"shop": "127.70.1.2", "bank.example.com": "127.70.1.3"}
_ADDRESSES = {*_NAMES.values(), "127.0.0.1", "::1"}


def fuzz(data: bytes) -> None:
    reply = answer(data, _NAMES)
    if reply is None:
        return
    if len(reply) > 512 or reply[:2] != data[:2]:
        raise AssertionError(f"an answer of {len(reply)} bytes to {data!r}")
    read = dns.message.from_wire(reply)
    if read.rcode() != dns.rcode.NOERROR and read.answer:
        raise AssertionError("an answer that is none")
    if not {str(each) for found in read.answer for each in found} <= _ADDRESSES:
        raise AssertionError(f"an address that is no callee's: {read}")
