"""What `deploy/` says to Docker and Kubernetes: valid by their schemas, without a secret, without a privilege."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import ray
import yaml

from fleetsift.configuration import read_fleet
from tests.deploy.kuberay import kuberay_schema

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
MANIFESTS = sorted((DEPLOY / "kuberay").glob("*.yaml"))
OURS = ("raycluster.yaml", "rayjob.yaml")
FLEETS = (DEPLOY / "kuberay" / "fleet.yaml", DEPLOY / "compose.fleet.yaml")
OTHERS = {  # by the schema of ours that they have to meet
    "prometheus/prometheus.yml": "prometheus",
    "prometheus/fleetsift.rules.yml": "rules",
    "grafana/provisioning/datasources/prometheus.yaml": "datasources",
    "grafana/provisioning/dashboards/fleetsift.yaml": "dashboards",
    "kuberay/kustomization.yaml": "kustomization",
}
EVERYTHING = sorted(path for path in DEPLOY.rglob("*") if path.is_file())


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def ray_spec(path: Path) -> Any:
    spec = read(path)["spec"]
    return spec.get("rayClusterSpec", spec)


def templates(path: Path) -> Iterator[Any]:
    """The pod templates of a RayCluster or RayJob: the head's first."""
    spec = ray_spec(path)
    yield spec["headGroupSpec"]["template"]
    yield from (group["template"] for group in spec["workerGroupSpecs"])


def compose_schema() -> Any:
    """The Compose Specification's own schema, as check-jsonschema ships it."""
    vendored = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    return json.loads(vendored.read_text(encoding="utf-8"))


def check_compose(document: Any) -> None:
    jsonschema.Draft202012Validator(compose_schema()).validate(document)


def check_kuberay(document: Any) -> None:
    jsonschema.Draft202012Validator(kuberay_schema(document["kind"])).validate(document)


def check_ours(document: Any, kind: str) -> None:
    schema = read(Path(__file__).parent / "watching.schema.yaml")
    jsonschema.Draft202012Validator(schema | {"$ref": f"#/$defs/{kind}"}).validate(document)


def check_kubernetes(document: Any) -> None:
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def check_pod(template: Any) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "x"} | template["metadata"],
        "spec": template["spec"],
    }
    check_kubernetes(pod)


def test_every_file_is_looked_at() -> None:
    """A YAML file that comes to lie here needs a schema here."""
    known = {*MANIFESTS, *FLEETS, *DEPLOY.glob("compose*.yaml"), *(DEPLOY / name for name in OTHERS)}
    assert {path for path in EVERYTHING if path.suffix in (".yaml", ".yml")} == known


@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml"])
def test_compose_files_are_valid(name: str) -> None:
    check_compose(read(DEPLOY / name))


@pytest.mark.parametrize("name", OURS)
def test_kuberays_manifests_are_valid(name: str) -> None:
    check_kuberay(read(DEPLOY / "kuberay" / name))
    for template in templates(DEPLOY / "kuberay" / name):
        check_pod(template)


@pytest.mark.parametrize("name", ["namespace.yaml", "network-policy.yaml"])
def test_kubernetes_manifests_are_valid(name: str) -> None:
    check_kubernetes(read(DEPLOY / "kuberay" / name))


@pytest.mark.parametrize("name", OTHERS)
def test_what_prometheus_grafana_and_kustomize_read_is_valid(name: str) -> None:
    check_ours(read(DEPLOY / name), OTHERS[name])


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("prometheus/prometheus.yml", ("scrape_interval: 15s", "scrape_interval: 15 s"), "15 s"),
        ("prometheus/prometheus.yml", ("static_configs", "static_config"), "static_config"),
        ("prometheus/fleetsift.rules.yml", ("        expr:", "        expression:"), "expression"),
        ("grafana/provisioning/datasources/prometheus.yaml", ("http://prometheus", "prometheus"), "prometheus:9090"),
        ("grafana/provisioning/dashboards/fleetsift.yaml", ("type: file", "type: files"), "files"),
        ("kuberay/kustomization.yaml", ("resources:", "ressources:"), "ressources"),
    ],
)
def test_what_they_would_refuse_is_refused(name: str, change: tuple[str, str], words: str) -> None:
    text = (DEPLOY / name).read_text(encoding="utf-8")
    assert change[0] in text
    with pytest.raises(jsonschema.ValidationError, match=words):
        check_ours(yaml.safe_load(text.replace(*change)), OTHERS[name])


