"""`handsel mesh inject`: manifests of Kubernetes with the sidecar in their pods."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from handsel.errors import InvalidFile, UsageError

if TYPE_CHECKING:
    from handsel.errors import FileFault
    from handsel.mesh.inject.model import Injection, Settings
    from handsel.mesh.inject.text import Manifest

_STDIN = "-"
_URL = re.compile(r"https://[A-Za-z0-9.\-\[\]:]{1,255}")
_PIN = re.compile(r"[0-9a-f]{64}")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,1023}")


@click.command()
@click.option("-f", "--file", "files", multiple=True, required=True, metavar="FILE",
              help="Manifests, YAML or JSON; - is standard input. May be given again.")  # fmt: skip
@click.option("-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True,
              help="How to print the manifests; several become one List in JSON.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="A file instead of standard output.")
@click.option("--image", default="handsel:latest", show_default=True, help="The image with handsel, Envoy and nft.")
@click.option("--server", default="", metavar="URL", help="The server.  [default: the key `server` of the ConfigMap]")
@click.option("--pin", "pins", multiple=True, metavar="HEX",
              help="The pin of a root's key.  [default: the key `roots.pem` of the ConfigMap]")  # fmt: skip
@click.option("--trust-domain", default="", help="The trust domain, when the roots do not say it.")
@click.option(
    "--config-map", default="handsel", show_default=True, metavar="NAME", help="The ConfigMap, in the pods' namespace."
)
@click.option(
    "--audience", default="handsel", show_default=True, help="For whom the pods' tokens are: as in `registration:`."
)
@click.option("--interception", type=click.Choice(["REDIRECT", "TPROXY", "NONE"]), default="REDIRECT",
              show_default=True, help="How connections get to the sidecar, when a pod does not say it.")  # fmt: skip
@click.option("--revision", default="", help="Only pods with this istio.io/rev, or with none.  [default: any]")
@click.option("-n", "--namespace", default="", help="The namespace of manifests that name none.")
def command(
    files: tuple[str, ...], output: str, out: Path | None, image: str, server: str, pins: tuple[str, ...],
    trust_domain: str, config_map: str, audience: str, interception: str, revision: str, namespace: str,
) -> None:  # fmt: skip
    """Print manifests with handsel's sidecar in their pods. Nothing is changed anywhere.

    Pods, Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs, CronJobs and Lists of them are read; everything
    else is printed as it is. Istio's labels and annotations count: sidecar.istio.io/inject: "false", or a Namespace
    with istio-injection: disabled in the same input, leaves a pod alone. What is wrong is said with file and line, and
    then nothing is printed.

    The sidecar finds its server by the ConfigMap `handsel` in the namespace of the pod, or by --server and --pin:

    \b
      handsel ca bundle --state /var/lib/handsel > roots.pem
      kubectl create configmap handsel --from-file roots.pem --from-literal server=https://handsel.example:8443

    \b
    Examples:
      handsel mesh inject -f deployment.yaml
      handsel mesh inject -f - < deployment.yaml | kubectl apply -f -
      handsel mesh inject -f web.yaml -f emoji.yaml --image registry.example/handsel:1.0 --out injected.yaml
      kubectl get deployment web -o yaml | handsel mesh inject -f - -o json
    """
    from handsel.mesh.inject.model import Settings
    from handsel.model.pod import Interception

    settings = Settings(
        image, config_map, server.rstrip("/"), pins, trust_domain, audience, Interception(interception), revision,
        namespace=namespace,
    )  # fmt: skip
    _check(settings)
    manifests = _read(files)
    injections = _inject(manifests, settings)
    text = _yaml(manifests, injections) if output == "yaml" else _json(injections)
    _tell(injections)
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        with click.open_file(str(out), "w", encoding="utf-8", atomic=True) as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}") from error


def _check(settings: Settings) -> None:
    from handsel.mesh.inject.values import LABEL
    from handsel.pki.names import TrustDomain

    if settings.server and not _URL.fullmatch(settings.server):
        raise UsageError(f"--server: {settings.server!r} is no address such as https://handsel.example:8443")
    for pin in settings.pins:
        if not _PIN.fullmatch(pin):
            raise UsageError(f"--pin: {pin!r} is no pin of 64 hexadecimal digits")
    if not _IMAGE.fullmatch(settings.image):
        raise UsageError(f"--image: {settings.image!r} is no name of an image")
    if not all(LABEL.fullmatch(part) for part in settings.config_map.split(".")):
        raise UsageError(f"--config-map: {settings.config_map!r} is no name of a ConfigMap")
    if settings.trust_domain:
        try:
            TrustDomain(settings.trust_domain)
        except ValueError as error:
            raise UsageError(f"--trust-domain: {error}") from error


def _read(files: Sequence[str]) -> list[Manifest]:
    from handsel.documents.yaml import MAXIMUM_BYTES
    from handsel.mesh.inject import text

    manifests: list[Manifest] = []
    faults: list[FileFault] = []
    for file in files:
        try:
            with click.open_file(file, "rb") as opened:
                content = opened.read(MAXIMUM_BYTES + 1)
        except OSError as error:
            raise UsageError(f"{file} cannot be read: {error.strerror}") from error
        try:
            manifests += text.read(content, "(stdin)" if file == _STDIN else file)
        except InvalidFile as error:
            faults += error.faults
    if faults:
        raise InvalidFile(faults)
    return manifests


def _inject(manifests: Sequence[Manifest], settings: Settings) -> list[Injection]:
    from handsel.mesh.inject.manifests import inject, read_namespaces

    namespaces = read_namespaces([each.document for each in manifests])
    injections: list[Injection] = []
    faults: list[FileFault] = []
    for manifest in manifests:
        try:
            injections.append(inject(manifest.document, settings, namespaces))
        except InvalidFile as error:
            faults += error.faults
    if faults:
        raise InvalidFile(faults)
    return injections


def _yaml(manifests: Sequence[Manifest], injections: Sequence[Injection]) -> str:
    from handsel.mesh.inject.patch import diff
    from handsel.mesh.inject.text import patched, write

    pairs = zip(manifests, injections, strict=True)
    return write([patched(each.node, diff(each.document.value, injection.value)) for each, injection in pairs])


def _json(injections: Sequence[Injection]) -> str:
    from handsel.mesh.inject.manifests import flat

    values = [injection.value for injection in injections]
    whole = values[0] if len(values) == 1 else {"apiVersion": "v1", "kind": "List", "items": flat(values)}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _tell(injections: Sequence[Injection]) -> None:
    """On standard error, so that the manifests can go on to kubectl."""
    for injection in injections:
        for note in injection.notes:
            click.echo(f"! {note}", err=True)
    injected = [pod for injection in injections for pod in injection.injected]
    for pod in injected:
        click.echo(f"injected: {pod}", err=True)
    if not injected:
        click.echo("nothing was injected: no pod in here that gets a sidecar", err=True)
