"""The authority's folder: certificates of its CAs, their keys in a key store; made at the first start, found again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path

from handsel.authority import ca, hierarchy
from handsel.authority.adapters.signers.certificates import KEPT, CertificateFiles
from handsel.authority.adapters.signers.files import FileKeys
from handsel.authority.adapters.signers.roots import RootFiles
from handsel.authority.hierarchy import ROOT, CaPlan
from handsel.authority.key_store import KeyStore
from handsel.authority.model import Issuer
from handsel.authority.service import random_serial
from handsel.errors import StateError
from handsel.model.authority import MESH_ISSUER
from handsel.pki.certificate import Certificate
from handsel.pki.keys import KeyType, PrivateKey
from handsel.pki.names import TrustDomain
from handsel.store.adapters.files import make_folder


class KeyFolder:
    """The folder with the CAs' certificates. `keys` None: their keys are in files of it, not encrypted."""

    def __init__(self, folder: Path, keys: KeyStore | None = None) -> None:
        self.folder = folder
        self.keys: KeyStore = keys or FileKeys(folder)
        self._files = CertificateFiles(folder)
        self.roots = RootFiles(self._files, self.keys)

    def open(self, trust_domain: TrustDomain, *, now: datetime, may_make: bool = True) -> tuple[Issuer, bool]:
        """The mesh's issuing CA, and whether it was made just now. Raises `StateError`.

        `may_make` False: this authority has been used, so what is missing was lost, and a new one would be a surprise.
        """
        made = not self.has(MESH_ISSUER)
        if made and not may_make:
            raise StateError(
                f"{self._files.path(MESH_ISSUER)} is gone, and certificates were issued with it", next_step=KEPT
            )
        if made:
            self.make(trust_domain, (CaPlan(),), now=now)
        return self.load(MESH_ISSUER, trust_domain), made

    def open_all(
        self, trust_domain: TrustDomain, plans: Sequence[CaPlan], *, now: datetime, may_make: bool,
        known: Collection[str] = (),
    ) -> tuple[tuple[Issuer, ...], bool]:  # fmt: skip
        """Every issuing CA of `plans`, the mesh's own first, and whether the authority was made just now.

        `known`: the CAs that were there before: one of them that is missing was lost. Raises `StateError`.
        """
        fresh = not self.has(MESH_ISSUER)
        missing = [plan.name for plan in plans if not self.has(plan.name)]
        lost = [name for name in missing if name in known or (name == MESH_ISSUER and not may_make)]
        if lost:
            raise StateError(
                f"{self._files.path(lost[0])} is gone, and certificates were issued with it", next_step=KEPT
            )
        if missing:
            self.make(trust_domain, plans, now=now)
        return tuple(self.load(plan.name, trust_domain) for plan in plans), fresh

    def make(
        self, trust_domain: TrustDomain, plans: Sequence[CaPlan], *, now: datetime,
        root_kind: KeyType = KeyType.P256, root_key: PrivateKey | None = None,
    ) -> list[str]:  # fmt: skip
        """Make what is missing: root, next root's key and issuing CAs; the names of what was made. Raises `StateError`.

        `root_key`: the root's, when it is kept elsewhere and at hand now. The mesh's own issuing CA comes last: its
        file says that the folder is whole.
        """
        made: list[str] = []
        try:
            make_folder(self.folder)
            if not self.has(ROOT):
                self.roots.make(trust_domain, root_kind, now)
                made.append(ROOT)
            for plan in reversed(plans):
                if not self.has(plan.name):
                    self.make_issuing(trust_domain, plan, plan.name, now=now, root_key=root_key)
                    made.append(plan.name)
        except OSError as error:
            raise StateError(
                f"cannot write the authority's keys to {self.folder}: {error.strerror}",
                next_step="check the folder's owner and mode, or name another with --state",
            ) from error
        return made

    def make_issuing(
        self, trust_domain: TrustDomain, plan: CaPlan, stored: str, *, now: datetime, root_key: PrivateKey | None = None
    ) -> Certificate:
        """Make an issuing CA's key and certificate under the name `stored`. Raises `StateError`: the root is away."""
        root = self.roots.trusted()[0]
        if root_key is None and not self.roots.can_sign():
            raise StateError(
                f"a certificate for the issuing CA {plan.name!r} is missing, and the root's key is not here to sign it",
                next_step=f"handsel ca request {plan.name}, sign it where the root is, then handsel ca install",
            )
        signer, key = root_key or self.keys.load(self.roots.signing()), self.keys.make(stored, plan.kind)
        made = ca.make_issuing(trust_domain, key, root, signer, serial=random_serial(), now=now, plan=plan)
        self.put(stored, made)
        return made

    def load(self, name: str, trust_domain: TrustDomain, *, key: str = "") -> Issuer:
        """An issuing CA. `key`: the name of its key, when that is another than its own. Raises `StateError`."""
        stored = key or name
        issuing, found = self._files.get(stored), self.keys.load(stored)
        if found.public_der() != issuing.public_key_der:
            raise StateError(f"{stored}.key does not belong to {self._files.path(stored)}")
        root = self.roots.above(issuing)
        if root.uri_names != [f"spiffe://{trust_domain}"]:
            raise StateError(
                f"{self.folder} holds the authority of {', '.join(root.uri_names)}, not of {trust_domain}",
                next_step="use another --state folder, or the trust_domain it was made for",
            )
        links = hierarchy.climb(root, self.roots.links())
        return Issuer(found, issuing, root, name=name, stored=stored, links=links)

    def has(self, name: str) -> bool:
        """Whether there is a certificate of this CA."""
        return self._files.has(name)

    def holds(self, stored: str) -> bool:
        """Whether both the certificate and the key that are kept under this name are there."""
        return self.has(stored) and self.keys.exists(stored)

    def names(self) -> list[str]:
        """Every issuing CA that has a certificate here."""
        return sorted({path.stem.partition(".")[0] for path in self.folder.glob("*.crt")} - {ROOT})

    def generations(self, name: str) -> list[str]:
        """Under which names the certificates of a CA are kept, oldest first."""
        return self._files.generations(name)

    def following(self, name: str) -> str:
        """Under which name the next key of a CA is kept, and its certificate: its own, then `NAME.2` and so on."""
        return self._files.following(name)

    def certificate(self, name: str) -> Certificate | None:
        """The certificate of a CA, or None when there is none. Raises `StateError`."""
        return self._files.get(name) if self.has(name) else None

    def put(self, name: str, certificate: Certificate) -> None:
        """Keep a CA's certificate. Raises `StateError`."""
        self._files.put(name, certificate)
