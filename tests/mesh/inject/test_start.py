"""The containers of an injected pod, started as the kubelet would: they join a real server and bring up a sidecar."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from handsel.cli.local import call_agent
from handsel.mesh.inject.model import AUDIENCE
from tests.authority.attest.issuer import Issuer
from tests.authority.attest.test_tokens import BOUND, POD
from tests.e2e.authority_process import Authority, running_in
from tests.e2e.mesh_process import HANDSEL, end_everything_in, free_port, short_folder, wait_for
from tests.mesh.inject.manifests import SETTINGS, injected, pod

pytestmark = pytest.mark.e2e

MESH = """
trust_domain: shop.internal
services: {{web: {{port: {port}, namespace: shop}}}}
authority:
  registration:
    - {{name: pods, attestor: kubernetes, issuer: "https://cluster", audience: {audience}, keys: jwks.json,
       identities: ["spiffe://{{trust_domain}}/ns/{{namespace}}/sa/{{service_account}}"]}}
"""


@pytest.fixture
def served() -> Iterator[tuple[Authority, Issuer]]:
    issuer = Issuer("https://cluster")
    with short_folder() as folder:
        (folder / "jwks.json").write_bytes(issuer.jwks())
        try:
            with running_in(folder, MESH.format(port=free_port(), audience=AUDIENCE)) as authority:
                yield authority, issuer
        finally:
            end_everything_in(folder)


class Kubelet:
    """As much of it as these containers need: volumes, variables, `$(NAME)`."""

    def __init__(
        self, folder: Path, spec: dict[str, Any], config_map: dict[str, str], token: bytes, *,
        address: str = "127.0.0.1", within: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """`within`: a command that runs another one in the network of the pod, which has this `address`."""
        self._folder = folder
        self._address, self._within = address, within
        self._config_map = config_map
        self._containers = {each["name"]: each for each in [*spec["initContainers"], *spec["containers"]]}
        for volume in spec["volumes"]:
            made = folder / volume["name"]
            made.mkdir()
            made.chmod(0o777)  # as an emptyDir is
            for source in volume.get("projected", {}).get("sources", ()):
                assert source["serviceAccountToken"]["audience"] == AUDIENCE
                (made / source["serviceAccountToken"]["path"]).write_bytes(token)
            for item in volume.get("configMap", {}).get("items", ()):
                (made / item["path"]).write_text(config_map[item["key"]])

    def start(self, name: str) -> subprocess.Popen[str]:
        container = self._containers[name]
        return self._run(container, container["command"])

    def start_in(self, name: str, command: list[str]) -> subprocess.Popen[str]:
        """A command of a container beside its own, such as a hook."""
        return self._run(self._containers[name], command)

    def redirect(self, name: str) -> None:
        """Run the container that makes the rules of the pod's network."""
        subprocess.run([*self._within, *self._containers[name]["command"]], check=True, timeout=10)

    def _run(self, container: dict[str, Any], command: list[str]) -> subprocess.Popen[str]:
        variables = {each["name"]: self._value(each) for each in container["env"]}
        for key, value in variables.items():
            command = [part.replace(f"$({key})", value) for part in command]
        mounts = {each["mountPath"]: str(self._folder / each["name"]) for each in container["volumeMounts"]}
        command = [self._moved(part, mounts) for part in command]
        environment = {key: self._moved(value, mounts) for key, value in variables.items()}
        assert command[0] == "handsel"
        return subprocess.Popen(
            [*self._within, *_as_user(container), *HANDSEL, *command[1:]], env={"PATH": os.environ["PATH"], **environment}, stderr=subprocess.PIPE, text=True,
            cwd=self._folder,
        )  # fmt: skip

    def path(self, name: str, path: str) -> Path:
        """Where a path of a container really is."""
        mounts = self._containers[name]["volumeMounts"]
        return Path(self._moved(path, {each["mountPath"]: str(self._folder / each["name"]) for each in mounts}))

    def _value(self, variable: dict[str, Any]) -> str:
        source = variable.get("valueFrom", {})
        if "configMapKeyRef" in source:
            return self._config_map[source["configMapKeyRef"]["key"]]
        if "fieldRef" in source:
            assert source["fieldRef"]["fieldPath"] == "status.podIP"
            return self._address
        return variable["value"]

    @staticmethod
    def _moved(text: str, mounts: dict[str, str]) -> str:
        for path, place in mounts.items():
            if text == path or text.startswith(f"{path}/"):
                return place + text.removeprefix(path)
        return text


def _as_user(container: dict[str, Any]) -> list[str]:
    """The command that runs another one with the rights of a container, where that can be done."""
    context = container["securityContext"]
    user, group = context["runAsUser"], context["runAsGroup"]
    keeps = ",".join(f"+{each.lower()}" for each in context["capabilities"].get("add", ()))
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return []
    rights = [f"--bounding-set=-all{keeps and ','}{keeps}", f"--inh-caps=-all{keeps and ','}{keeps}"]
    return ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs", *rights]


def test_the_containers_bring_up_a_sidecar(served: tuple[Authority, Issuer], monkeypatch: pytest.MonkeyPatch):
    authority, issuer = served
    value: Any = injected(pod(), SETTINGS)[0].value
    config_map = {"server": authority.url, "roots.pem": authority.roots.read_text()}
    token = issuer.token(**{**POD, "kubernetes.io": BOUND, "aud": AUDIENCE})
    with short_folder() as folder:
        folder.chmod(0o755)  # the sidecar is another user
        kubelet = Kubelet(folder, value["spec"], config_map, token)
        for _ in range(2):  # the kubelet may run an init container again
            initializer = kubelet.start("handsel-init")
            _, said = initializer.communicate(timeout=30)
            assert initializer.returncode == 0, said
        assert [host["services"] for host in authority.json("agent", "list")["hosts"]] == [["web"]]
        state = kubelet.path("handsel-sidecar", "/var/lib/handsel/agent")
        assert state.stat().st_mode & 0o777 == 0o700
        monkeypatch.setenv("HANDSEL_RUNTIME_DIR", str(kubelet.path("handsel-sidecar", "/run/handsel/agent")))
        sidecar = kubelet.start("handsel-sidecar")
        try:
            wait_for(lambda: _started(state) or sidecar.poll() is not None, what="the sidecar")
            assert sidecar.poll() is None, sidecar.stderr.read()
            assert "HTTP_PROXY" in {key.upper() for key in _started(state)["environment"]}
        finally:
            sidecar.terminate()
            sidecar.communicate(timeout=20)
            end_everything_in(folder)


def _started(state: Path) -> Any:
    """What a program would be started with: the agent answers when its Envoy is ready."""
    try:
        return call_agent(state, "GET", "/v1/start?service=web")
    except Exception:
        return None