def test_the_checks_refuse_what_is_wrong() -> None:
    with pytest.raises(jsonschema.ValidationError, match="imagee"):
        check_compose({"services": {"kafka": {"imagee": "x"}}})
    template = next(templates(DEPLOY / "kuberay" / "raycluster.yaml"))
    template["spec"]["containers"][0]["securityContext"]["runAsNonroot"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        check_pod(template)
    policy = read(DEPLOY / "kuberay" / "network-policy.yaml")
    policy["spec"]["ingress"][0]["form"] = policy["spec"]["ingress"][0].pop("from")
    with pytest.raises(kubernetes_validate.ValidationError):
        check_kubernetes(policy)
    namespace = read(DEPLOY / "kuberay" / "namespace.yaml")
    namespace["metadata"]["labels"] = ["restricted"]
    with pytest.raises(kubernetes_validate.ValidationError):
        check_kubernetes(namespace)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("mode: token", "mode: none"), "none"),
        (("authOptions:", "authOption:"), "authOption"),
        (("minReplicas:", "minReplica:"), "minReplica"),
        (("containerPort:", "containerport:"), "containerport"),
        (("cpu: ", "cpu: -"), "-"),
    ],
)
@pytest.mark.parametrize("name", OURS)
def test_what_kuberay_would_refuse_is_refused(name: str, change: tuple[str, str], words: str) -> None:
    text = (DEPLOY / "kuberay" / name).read_text(encoding="utf-8")
    assert change[0] in text
    with pytest.raises(jsonschema.ValidationError, match=words):
        check_kuberay(yaml.safe_load(text.replace(*change)))


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_the_kustomization_can_be_built() -> None:
    done = subprocess.run(["kubectl", "kustomize", DEPLOY / "kuberay"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = {document["kind"]: document for document in yaml.safe_load_all(done.stdout)}
    assert set(built) == {"Namespace", "NetworkPolicy", "RayCluster", "ConfigMap"}
    assert all(document["metadata"].get("namespace", "fleetsift") == "fleetsift" for document in built.values())
    assert built["ConfigMap"]["data"]["fleet.yaml"] == (DEPLOY / "kuberay" / "fleet.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FLEETS, ids=lambda path: path.name)
def test_our_own_configuration_is_read_as_users_files_are(path: Path) -> None:
    spec = read_fleet(path)
    assert spec.workers.count <= spec.kafka.partitions, "a worker without a partition is not started"


def test_configurations_fit_the_cluster() -> None:
    """What Ray is to reserve for a worker is what a pod has; the most workers are the most pods."""
    workers = read_fleet(DEPLOY / "kuberay" / "fleet.yaml").workers
    for name in OURS:
        [group] = ray_spec(DEPLOY / "kuberay" / name)["workerGroupSpecs"]
        limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
        assert (float(limits["cpu"]), limits["nvidia.com/gpu"]) == (workers.cpus, workers.gpus)
        assert group["maxReplicas"] == workers.count
    replicas = read(DEPLOY / "compose.yaml")["services"]["worker"]["deploy"]["replicas"]
    assert read_fleet(DEPLOY / "compose.fleet.yaml").workers.count == replicas


def test_cluster_and_job_are_of_the_same_pods() -> None:
    assert list(templates(DEPLOY / "kuberay" / OURS[0])) == list(templates(DEPLOY / "kuberay" / OURS[1]))


@pytest.mark.parametrize("name", OURS)
def test_pods_have_no_privilege_and_know_their_size(name: str) -> None:
    for template in templates(DEPLOY / "kuberay" / name):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }
            resources = container["resources"]
            assert resources["requests"].keys() == resources["limits"].keys() >= {"cpu", "memory"}
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()


@pytest.mark.parametrize("name", OURS)
def test_ray_wants_a_token_and_is_not_reachable_from_outside(name: str) -> None:
    spec = ray_spec(DEPLOY / "kuberay" / name)
    assert spec["authOptions"] == {"mode": "token"}
    assert spec["headGroupSpec"]["serviceType"] == "ClusterIP"
    assert spec["rayVersion"] == ray.__version__


def test_services_of_compose_are_for_this_machine_alone() -> None:
    services = read(DEPLOY / "compose.yaml")["services"]
    for name, service in services.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        if name != "buckets":  # it has no network
            assert service["cap_drop"] == ["ALL"]
            assert service["security_opt"] == ["no-new-privileges:true"]
    for name in ("head", "worker"):
        assert services[name]["environment"]["RAY_AUTH_MODE"] == "token"
        assert services[name]["user"] == "10001:10001"
    assert "--dashboard-host=127.0.0.1" in services["head"]["command"]


def test_prometheus_may_scrape_what_is_served() -> None:
    """Ray's metrics of every pod, and the run's own on the head."""
    run = read_fleet(DEPLOY / "kuberay" / "fleet.yaml").operations.metrics_port
    policy = read(DEPLOY / "kuberay" / "network-policy.yaml")["spec"]["ingress"]
    [opened] = [rule["ports"] for rule in policy if "monitoring" in str(rule["from"])]
    assert {port["port"] for port in opened} == {8080, run}
    for name in OURS:
        head, worker = templates(DEPLOY / "kuberay" / name)
        assert {8080, run} <= {port["containerPort"] for port in head["spec"]["containers"][0]["ports"]}
        assert 8080 in {port["containerPort"] for port in worker["spec"]["containers"][0]["ports"]}
    scraped = read(DEPLOY / "prometheus" / "prometheus.yml")["scrape_configs"]
    of_compose = read_fleet(DEPLOY / "compose.fleet.yaml").operations.metrics_port
    assert scraped[0]["static_configs"] == [{"targets": [f"head:{of_compose}"]}]


def test_images_of_ours_are_built_by_whoever_names_them() -> None:
    services = read(DEPLOY / "compose.yaml")["services"]
    ours = {name for name, service in services.items() if "FLEETSIFT_IMAGE" in service["image"]}
    assert ours == {name for name, service in services.items() if "build" in service} == {"buckets", "head", "worker"}


def test_with_gpus_one_node_has_them_all_and_the_image_is_the_default_one() -> None:
    worker = read(DEPLOY / "compose.gpu.yaml")["services"]["worker"]
    assert worker["deploy"]["replicas"] == 1
    arguments = dict(re.findall(r"^ARG (\w+)=(.+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE))
    assert worker["build"]["args"] == arguments


def test_no_secret_lies_here() -> None:
    told = re.compile(r"(?i)(password|secret_key|secret_access_key|auth_token)\s*[:=]\s*['\"]?[A-Za-z0-9/+]{6,}")
    for path in EVERYTHING:
        if "secrets" not in path.parts:
            assert not told.search(path.read_text(encoding="utf-8")), path


def test_secrets_are_drawn_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    script = shutil.copy(DEPLOY / "make-secrets.sh", tmp_path)
    subprocess.run(["bash", script], check=True)
    folder = tmp_path / "secrets"
    drawn = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(drawn) == {"ray_token", "grafana_password", "s3.env", "s3-root.env"}
    assert folder.stat().st_mode & 0o077 == 0
    subprocess.run(["bash", script], check=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == drawn
    key, root = ((folder / name).read_text().splitlines()[1].partition("=")[2] for name in ("s3.env", "s3-root.env"))
    assert key == root
    assert len(key) == 64


def test_compose_mounts_what_is_there() -> None:
    compose = read(DEPLOY / "compose.yaml")
    for name, service in compose["services"].items():
        for volume in service.get("volumes", ()):
            source = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume).split(":")[0]
            known = source in compose["volumes"] if "/" not in source else (DEPLOY / source).exists()
            assert known, f"{name}: {source}"


@pytest.mark.parametrize("script", sorted(DEPLOY.glob("*.sh")), ids=lambda path: path.name)
def test_scripts_are_bash(script: Path) -> None:
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    assert script.stat().st_mode & 0o111
