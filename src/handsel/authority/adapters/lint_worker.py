"""The linter's own process: a certificate a line in (base64 of its DER), its findings a line out (JSON).

Run as a module by `lint.Linter`. It imports pkilint, which costs a fifth of a second and some 67 MB, and ends when its
input does.
"""

from __future__ import annotations

import base64
import importlib
import json
import logging
import sys
from collections.abc import Callable
from typing import Any

_LONGEST_VALUE = 300


def main() -> None:
    """Lint until the input ends."""
    logging.disable()  # what goes wrong inside a validator is a finding as well
    lint = make_linter()
    for line in sys.stdin.buffer:
        print(json.dumps(lint(base64.b64decode(line))), flush=True)  # noqa: T201  # this is the answer


def make_linter() -> Callable[[bytes], list[list[str]]]:
    """A function from a certificate's DER to its findings: (severity, code, where, value, message) each.

    With pkilint's rules of RFC 5280 and its relatives; those for public web certificates flag private ones.
    """
    loader, certificate, name, extension = (
        importlib.import_module(f"pkilint.{module}")
        for module in ("loader", "pkix.certificate", "pkix.name", "pkix.extension")
    )
    rules = certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
        [
            certificate.create_issuer_validator_container([]),
            certificate.create_validity_validator_container(),
            certificate.create_subject_validator_container([]),
            certificate.create_extensions_validator_container([]),
            certificate.create_spki_validator_container([]),
        ],
    )
    documents = loader.RFC5280CertificateDocumentLoader()

    def lint(der: bytes) -> list[list[str]]:
        try:
            results = rules.validate(documents.load_der_document(der, "certificate").root)
        except Exception as error:  # noqa: BLE001  # a linter that fails has found something
            return [["FATAL", "handsel.linter_failed", "certificate", "", f"{type(error).__name__}: {error}"[:300]]]
        return [_plain(result, found) for result in results for found in result.finding_descriptions]

    return lint


def _plain(result: Any, found: Any) -> list[str]:
    where = str(result.node.path).removeprefix("certificate.tbsCertificate.")
    value = str(result.node.pdu)[:_LONGEST_VALUE] if not result.node.children else ""
    return [found.finding.severity.name, found.finding.code, where, value, (found.message or "")[:_LONGEST_VALUE]]


if __name__ == "__main__":
    main()
