from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JoinRequest(_message.Message):
    __slots__ = ("ticket_id", "csr", "proof", "host_name", "attestor", "evidence", "challenge", "signature", "recovery_csr")
    TICKET_ID_FIELD_NUMBER: _ClassVar[int]
    CSR_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    HOST_NAME_FIELD_NUMBER: _ClassVar[int]
    ATTESTOR_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    CHALLENGE_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_CSR_FIELD_NUMBER: _ClassVar[int]
    ticket_id: str
    csr: bytes
    proof: bytes
    host_name: str
    attestor: str
    evidence: Evidence
    challenge: str
    signature: bytes
    recovery_csr: bytes
    def __init__(self, ticket_id: _Optional[str] = ..., csr: _Optional[bytes] = ..., proof: _Optional[bytes] = ..., host_name: _Optional[str] = ..., attestor: _Optional[str] = ..., evidence: _Optional[_Union[Evidence, _Mapping]] = ..., challenge: _Optional[str] = ..., signature: _Optional[bytes] = ..., recovery_csr: _Optional[bytes] = ...) -> None: ...

class Evidence(_message.Message):
    __slots__ = ("chain", "signature", "quote", "token")
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    QUOTE_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    chain: _containers.RepeatedScalarFieldContainer[bytes]
    signature: bytes
    quote: bytes
    token: str
    def __init__(self, chain: _Optional[_Iterable[bytes]] = ..., signature: _Optional[bytes] = ..., quote: _Optional[bytes] = ..., token: _Optional[str] = ...) -> None: ...

class JoinResponse(_message.Message):
    __slots__ = ("agent_id", "trust_domain", "chain", "roots", "proof")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    TRUST_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    ROOTS_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    trust_domain: str
    chain: _containers.RepeatedScalarFieldContainer[bytes]
    roots: _containers.RepeatedScalarFieldContainer[bytes]
    proof: bytes
    def __init__(self, agent_id: _Optional[str] = ..., trust_domain: _Optional[str] = ..., chain: _Optional[_Iterable[bytes]] = ..., roots: _Optional[_Iterable[bytes]] = ..., proof: _Optional[bytes] = ...) -> None: ...

class Challenge(_message.Message):
    __slots__ = ("challenge",)
    CHALLENGE_FIELD_NUMBER: _ClassVar[int]
    challenge: str
    def __init__(self, challenge: _Optional[str] = ...) -> None: ...

class RecoverRequest(_message.Message):
    __slots__ = ("agent_id", "csr", "challenge", "signature", "recovery_signature")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    CSR_FIELD_NUMBER: _ClassVar[int]
    CHALLENGE_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    csr: bytes
    challenge: str
    signature: bytes
    recovery_signature: bytes
    def __init__(self, agent_id: _Optional[str] = ..., csr: _Optional[bytes] = ..., challenge: _Optional[str] = ..., signature: _Optional[bytes] = ..., recovery_signature: _Optional[bytes] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("csr",)
    CSR_FIELD_NUMBER: _ClassVar[int]
    csr: bytes
    def __init__(self, csr: _Optional[bytes] = ...) -> None: ...

class SignBatchRequest(_message.Message):
    __slots__ = ("wanted",)
    class Wanted(_message.Message):
        __slots__ = ("service", "csr")
        SERVICE_FIELD_NUMBER: _ClassVar[int]
        CSR_FIELD_NUMBER: _ClassVar[int]
        service: str
        csr: bytes
        def __init__(self, service: _Optional[str] = ..., csr: _Optional[bytes] = ...) -> None: ...
    WANTED_FIELD_NUMBER: _ClassVar[int]
    wanted: _containers.RepeatedCompositeFieldContainer[SignBatchRequest.Wanted]
    def __init__(self, wanted: _Optional[_Iterable[_Union[SignBatchRequest.Wanted, _Mapping]]] = ...) -> None: ...

class Chain(_message.Message):
    __slots__ = ("chain",)
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    chain: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, chain: _Optional[_Iterable[bytes]] = ...) -> None: ...

class SignBatchResponse(_message.Message):
    __slots__ = ("chains",)
    CHAINS_FIELD_NUMBER: _ClassVar[int]
    chains: _containers.RepeatedCompositeFieldContainer[Chain]
    def __init__(self, chains: _Optional[_Iterable[_Union[Chain, _Mapping]]] = ...) -> None: ...

