"""What a person should know of modes, policies and tokens, wherever they were written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from handsel.mesh.access.holds import Holding
from handsel.mesh.access.plan import Question, admit
from handsel.mesh.access.policies import Port, Said, asked, rule_name
from handsel.mesh.access.values import fits, namespace, principal, service_account, without_scheme
from handsel.mesh.entrance import Entrances
from handsel.mesh.istio import findings as known
from handsel.model.access import Action, Mode, PeerMode, Policy, Rule, Tokens, pattern_fault
from handsel.model.faults import did_you_mean
from handsel.model.finding import Finding, Known, Severity
from handsel.model.graph import Mesh, Protocol, Service, ServicePort
from handsel.model.origin import Origin


def with_findings(mesh: Mesh) -> Mesh:
    """The mesh, with what is found of access to it."""
    found = tuple(access_findings(mesh))
    notes = tuple(str(each) for each in found if each.severity >= Severity.MEDIUM)
    return replace(mesh, findings=(*mesh.findings, *found), notes=(*mesh.notes, *notes)) if found else mesh


def access_findings(mesh: Mesh) -> list[Finding]:
    """Everything, in the order of the files."""
    found = {*_of_ports(mesh), *_of_policies(mesh), *_of_modes(mesh), *_of_tokens(mesh)}
    return sorted(found)


def _finding(what: Known, place: Origin, subject: str, message: str) -> Finding:
    return Finding(
        place.file, place.line, 1, what.code, what.severity, message, subject=subject, fix=what.fix, istio=what.istio
    )


# Ports


def _of_ports(mesh: Mesh) -> Iterator[Finding]:
    entrances = Entrances(mesh)
    for service in mesh.members.values():
        if not service.role.has_inbound:
            continue
        said = entrances.said(service)
        for port in _ports_of(service):
            yield from _of_mode(mesh, said, port, entrances.mode(service, port))
            if port.protocol is Protocol.TCP and (said.policies or said.tokens):
                yield from _of_tcp_port(said, port, entrances.question(service, port))


def _ports_of(service: Service) -> tuple[ServicePort, ...]:
    return (ServicePort(service.port, service.protocol), *service.more_ports)


def _of_mode(mesh: Mesh, said: Said, port: ServicePort, mode: Mode) -> Iterator[Finding]:
    if mode is Mode.STRICT:
        return
    service = said.service
    where = f"port {port.number} of {service.name}" if port.number else service.name
    named = asked(said, Port(port.number)).calls is not None
    unasked = " `calls` are not asked for there, since nobody can be told apart." if named else ""
    place = next((each.origin for each in mesh.modes if service.name in each.services and each.origin.file), None)
    if mode is Mode.PERMISSIVE:
        message = f"{where} takes plaintext too, from whoever reaches it (PERMISSIVE).{unasked}"
        yield _finding(known.PLAINTEXT_TOO, place or service.origin, service.name, message)
    else:
        message = f"{where} takes plaintext only, from whoever reaches it (DISABLE).{unasked}"
        yield _finding(known.NO_TLS, place or service.origin, service.name, message)


def _of_tcp_port(said: Said, port: ServicePort, question: Question) -> Iterator[Finding]:
    name, secured = said.service.name, question.secured
    places = {rule: each.origin for rule, each in (*secured.deny, *(secured.allow or ()))}
    if admit(question).closed:
        message = f"what is asked at the TCP port {port.number} of {name} hangs on more than names and addresses"
        yield _finding(known.CLOSED, next(iter(places.values()), said.service.origin), name, message)
    for rule, each in secured.allow or ():
        if _asks_for_requests(each):
            message = f"{rule} asks for what only requests have, and never fits at the TCP port {port.number} of {name}"
            yield _finding(known.HTTP_ON_TCP, places[rule], name, message)
    for rule, each in secured.deny:
        if _asks_for_requests(each):
            message = f"{rule} asks for what only requests have: at the TCP port {port.number} of {name} it denies more"
            yield _finding(known.HTTP_ON_TCP, places[rule], name, message)
    for tokens in said.tokens:
        message = f"the TCP port {port.number} of {name} has no requests that could bring tokens"
        yield _finding(known.TOKENS_ON_TCP, tokens.origin, name, message)


def _asks_for_requests(rule: Rule) -> bool:
    return (
        any(each.request_principals or each.not_request_principals for each in rule.sources)
        or any(
            (*each.hosts, *each.not_hosts, *each.methods, *each.not_methods, *each.paths, *each.not_paths)
            for each in rule.operations
        )
        or any(each.key.startswith("request.") for each in rule.conditions)
    )


# Policies


def _of_policies(mesh: Mesh) -> Iterator[Finding]:
    holding = Holding(mesh)
    chosen: dict[str, list[Service]] = {}
    for service in mesh.members.values():
        for policy in holding.policies(service):
            chosen.setdefault(_id(policy), []).append(service)
    for policy in mesh.policies:
        subject = f"AuthorizationPolicy {policy.namespace}/{policy.name}"
        services = chosen.get(_id(policy), [])
        if policy.selector and not services:
            yield _nobody_chosen(policy, subject)
        if policy.action is Action.ALLOW and not policy.rules:
            message = f"{policy.name} is ALLOW without rules: it allows nothing by itself"
            yield _finding(known.ALLOWS_NOTHING, policy.origin, subject, message)
        for index, rule in enumerate(policy.rules):
            name = rule_name(policy, index)
            yield from _of_identities(mesh, rule, name, subject)
            yield from _of_stars(rule, name, subject)
            if services and not _some_port(rule, services):
                message = f"{name} never fits: no workload that it is for listens at such a port"
                yield _finding(known.NEVER_FITS, rule.origin, subject, message)


def _id(said: Policy) -> str:
    return f"{said.namespace}/{said.name}"


def _nobody_chosen(said: Policy | PeerMode | Tokens, subject: str) -> Finding:
    labels = ", ".join(f"{key}: {value}" for key, value in said.selector)
    message = f"no workload of namespace {said.namespace} has the labels {labels}: {said.name} does nothing"
    return _finding(known.NO_SUCH_WORKLOAD, said.origin, subject, message)


def _some_port(rule: Rule, services: Iterable[Service]) -> bool:
    ports = {port.number for service in services for port in _ports_of(service)}
    wanted = [set(each.ports) for each in rule.operations]
    return 0 in ports or not wanted or any(not each or each & ports for each in wanted)


def _of_identities(mesh: Mesh, rule: Rule, name: str, subject: str) -> Iterator[Finding]:
    """Names that nobody of the mesh has. Those of other trust domains are none of ours to know."""
    everybody = [each.identity for each in mesh.members.values()]
    federated = set(mesh.federation)
    principals = [without_scheme(each) for source in rule.sources for each in source.principals]
    principals += [without_scheme(each) for c in rule.conditions if c.key == "source.principal" for each in c.values]
    names = [each for each in principals if each.partition("/")[0] not in federated]
    yield from _unknown("identity", names, [principal(each) for each in everybody], rule, name, subject)
    namespaces = [each for source in rule.sources for each in source.namespaces]
    yield from _unknown("namespace", namespaces, {namespace(each) for each in everybody}, rule, name, subject)
    accounts = [each for source in rule.sources for each in source.service_accounts]
    yield from _unknown("service account", accounts, [service_account(each) for each in everybody], rule, name, subject)


def _unknown(
    kind: str, patterns: Iterable[str], there: Collection[str], rule: Rule, name: str, subject: str
) -> Iterator[Finding]:
    for pattern in patterns:
        if not any(fits(pattern, each) for each in there) and not pattern.endswith("/handsel/nobody"):
            hint = did_you_mean(pattern, there)
            message = f"{name}: nobody in the mesh has the {kind} {pattern!r}{hint and ', '}{hint}"
            yield _finding(known.UNKNOWN_IDENTITY, rule.origin, subject, message)


def _of_stars(rule: Rule, name: str, subject: str) -> Iterator[Finding]:
    texts = [text for source in rule.sources for text in (*source.principals, *source.namespaces)]
    for each in rule.operations:
        texts += (*each.hosts, *each.methods, *each.paths)
    for text in texts:
        if pattern_fault(text):
            message = f"{name}: in {text!r} the * that stands elsewhere than at one end is a plain star"
            yield _finding(known.LITERAL_STAR, rule.origin, subject, message)


# Modes and tokens


def _of_modes(mesh: Mesh) -> Iterator[Finding]:
    for said in mesh.modes:
        subject = f"PeerAuthentication {said.namespace}/{said.name}"
        here = [each for each in mesh.members.values() if each.namespace == said.namespace]
        chosen = [each for each in here if each.has_labels(said.selector)]
        if said.selector and not chosen:
            yield _nobody_chosen(said, subject)
        ports = {port.number for service in chosen for port in _ports_of(service)}
        for number, _ in said.ports if said.selector and chosen else ():
            if number not in ports and 0 not in ports:
                message = f"{said.name}: no workload that it is for listens at port {number}"
                yield _finding(known.NEVER_FITS, said.origin, subject, message)
    everywhere = [each for each in mesh.modes if each.namespace in ("", mesh.root_namespace) and each.mode]
    unsaid = [each for each in mesh.members.values() if not each.guarded and each.role.has_inbound]
    if unsaid and not everywhere:
        message = "nothing says which mode the whole mesh has: it is STRICT (Istio would take plaintext too)"
        yield _finding(known.USUALLY_STRICT, unsaid[0].origin, "PeerAuthentication", message)


def _of_tokens(mesh: Mesh) -> Iterator[Finding]:
    for said in mesh.tokens:
        subject = f"RequestAuthentication {said.namespace}/{said.name}"
        holding = (
            [each for each in mesh.members.values() if said in Holding(mesh).tokens(each)] if said.selector else []
        )
        if said.selector and not holding:
            yield _nobody_chosen(said, subject)
        for issuer in said.issuers:
            if issuer.jwks_uri.startswith("http://"):
                message = f"the keys of {issuer.issuer} are fetched in plaintext"
                yield _finding(known.KEYS_IN_PLAINTEXT, said.origin, subject, message)
