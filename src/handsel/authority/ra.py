"""The registration authority: may this peer have this name? Every refusal names its reason."""

from __future__ import annotations

from handsel.authority.model import Approval, Domain, Host, Requester, Standing
from handsel.authority.profile import AGENT, SERVER, WORKLOAD
from handsel.errors import NotAuthorised, Refused
from handsel.model.authority import OWN_PROFILES, Profile
from handsel.pki import csr
from handsel.pki.csr import CertificateRequest
from handsel.pki.names import Names, SpiffeId


def read_request(der: bytes) -> CertificateRequest:
    """The request in `der`, its possession proven. Raises `Refused`."""
    try:
        return csr.parse(der)
    except ValueError as error:
        raise Refused(str(error)) from error


def check_standing(host: Host) -> None:
    """Raises `Refused` or `NotAuthorised` for a host that is in quarantine or banned."""
    if host.standing is Standing.BANNED:
        raise NotAuthorised(f"the agent {host.agent_id} is banned: {host.cause}")
    if host.standing is Standing.QUARANTINED:
        raise Refused(
            f"the agent {host.agent_id} is in quarantine: {host.cause}",
            next_step=f"look into it, then: handsel agent quarantine lift {host.agent_id}",
        )


def approve_agent(agent_id: str, request: CertificateRequest, domain: Domain) -> Approval:
    """An agent's own certificate; the name is ours to give, whatever the request asks for."""
    identity = domain.trust_domain.agent(agent_id)
    return _approve(request, domain.profiles[AGENT], identity, f"agent/{agent_id}")


def approve_workload(service: str, request: CertificateRequest, host: Host, domain: Domain) -> Approval:
    """A workload's certificate: only for a service of the mesh that is registered to the asking host."""
    identity = domain.identities.get(service)
    if identity is None:
        raise Refused(f"there is no service {service!r} in the mesh")
    if not host.may_run(service):
        raise Refused(
            f"the service {service!r} is not registered to host {host.agent_id}",
            next_step=f"join the host with a ticket for it: handsel agent ticket --services {service}",
        )
    if request.names not in (Names(), Names(uri=(str(identity),))):
        asked = ", ".join(name for _, name in request.names) or "another kind of name"
        raise Refused(f"the service {service!r} is {identity}, not {asked}")
    return _approve(request, domain.profiles[WORKLOAD], identity, f"agent/{host.agent_id}")


def approve_server(
    request: CertificateRequest, names: tuple[str, ...], addresses: tuple[str, ...], domain: Domain
) -> Approval:
    """The server's own certificate: its SPIFFE ID, the reserved DNS name, and where it listens."""
    where = Names(dns=(domain.trust_domain.server_dns, *names), ip=addresses)
    return _approve(request, domain.profiles[SERVER], domain.trust_domain.server, "server", where)


def approve_asked(request: CertificateRequest, profile_name: str, by: str, domain: Domain) -> Approval:
    """What an administrator asks for: the names of the request, of a profile that is not handsel's own.

    Whether the names may be had is the policy's to say, as for everybody else.
    """
    profile = domain.profiles.by_name.get(profile_name)
    if profile is None or profile_name in OWN_PROFILES:
        known = ", ".join(name for name in domain.profiles.by_name if name not in OWN_PROFILES)
        raise Refused(f"there is no profile {profile_name[:63]!r} to ask for", next_step=f"known: {known}")
    require_kind(request, profile)
    requester = Requester("administrator", profile=profile.name)
    return Approval(request.names, None, request.public_key, profile, profile.lifetime, by, requester)


def require_kind(request: CertificateRequest, profile: Profile) -> None:
    """Raise `Refused` when the profile does not take keys of this kind."""
    if request.kind not in profile.keys:
        known = ", ".join(sorted(profile.keys))
        raise Refused(f"the profile {profile.name!r} takes keys of {known}, not {request.kind}")


def _approve(
    request: CertificateRequest, profile: Profile, identity: SpiffeId, by: str, others: Names | None = None
) -> Approval:
    require_kind(request, profile)
    names = Names(uri=(str(identity),), dns=others.dns if others else (), ip=others.ip if others else ())
    requester = Requester(by.partition("/")[0])
    return Approval(names, identity, request.public_key, profile, profile.lifetime, by, requester)