class Report(_message.Message):
    __slots__ = ("workloads", "edges")
    WORKLOADS_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    workloads: _containers.RepeatedCompositeFieldContainer[WorkloadReport]
    edges: _containers.RepeatedCompositeFieldContainer[Edge]
    def __init__(self, workloads: _Optional[_Iterable[_Union[WorkloadReport, _Mapping]]] = ..., edges: _Optional[_Iterable[_Union[Edge, _Mapping]]] = ...) -> None: ...

class Edge(_message.Message):
    __slots__ = ("caller", "callee", "connections", "requests", "errors", "failures", "bytes", "tls_versions", "tls_groups")
    class TlsVersionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class TlsGroupsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    CALLER_FIELD_NUMBER: _ClassVar[int]
    CALLEE_FIELD_NUMBER: _ClassVar[int]
    CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    TLS_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    TLS_GROUPS_FIELD_NUMBER: _ClassVar[int]
    caller: str
    callee: str
    connections: int
    requests: int
    errors: int
    failures: int
    bytes: int
    tls_versions: _containers.ScalarMap[str, int]
    tls_groups: _containers.ScalarMap[str, int]
    def __init__(self, caller: _Optional[str] = ..., callee: _Optional[str] = ..., connections: _Optional[int] = ..., requests: _Optional[int] = ..., errors: _Optional[int] = ..., failures: _Optional[int] = ..., bytes: _Optional[int] = ..., tls_versions: _Optional[_Mapping[str, int]] = ..., tls_groups: _Optional[_Mapping[str, int]] = ...) -> None: ...

class WorkloadReport(_message.Message):
    __slots__ = ("service", "address", "application_port", "mesh_port", "proxy_port", "callee_ports", "access_log", "certificate_serial", "certificate_not_after", "in_sync", "rejections", "bundle", "certificate_issuer", "callee_addresses", "more_ports", "revocation_lists")
    class CalleePortsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class CalleeAddressesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class MorePortsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: int
        def __init__(self, key: _Optional[int] = ..., value: _Optional[int] = ...) -> None: ...
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    APPLICATION_PORT_FIELD_NUMBER: _ClassVar[int]
    MESH_PORT_FIELD_NUMBER: _ClassVar[int]
    PROXY_PORT_FIELD_NUMBER: _ClassVar[int]
    CALLEE_PORTS_FIELD_NUMBER: _ClassVar[int]
    ACCESS_LOG_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_SERIAL_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_NOT_AFTER_FIELD_NUMBER: _ClassVar[int]
    IN_SYNC_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_ISSUER_FIELD_NUMBER: _ClassVar[int]
    CALLEE_ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    MORE_PORTS_FIELD_NUMBER: _ClassVar[int]
    REVOCATION_LISTS_FIELD_NUMBER: _ClassVar[int]
    service: str
    address: str
    application_port: int
    mesh_port: int
    proxy_port: int
    callee_ports: _containers.ScalarMap[str, int]
    access_log: str
    certificate_serial: str
    certificate_not_after: int
    in_sync: bool
    rejections: _containers.RepeatedCompositeFieldContainer[Rejection]
    bundle: str
    certificate_issuer: str
    callee_addresses: _containers.ScalarMap[str, str]
    more_ports: _containers.ScalarMap[int, int]
    revocation_lists: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, service: _Optional[str] = ..., address: _Optional[str] = ..., application_port: _Optional[int] = ..., mesh_port: _Optional[int] = ..., proxy_port: _Optional[int] = ..., callee_ports: _Optional[_Mapping[str, int]] = ..., access_log: _Optional[str] = ..., certificate_serial: _Optional[str] = ..., certificate_not_after: _Optional[int] = ..., in_sync: _Optional[bool] = ..., rejections: _Optional[_Iterable[_Union[Rejection, _Mapping]]] = ..., bundle: _Optional[str] = ..., certificate_issuer: _Optional[str] = ..., callee_addresses: _Optional[_Mapping[str, str]] = ..., more_ports: _Optional[_Mapping[int, int]] = ..., revocation_lists: _Optional[_Iterable[str]] = ...) -> None: ...

class Rejection(_message.Message):
    __slots__ = ("type_url", "names", "reason")
    TYPE_URL_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    type_url: str
    names: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    def __init__(self, type_url: _Optional[str] = ..., names: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ...) -> None: ...

class Frame(_message.Message):
    __slots__ = ("sequence", "kind", "key", "body")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    kind: str
    key: str
    body: bytes
    def __init__(self, sequence: _Optional[int] = ..., kind: _Optional[str] = ..., key: _Optional[str] = ..., body: _Optional[bytes] = ...) -> None: ...

