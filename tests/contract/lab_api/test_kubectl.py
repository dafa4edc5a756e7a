"""The real kubectl against the lab's API server, as an operator types it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, labels: {tier: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: x}}
  template:
    metadata: {labels: {app: x}}
    spec:
      containers:
      - {name: c, image: "app:1", ports: [{containerPort: 80}], env: [{name: A, value: "1"}]}
"""
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: pointer}\ndata: {WRITE_HOST: blue}\n"
LINK_CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: links.lab.test}
spec:
  group: lab.test
  scope: Namespaced
  names: {plural: links, singular: link, kind: Link}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    additionalPrinterColumns:
    - {name: Port, type: string, jsonPath: .spec.gatewayPort}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties: {gatewayPort: {type: string, description: Gateway port}}
          status:
            type: object
            properties:
              conditions:
                type: array
                items: {type: object, properties: {type: {type: string}, status: {type: string}}}
"""


@pytest.fixture
def deployed(kubectl: Any, tmp_path: Path) -> Path:
    path = tmp_path / "app.yaml"
    path.write_text(DEPLOYMENT)
    kubectl("apply", "-f", str(path))
    return path


def image(kubectl: Any) -> str:
    return str(kubectl("get", "deploy", "app", "-o", "jsonpath={.spec.template.spec.containers[0].image}"))


def test_get_shows_the_columns_people_know(kubectl: Any, deployed: Path) -> None:
    lines = kubectl("get", "deploy", "-o", "wide").splitlines()
    assert lines[0].split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]
    assert lines[1].split()[:4] == ["app", "0/2", "0", "0"]
    assert kubectl("get", "ns", "-o", "name").split()[0] == "namespace/default"
    assert "deployment.apps/app" in kubectl("get", "all")
    assert kubectl("get", "deploy", "-l", "app=none", "--ignore-not-found") == ""


def test_yaml_out_is_yaml_that_goes_in_again(kubectl: Any, deployed: Path) -> None:
    text = kubectl("get", "deploy", "app", "-o", "yaml")
    assert yaml.safe_load(text)["spec"]["replicas"] == 2
    assert "replaced" in kubectl("replace", "-f", "-", stdin=text)


def test_apply_creates_changes_and_then_leaves_alone(kubectl: Any, deployed: Path) -> None:
    deployed.write_text(DEPLOYMENT.replace("app:1", "app:2").replace('env: [{name: A, value: "1"}]', "env: []"))
    difference = kubectl.run("diff", "-f", str(deployed))
    assert difference.returncode == 1
    assert "+        image: app:2" in difference.stdout or "+      - image: app:2" in difference.stdout
    assert kubectl("apply", "-f", str(deployed)).strip() == "deployment.apps/app configured"
    assert kubectl("apply", "-f", str(deployed)).strip() == "deployment.apps/app unchanged"
    container = json.loads(kubectl("get", "deploy", "app", "-o", "json"))["spec"]["template"]["spec"]["containers"][0]
    assert (container["image"], container.get("env", [])) == ("app:2", [])


def test_server_side_apply_owns_and_names_its_rivals(kubectl: Any, deployed: Path) -> None:
    kubectl("apply", "--server-side", "-f", str(deployed))
    rival = DEPLOYMENT.replace("app:1", "app:3").replace("replicas: 2", "replicas: 4")
    refused = kubectl.run("apply", "--server-side", "--field-manager=other", "-f", "-", stdin=rival)
    assert refused.returncode == 1
    assert 'Apply failed with 2 conflicts: conflicts with "kubectl"' in refused.stderr
    assert '.spec.template.spec.containers[name="c"].image' in refused.stderr
    kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=other", "-f", "-", stdin=rival)
    assert image(kubectl) == "app:3"
    owners = json.loads(kubectl("get", "deploy", "app", "-o", "json", "--show-managed-fields"))["metadata"]["managedFields"]
    assert {"kubectl", "other"} <= {owner["manager"] for owner in owners}


def test_edit_opens_an_editor_and_stores_what_it_leaves(kubectl: Any, deployed: Path, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed \'s/app:1/app:9/\' "$1" > "$1.new" && mv "$1.new" "$1"\n')
    editor.chmod(0o700)
    assert "edited" in kubectl("edit", "deploy", "app", KUBE_EDITOR=str(editor))
    assert image(kubectl) == "app:9"


def test_patch_label_annotate_scale_and_set_image(kubectl: Any, deployed: Path) -> None:
    kubectl("patch", "deploy", "app", "-p", '{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"app:5"}]}}}}')
    assert image(kubectl) == "app:5"
    kubectl("patch", "deploy", "app", "--type=json", "-p", '[{"op":"replace","path":"/spec/replicas","value":7}]')
    kubectl("patch", "deploy", "app", "--type=merge", "-p", '{"metadata":{"labels":{"tier":null}}}')
    kubectl("label", "deploy", "app", "a=b")
    kubectl("annotate", "deploy", "app", "note=yes")
    live = json.loads(kubectl("get", "deploy", "app", "-o", "json"))
    assert (live["spec"]["replicas"], live["metadata"]["labels"], live["metadata"]["annotations"]["note"]) == (7, {"a": "b"}, "yes")
    kubectl("scale", "deploy", "app", "--replicas=3")
    assert kubectl("get", "deploy", "app", "-o", "jsonpath={.spec.replicas}") == "3"
    kubectl("set", "image", "deploy/app", "c=app:6")
    assert image(kubectl) == "app:6"


def test_create_sends_what_it_likes_and_is_understood(kubectl: Any) -> None:
    kubectl("create", "ns", "demo")
    kubectl("create", "cm", "a", "-n", "demo", "--from-literal=k=v")
    kubectl("create", "secret", "generic", "s", "-n", "demo", "--from-literal=p=w")
    kubectl("create", "sa", "bob", "-n", "demo")
    kubectl("create", "deployment", "web", "--image=nginx:1", "--port=80", "--replicas=0", "-n", "demo")
    kubectl("create", "role", "r", "--verb=get,list", "--resource=pods", "-n", "demo")
    kubectl("create", "rolebinding", "b", "--role=r", "--serviceaccount=demo:bob", "-n", "demo")
    kubectl("create", "cronjob", "c", "--image=x:1", "--schedule=* * * * *", "-n", "demo")
    kubectl("create", "job", "j", "--from=cronjob/c", "-n", "demo")
    kubectl("create", "service", "clusterip", "web", "--tcp=80:8080", "-n", "demo")
    kubectl("create", "ingress", "i", "--rule=a.test/b=web:80", "-n", "demo")
    kubectl("create", "pdb", "p", "--selector=a=b", "--min-available=50%", "-n", "demo")
    assert kubectl("get", "cm", "a", "-n", "demo", "-o", "jsonpath={.data}") == '{"k":"v"}'
    assert kubectl("get", "secret", "s", "-n", "demo", "-o", "jsonpath={.type} {.data.p}") == "Opaque dw=="
    assert kubectl("get", "deploy", "web", "-n", "demo", "-o", "jsonpath={.spec.replicas}") == "0"
    assert kubectl("get", "svc", "web", "-n", "demo", "-o", "jsonpath={.spec.ports[0].targetPort}") == "8080"
    assert kubectl("get", "ing", "i", "-n", "demo", "-o", "jsonpath={.spec.rules[0].http.paths[0].path}") == "/b"
    assert kubectl("get", "pdb", "p", "-n", "demo", "-o", "jsonpath={.spec.minAvailable}") == "50%"
    token = kubectl("create", "token", "bob", "-n", "demo").strip()
    assert kubectl("auth", "can-i", "list", "pods", "-n", "demo", token=token).strip() == "yes"
    assert kubectl.run("get", "cm", "-n", "demo", token=token).returncode == 1
    kubectl("delete", "ns", "demo", "--timeout=20s")
    assert kubectl.run("get", "ns", "demo").returncode == 1


def test_auth_tells_rights_and_identity(kubectl: Any) -> None:
    assert kubectl("auth", "can-i", "create", "pods").strip() == "yes"
    assert "*.*" in kubectl("auth", "can-i", "--list")
    assert "lab-admin" in kubectl("auth", "whoami")
    assert "Unauthorized" in kubectl.run("get", "ns", token="wrong").stderr


def test_as_another_user_only_that_ones_rights_hold(kubectl: Any) -> None:
    assert kubectl("auth", "can-i", "delete", "nodes").strip() == "yes"
    asked = kubectl.run("auth", "can-i", "delete", "nodes", "--as=system:serviceaccount:default:nobody")
    assert (asked.returncode, asked.stdout[:2]) == (1, "no")
    assert 'User "somebody" cannot list resource "nodes"' in kubectl.run("get", "nodes", "--as=somebody").stderr


def test_describe_reads_as_on_any_cluster(kubectl: Any, deployed: Path) -> None:
    text = kubectl("describe", "deploy", "app")
    assert "Replicas:               2 desired" in text
    assert "Image:      app:1" in text
    assert "Status:       Active" in kubectl("describe", "ns", "default")
    kubectl("expose", "deploy", "app", "--port=80")
    assert "Port:" in kubectl("describe", "svc", "app")


def test_a_typo_is_refused_with_its_place(kubectl: Any) -> None:
    refused = kubectl.run("apply", "-f", "-", stdin=DEPLOYMENT.replace("replicas:", "replicsa:"))
    assert refused.returncode == 1
    assert 'unknown field "spec.replicsa"' in refused.stderr
    assert "Warning" in kubectl.run("apply", "--validate=warn", "-f", "-", stdin=DEPLOYMENT.replace("replicas:", "replicsa:")).stderr


def test_custom_resources_are_as_good_as_any_other(kubectl: Any) -> None:
    kubectl("apply", "-f", "-", stdin=LINK_CRD)
    kubectl("wait", "--for=condition=established", "crd/links.lab.test", "--timeout=5s")
    link = "apiVersion: lab.test/v1\nkind: Link\nmetadata: {name: to-blue}\nspec: {gatewayPort: 4143}\n"
    refused = kubectl.run("apply", "-f", "-", stdin=link)
    assert 'spec.gatewayPort in body must be of type string: "integer"' in refused.stderr
    kubectl("apply", "-f", "-", stdin=link.replace("4143", '"4143"'))
    assert kubectl("apply", "-f", "-", stdin=link.replace("4143", '"4144"')).strip() == "link.lab.test/to-blue configured"
    assert kubectl("get", "links").splitlines()[1].split() == ["to-blue", "4144"]
    assert "Gateway port" in kubectl("explain", "link.spec.gatewayPort")
    assert "to-blue" in kubectl("describe", "link", "to-blue")
    kubectl("delete", "link", "to-blue")


def test_wait_sees_a_condition_come(kubectl: Any, api: Any) -> None:
    kubectl("apply", "-f", "-", stdin=LINK_CRD)
    kubectl("apply", "-f", "-", stdin="apiVersion: lab.test/v1\nkind: Link\nmetadata: {name: l}\nspec: {}\n")
    environment = {"KUBECONFIG": str(api.kubeconfig()), "PATH": "/usr/bin:/bin", "HOME": str(api.root)}
    command = [kubectl.binary, "wait", "--for=condition=Ready", "link/l", "--timeout=20s"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as waiting:
        status = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
        api.call("PATCH", "/apis/lab.test/v1/namespaces/default/links/l/status", status, content_type="application/merge-patch+json")
        out, _ = waiting.communicate(timeout=25)
    assert out.strip() == "link.lab.test/l condition met"


def test_watch_prints_each_change(kubectl: Any, api: Any) -> None:
    environment = {"KUBECONFIG": str(api.kubeconfig()), "PATH": "/usr/bin:/bin", "HOME": str(api.root)}
    kubectl("apply", "-f", "-", stdin=MAP)
    command = [kubectl.binary, "get", "cm", "pointer", "-w", "-o", "jsonpath={.data.WRITE_HOST}{'\\n'}"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        try:
            assert watching.stdout.readline().strip() == "blue"
            kubectl("patch", "cm", "pointer", "-p", '{"data":{"WRITE_HOST":"green"}}')
            assert watching.stdout.readline().strip() == "green"
        finally:
            watching.terminate()


def test_delete_waits_for_finalizers(kubectl: Any, api: Any) -> None:
    kubectl("apply", "-f", "-", stdin=MAP)
    kubectl("patch", "cm", "pointer", "--type=merge", "-p", '{"metadata":{"finalizers":["bennu.io/hold"]}}')
    assert "timed out" in kubectl.run("delete", "cm", "pointer", "--timeout=1s").stderr
    kubectl("patch", "cm", "pointer", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    kubectl("wait", "--for=delete", "cm/pointer", "--timeout=5s")


def test_rollout_status_follows_the_deployments_status(kubectl: Any, api: Any, deployed: Path) -> None:
    status = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2}
    api.call("PATCH", "/apis/apps/v1/namespaces/default/deployments/app/status", {"status": status}, content_type="application/merge-patch+json")
    assert "successfully rolled out" in kubectl("rollout", "status", "deploy/app", "--timeout=5s")


def test_the_version_of_both_sides_is_shown(kubectl: Any) -> None:
    assert "Server Version: v1." in kubectl("version")
