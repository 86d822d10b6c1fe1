"""The TLS that a caller's proxy makes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from handsel.mesh.istio.resources.common import Part, ServerName, not_empty, one_of
from handsel.model.faults import FilePath
from handsel.model.traffic import TlsMode

_FROM_FILES = ("clientCertificate", "privateKey", "caCertificates", "caCrl")


class ClientTls(Part):
    """`ClientTLSSettings`: the TLS that the caller's proxy makes. Empty text is as if it were left out."""

    mode: Annotated[
        TlsMode,
        BeforeValidator(
            one_of(
                {
                    "DISABLE": TlsMode.DISABLE,
                    "SIMPLE": TlsMode.SIMPLE,
                    "MUTUAL": TlsMode.MUTUAL,
                    "ISTIO_MUTUAL": TlsMode.MESH,
                }
            )
        ),
    ] = TlsMode.DISABLE
    client_certificate: FilePath = ""
    private_key: FilePath = ""
    ca_certificates: FilePath = ""
    ca_crl: FilePath = ""
    credential_name: str = ""
    sni: ServerName = ""
    subject_alt_names: list[Annotated[str, AfterValidator(not_empty)]] = Field([])
    insecure_skip_verify: bool = False

    @property
    def written_mode(self) -> str:
        """Istio's word for the mode."""
        return "ISTIO_MUTUAL" if self.mode is TlsMode.MESH else self.mode.name

    @model_validator(mode="after")
    def _fits_its_mode(self) -> ClientTls:
        files = dict(
            zip(
                _FROM_FILES,
                (self.client_certificate, self.private_key, self.ca_certificates, self.ca_crl),
                strict=True,
            )
        )
        said = [key for key, value in files.items() if value]
        if self.credential_name and said:
            raise ValueError(f"credentialName and {', '.join(said)} exclude each other")
        if self.mode is TlsMode.MUTUAL and not self.credential_name:
            missing = [key for key in _FROM_FILES[:2] if not files[key]]
            if missing:
                raise ValueError(f"mode MUTUAL needs {' and '.join(missing)}, or credentialName")
        self._check_useless(files)
        if self.insecure_skip_verify and (self.ca_certificates or self.subject_alt_names):
            raise ValueError("insecureSkipVerify has no use for caCertificates and subjectAltNames")
        return self

    def _check_useless(self, files: dict[str, str]) -> None:
        names = {"sni": self.sni, "subjectAltNames": self.subject_alt_names}
        everything: dict[str, Any] = {**files, "credentialName": self.credential_name}
        useless = {
            TlsMode.DISABLE: {**everything, **names},
            TlsMode.SIMPLE: dict.fromkeys(_FROM_FILES[:2], "") | {key: files[key] for key in _FROM_FILES[:2]},
            TlsMode.MUTUAL: {},
            TlsMode.MESH: everything,
        }[self.mode]
        said = [key for key, value in useless.items() if value]
        if said:
            hint = "" if self.mode is TlsMode.MESH else ": did you mean MUTUAL?"
            raise ValueError(f"mode {self.written_mode} has no use for {', '.join(said)}{hint}")