class Index(_message.Message):
    __slots__ = ("entries",)
    class Entry(_message.Message):
        __slots__ = ("kind", "key", "digest")
        KIND_FIELD_NUMBER: _ClassVar[int]
        KEY_FIELD_NUMBER: _ClassVar[int]
        DIGEST_FIELD_NUMBER: _ClassVar[int]
        kind: str
        key: str
        digest: bytes
        def __init__(self, kind: _Optional[str] = ..., key: _Optional[str] = ..., digest: _Optional[bytes] = ...) -> None: ...
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[Index.Entry]
    def __init__(self, entries: _Optional[_Iterable[_Union[Index.Entry, _Mapping]]] = ...) -> None: ...

class Assignment(_message.Message):
    __slots__ = ("workloads",)
    class Workload(_message.Message):
        __slots__ = ("service", "identity", "port", "callees", "renew_before_end_ms", "stores", "user", "hosts", "deliveries", "acme", "staple", "more_ports", "role")
        class HostsEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: str
            def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
        SERVICE_FIELD_NUMBER: _ClassVar[int]
        IDENTITY_FIELD_NUMBER: _ClassVar[int]
        PORT_FIELD_NUMBER: _ClassVar[int]
        CALLEES_FIELD_NUMBER: _ClassVar[int]
        RENEW_BEFORE_END_MS_FIELD_NUMBER: _ClassVar[int]
        STORES_FIELD_NUMBER: _ClassVar[int]
        USER_FIELD_NUMBER: _ClassVar[int]
        HOSTS_FIELD_NUMBER: _ClassVar[int]
        DELIVERIES_FIELD_NUMBER: _ClassVar[int]
        ACME_FIELD_NUMBER: _ClassVar[int]
        STAPLE_FIELD_NUMBER: _ClassVar[int]
        MORE_PORTS_FIELD_NUMBER: _ClassVar[int]
        ROLE_FIELD_NUMBER: _ClassVar[int]
        service: str
        identity: str
        port: int
        callees: _containers.RepeatedScalarFieldContainer[str]
        renew_before_end_ms: int
        stores: _containers.RepeatedScalarFieldContainer[str]
        user: str
        hosts: _containers.ScalarMap[str, str]
        deliveries: _containers.RepeatedCompositeFieldContainer[Delivery]
        acme: AcmeClient
        staple: bool
        more_ports: _containers.RepeatedScalarFieldContainer[int]
        role: str
        def __init__(self, service: _Optional[str] = ..., identity: _Optional[str] = ..., port: _Optional[int] = ..., callees: _Optional[_Iterable[str]] = ..., renew_before_end_ms: _Optional[int] = ..., stores: _Optional[_Iterable[str]] = ..., user: _Optional[str] = ..., hosts: _Optional[_Mapping[str, str]] = ..., deliveries: _Optional[_Iterable[_Union[Delivery, _Mapping]]] = ..., acme: _Optional[_Union[AcmeClient, _Mapping]] = ..., staple: _Optional[bool] = ..., more_ports: _Optional[_Iterable[int]] = ..., role: _Optional[str] = ...) -> None: ...
    WORKLOADS_FIELD_NUMBER: _ClassVar[int]
    workloads: _containers.RepeatedCompositeFieldContainer[Assignment.Workload]
    def __init__(self, workloads: _Optional[_Iterable[_Union[Assignment.Workload, _Mapping]]] = ...) -> None: ...

class AcmeClient(_message.Message):
    __slots__ = ("directory", "names", "roots", "contact", "external_account", "challenge", "listen_address", "listen_port", "profile", "key", "preferred_chain")
    class ExternalAccount(_message.Message):
        __slots__ = ("key_id", "key_file")
        KEY_ID_FIELD_NUMBER: _ClassVar[int]
        KEY_FILE_FIELD_NUMBER: _ClassVar[int]
        key_id: str
        key_file: str
        def __init__(self, key_id: _Optional[str] = ..., key_file: _Optional[str] = ...) -> None: ...
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    ROOTS_FIELD_NUMBER: _ClassVar[int]
    CONTACT_FIELD_NUMBER: _ClassVar[int]
    EXTERNAL_ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    CHALLENGE_FIELD_NUMBER: _ClassVar[int]
    LISTEN_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    LISTEN_PORT_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    PREFERRED_CHAIN_FIELD_NUMBER: _ClassVar[int]
    directory: str
    names: _containers.RepeatedScalarFieldContainer[str]
    roots: str
    contact: _containers.RepeatedScalarFieldContainer[str]
    external_account: AcmeClient.ExternalAccount
    challenge: str
    listen_address: str
    listen_port: int
    profile: str
    key: str
    preferred_chain: str
    def __init__(self, directory: _Optional[str] = ..., names: _Optional[_Iterable[str]] = ..., roots: _Optional[str] = ..., contact: _Optional[_Iterable[str]] = ..., external_account: _Optional[_Union[AcmeClient.ExternalAccount, _Mapping]] = ..., challenge: _Optional[str] = ..., listen_address: _Optional[str] = ..., listen_port: _Optional[int] = ..., profile: _Optional[str] = ..., key: _Optional[str] = ..., preferred_chain: _Optional[str] = ...) -> None: ...

