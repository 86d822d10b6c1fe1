"""A quote of this machine's TPM, by the tools of the system (tpm2-tools)."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from handsel.agent.join import Prove
from handsel.errors import UsageError
from handsel.link.joining import Evidence
from handsel.link.transcript import Transcript
from handsel.pki.certificate import parse_pem

_TIMEOUT_SECONDS = 30


def quoting(chain_pem: bytes, attestation_key: str, registers: str) -> Prove:
    """Quotes by the attestation key that a chain of certificates is for. Raises `UsageError`.

    `attestation_key`: a persistent handle (`0x81010002`) or the file of a context. `registers`: such as `sha256:0,7`.
    """
    tool = shutil.which("tpm2_quote")
    if tool is None:
        raise UsageError("tpm2_quote is not on PATH", next_step="install tpm2-tools")
    try:
        chain = tuple(each.der for each in parse_pem(chain_pem))
    except ValueError as error:
        raise UsageError(f"the certificate cannot be read: {error}") from error

    def prove(transcript: Transcript) -> Evidence:
        with tempfile.TemporaryDirectory(prefix="hs") as name:
            message, signed = Path(name) / "message", Path(name) / "signature"
            command = [
                tool, "-Q", "-c", attestation_key, "-l", registers, "-q", transcript.digest().hex(),
                "-m", str(message), "-s", str(signed),
            ]  # fmt: skip
            problem = _run(command)
            if problem:
                raise UsageError(f"the TPM gave no quote: {problem}")
            return Evidence(chain, signed.read_bytes(), message.read_bytes())

    return prove


def _run(command: list[str]) -> str:
    """Run a tool of the system. Returns what is wrong, or nothing."""
    try:
        done = subprocess.run(  # noqa: S603  # no shell, and the tool is the system's
            command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it did not answer within {_TIMEOUT_SECONDS} s"
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["tpm2_quote failed"]
    return lines[0][:200]
