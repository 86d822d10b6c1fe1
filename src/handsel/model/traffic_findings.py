"""What a person should know of rules for traffic: what never happens, or happens otherwise, although it was said.

Of what Istio's resources say only what their reading does not find itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from handsel.model.conditions import unreachable
from handsel.model.finding import Finding, Known, Severity
from handsel.model.graph import Callee, External, Group, Service
from handsel.model.routing import Routes
from handsel.model.traffic import Balance, HashOn, Outliers, Traffic

NEVER_TAKEN = Known("HM-301", Severity.MEDIUM, "Put it before that one, or take it out.", "IST0130")
EMPTY_SUBSET = Known("HM-302", Severity.MEDIUM, "Correct its labels, or give them to a service.", "IST0173")
NOBODY_LEFT_OUT = Known("HM-303", Severity.LOW, "Raise most_ejected.")
ONE_ADDRESS = Known("HM-304", Severity.LOW, "Say a header, a cookie or a parameter of the query.")
HTTP2_WITHIN = Known("HM-305", Severity.INFO, "Take it out, or say protocol: http2 of the service.")
NO_PASSTHROUGH = Known("HM-306", Severity.MEDIUM, "Take it out, or say which instance comes next.")


def traffic_findings(
    routes: Iterable[Routes], traffic: Sequence[Traffic], included: Iterable[Traffic], callees: Mapping[str, Callee]
) -> list[Finding]:
    """The findings, in the order of the file; of what is included, those that are about any rule."""
    found = [each for said in routes for each in _of_routes(said)]
    found += [each for said in traffic for each in _of_traffic(said, callees)]
    return found + [each for said in (*traffic, *included) for each in _of_balance(said)]


def _of_routes(said: Routes) -> Iterator[Finding]:
    for index, taker in unreachable(said.http).items():
        rule, earlier = said.http[index], said.http[taker]
        message = f"this rule gets no request: the one at line {earlier.origin.line} takes all of them before it"
        yield NEVER_TAKEN.at(rule.origin, f"routes {said.name}", message)


def _of_traffic(said: Traffic, callees: Mapping[str, Callee]) -> Iterator[Finding]:
    subject, callee = f"traffic {said.name}", callees[said.name]
    services = _services(callee, callees)
    for subset in said.subsets:
        if not any(each.has_labels(subset.labels) for each in services):
            message = f"nobody is of the subset {subset.name}: its requests get 503"
            yield EMPTY_SUBSET.at(said.origin, subject, message)
    yield from _of_outliers(said, callee)
    if said.policy.pool and said.policy.pool.upgrade_to_http2 and not isinstance(callee, External):
        message = "http2 is for third parties: within the mesh the callee's protocol decides"
        yield HTTP2_WITHIN.at(said.origin, subject, message)


def _of_balance(said: Traffic) -> Iterator[Finding]:
    policies = [said.policy, *(policy for _, policy in said.ports), *(each.policy for each in said.subsets)]
    if any(each.sticky and each.sticky.on is HashOn.SOURCE_ADDRESS for each in policies):
        message = "all requests of one program come from one address, so that each caller stays at one instance"
        yield ONE_ADDRESS.at(said.origin, f"traffic {said.name}", message)
    if any(each.balance is Balance.PASSTHROUGH for each in policies):
        message = (
            "PASSTHROUGH goes to the address that a program wrote, but here programs write a name: the instance with"
            " the fewest requests is asked"
        )
        yield NO_PASSTHROUGH.at(said.origin, f"traffic {said.name}", message)


def _of_outliers(said: Traffic, callee: Callee) -> Iterator[Finding]:
    """Envoy leaves one more out only while these are at most so many percent: of a few, that may be nobody."""
    policies = [said.policy, *(policy for _, policy in said.ports), *(each.policy for each in said.subsets)]
    for outliers in (each.outliers for each in policies if each.outliers):
        needed = _needed(outliers)
        known = _instances(callee)
        if known is not None and known >= needed:
            continue
        if known is None and needed <= _USUALLY_THERE:
            continue
        few = f"with fewer than {needed} instances nobody is ever left out" if needed < _NEVER else "nobody is left out"
        message = f"{few}: most_ejected is {outliers.most_ejected_percent}"
        yield NOBODY_LEFT_OUT.at(said.origin, f"traffic {said.name}", message)


_USUALLY_THERE = 2
_NEVER = 1_000_000


def _needed(outliers: Outliers) -> int:
    percent = outliers.most_ejected_percent
    return -(-100 // percent) if percent else _NEVER


def _instances(callee: Callee) -> int | None:
    """How many there are for certain: of a service, which may run on many hosts, nobody knows here."""
    if isinstance(callee, External):
        return len(callee.endpoints) or None
    return len(callee.services) if isinstance(callee, Group) and len(callee.services) > 1 else None


def _services(callee: Callee, callees: Mapping[str, Callee]) -> list[Service]:
    names = callee.services if isinstance(callee, Group) else (callee.name,)
    return [each for each in (callees.get(name) for name in names) if isinstance(each, Service)]