class Delivery(_message.Message):
    __slots__ = ("name", "folder", "owner", "contents", "reload", "password_file")
    class Content(_message.Message):
        __slots__ = ("name", "kind", "alias", "owner", "mode", "source")
        NAME_FIELD_NUMBER: _ClassVar[int]
        KIND_FIELD_NUMBER: _ClassVar[int]
        ALIAS_FIELD_NUMBER: _ClassVar[int]
        OWNER_FIELD_NUMBER: _ClassVar[int]
        MODE_FIELD_NUMBER: _ClassVar[int]
        SOURCE_FIELD_NUMBER: _ClassVar[int]
        name: str
        kind: str
        alias: str
        owner: str
        mode: int
        source: str
        def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., alias: _Optional[str] = ..., owner: _Optional[str] = ..., mode: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...
    class Reload(_message.Message):
        __slots__ = ("signal", "pid_file", "command", "url", "method", "timeout_ms")
        SIGNAL_FIELD_NUMBER: _ClassVar[int]
        PID_FILE_FIELD_NUMBER: _ClassVar[int]
        COMMAND_FIELD_NUMBER: _ClassVar[int]
        URL_FIELD_NUMBER: _ClassVar[int]
        METHOD_FIELD_NUMBER: _ClassVar[int]
        TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
        signal: str
        pid_file: str
        command: _containers.RepeatedScalarFieldContainer[str]
        url: str
        method: str
        timeout_ms: int
        def __init__(self, signal: _Optional[str] = ..., pid_file: _Optional[str] = ..., command: _Optional[_Iterable[str]] = ..., url: _Optional[str] = ..., method: _Optional[str] = ..., timeout_ms: _Optional[int] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    FOLDER_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    CONTENTS_FIELD_NUMBER: _ClassVar[int]
    RELOAD_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FILE_FIELD_NUMBER: _ClassVar[int]
    name: str
    folder: str
    owner: str
    contents: _containers.RepeatedCompositeFieldContainer[Delivery.Content]
    reload: Delivery.Reload
    password_file: str
    def __init__(self, name: _Optional[str] = ..., folder: _Optional[str] = ..., owner: _Optional[str] = ..., contents: _Optional[_Iterable[_Union[Delivery.Content, _Mapping]]] = ..., reload: _Optional[_Union[Delivery.Reload, _Mapping]] = ..., password_file: _Optional[str] = ...) -> None: ...

class Bundle(_message.Message):
    __slots__ = ("roots", "crls", "signing", "signing_since", "jwks", "federated")
    ROOTS_FIELD_NUMBER: _ClassVar[int]
    CRLS_FIELD_NUMBER: _ClassVar[int]
    SIGNING_FIELD_NUMBER: _ClassVar[int]
    SIGNING_SINCE_FIELD_NUMBER: _ClassVar[int]
    JWKS_FIELD_NUMBER: _ClassVar[int]
    FEDERATED_FIELD_NUMBER: _ClassVar[int]
    roots: _containers.RepeatedScalarFieldContainer[bytes]
    crls: _containers.RepeatedScalarFieldContainer[bytes]
    signing: bytes
    signing_since: int
    jwks: bytes
    federated: _containers.RepeatedCompositeFieldContainer[FederatedBundle]
    def __init__(self, roots: _Optional[_Iterable[bytes]] = ..., crls: _Optional[_Iterable[bytes]] = ..., signing: _Optional[bytes] = ..., signing_since: _Optional[int] = ..., jwks: _Optional[bytes] = ..., federated: _Optional[_Iterable[_Union[FederatedBundle, _Mapping]]] = ...) -> None: ...

class FederatedBundle(_message.Message):
    __slots__ = ("trust_domain", "x509_authorities", "jwks", "services")
    TRUST_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    X509_AUTHORITIES_FIELD_NUMBER: _ClassVar[int]
    JWKS_FIELD_NUMBER: _ClassVar[int]
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    trust_domain: str
    x509_authorities: _containers.RepeatedScalarFieldContainer[bytes]
    jwks: bytes
    services: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, trust_domain: _Optional[str] = ..., x509_authorities: _Optional[_Iterable[bytes]] = ..., jwks: _Optional[bytes] = ..., services: _Optional[_Iterable[str]] = ...) -> None: ...

class Resources(_message.Message):
    __slots__ = ("resources", "secrets")
    class Resource(_message.Message):
        __slots__ = ("type_url", "name", "version", "body", "needs")
        TYPE_URL_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        VERSION_FIELD_NUMBER: _ClassVar[int]
        BODY_FIELD_NUMBER: _ClassVar[int]
        NEEDS_FIELD_NUMBER: _ClassVar[int]
        type_url: str
        name: str
        version: str
        body: bytes
        needs: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, type_url: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[str] = ..., body: _Optional[bytes] = ..., needs: _Optional[_Iterable[str]] = ...) -> None: ...
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    SECRETS_FIELD_NUMBER: _ClassVar[int]
    resources: _containers.RepeatedCompositeFieldContainer[Resources.Resource]
    secrets: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, resources: _Optional[_Iterable[_Union[Resources.Resource, _Mapping]]] = ..., secrets: _Optional[_Iterable[str]] = ...) -> None: ...

class JwtRequest(_message.Message):
    __slots__ = ("service", "audiences")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    AUDIENCES_FIELD_NUMBER: _ClassVar[int]
    service: str
    audiences: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, service: _Optional[str] = ..., audiences: _Optional[_Iterable[str]] = ...) -> None: ...

class JwtResponse(_message.Message):
    __slots__ = ("token", "expires")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    token: str
    expires: int
    def __init__(self, token: _Optional[str] = ..., expires: _Optional[int] = ...) -> None: ...

class SecretRefs(_message.Message):
    __slots__ = ("refs",)
    class Ref(_message.Message):
        __slots__ = ("name", "version", "service", "file", "owner", "mode", "group", "expires_ms")
        NAME_FIELD_NUMBER: _ClassVar[int]
        VERSION_FIELD_NUMBER: _ClassVar[int]
        SERVICE_FIELD_NUMBER: _ClassVar[int]
        FILE_FIELD_NUMBER: _ClassVar[int]
        OWNER_FIELD_NUMBER: _ClassVar[int]
        MODE_FIELD_NUMBER: _ClassVar[int]
        GROUP_FIELD_NUMBER: _ClassVar[int]
        EXPIRES_MS_FIELD_NUMBER: _ClassVar[int]
        name: str
        version: str
        service: str
        file: str
        owner: str
        mode: int
        group: str
        expires_ms: int
        def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., service: _Optional[str] = ..., file: _Optional[str] = ..., owner: _Optional[str] = ..., mode: _Optional[int] = ..., group: _Optional[str] = ..., expires_ms: _Optional[int] = ...) -> None: ...
    REFS_FIELD_NUMBER: _ClassVar[int]
    refs: _containers.RepeatedCompositeFieldContainer[SecretRefs.Ref]
    def __init__(self, refs: _Optional[_Iterable[_Union[SecretRefs.Ref, _Mapping]]] = ...) -> None: ...

class SecretsRequest(_message.Message):
    __slots__ = ("wanted",)
    class Wanted(_message.Message):
        __slots__ = ("service", "name", "version")
        SERVICE_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        VERSION_FIELD_NUMBER: _ClassVar[int]
        service: str
        name: str
        version: str
        def __init__(self, service: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...
    WANTED_FIELD_NUMBER: _ClassVar[int]
    wanted: _containers.RepeatedCompositeFieldContainer[SecretsRequest.Wanted]
    def __init__(self, wanted: _Optional[_Iterable[_Union[SecretsRequest.Wanted, _Mapping]]] = ...) -> None: ...

class SecretsResponse(_message.Message):
    __slots__ = ("values",)
    class Value(_message.Message):
        __slots__ = ("service", "name", "version", "value", "refused")
        SERVICE_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        VERSION_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        REFUSED_FIELD_NUMBER: _ClassVar[int]
        service: str
        name: str
        version: str
        value: bytes
        refused: str
        def __init__(self, service: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[str] = ..., value: _Optional[bytes] = ..., refused: _Optional[str] = ...) -> None: ...
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedCompositeFieldContainer[SecretsResponse.Value]
    def __init__(self, values: _Optional[_Iterable[_Union[SecretsResponse.Value, _Mapping]]] = ...) -> None: ...
