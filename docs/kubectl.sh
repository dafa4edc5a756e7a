#!/usr/bin/env bash
# Redraws docs/kubectl.md: real kubectl against a lab of its own. From the repository's root, with kubectl on PATH:  bash docs/kubectl.sh > docs/kubectl.md
set -u
BENNU=$(realpath "${BENNU:-.venv/bin/bennu}")
folder=$(mktemp -d)
lab=$folder/lab
trap '"$BENNU" lab down --dir "$lab" >/dev/null 2>&1; rm -rf "$folder"' EXIT
"$BENNU" lab up --dir "$lab" >&2 || exit 1
export KUBECONFIG=$lab/kubeconfig
cd "$folder" || exit 1

section() { printf '\n## %s\n\n%s\n' "$1" "$2"; }
run() { # the command as typed, its output, its exit code where it is not 0
    printf '\n```console\n'
    while [ $# -gt 0 ]; do
        printf '$ %s\n' "$1"
        eval "$1" >out 2>&1 # in this shell, so that a variable set by one command is there for the next
        code=$?
        cat out
        [ "$code" = 0 ] || printf '(exit code %s)\n' "$code"
        shift
    done
    printf '```\n'
}

cat >settings.yaml <<'YAML'
apiVersion: v1
kind: ConfigMap
metadata:
  name: limits
  namespace: demo
  labels: {team: ledger}
data:
  daily: "1000"
YAML
sed 's/"1000"/"2000"/' settings.yaml >raised.yaml
cat >widget.yaml <<'YAML'
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: demo, namespace: demo}
spec:
  rules:
    - backendRefs: [{name: demo, port: "eighty"}]
YAML

cat <<PAGE
# kubectl against the lab

What a real, unmodified kubectl sees of a cluster of the lab: the transcript below was recorded by \`docs/kubectl.sh\`, with
\`$(kubectl version --client 2>/dev/null | head -1)\`. To do it again (kubectl on PATH, Bennu installed by \`make install\`):

    bash docs/kubectl.sh > docs/kubectl.md

By hand: \`bennu lab up\`, then \`export KUBECONFIG="\$(bennu lab kubeconfig)"\`. The API is HTTPS, since kubectl sends a token over TLS only; the lab's
kubeconfig carries its CA and one token a context.

The server is the lab's own (\`bennu/lab/kubeapi\`). It stores, validates, merges and watches as a kube-apiserver does; what runs behind it is a stand-in: one
emulated node, pods that are processes of this machine. The contract tests in \`tests/contract/lab_api\` say what it must answer, \`test_kubectl.py\` with kubectl itself.
PAGE

section "Looking around" "Table output, columns of custom resources, and discovery are the server's."
run "kubectl config get-contexts" "kubectl get nodes" "kubectl get pods -A" "kubectl get kustomizations,gitrepositories,resourcesets -A"
run "kubectl get httproute payment-split -n payments -o yaml" "kubectl api-resources --api-group=multicluster.linkerd.io"
section "describe" "The pointer that the application follows, and the node."
run "kubectl describe configmap global-traffic-state -n payments" "kubectl describe node | head -20"
section "apply" "Client-side apply: created, unchanged, configured. A second manager's fields stay."
run "kubectl create namespace demo" "kubectl apply -f settings.yaml" "kubectl apply -f settings.yaml" "kubectl diff -f raised.yaml" "kubectl apply -f raised.yaml" "kubectl get configmap limits -n demo -o jsonpath='{.data.daily}{\"\\n\"}'"
section "Server-side apply and its conflicts" "Ownership is by field: another manager is refused, by name of the owner, unless it takes the field over."
run "kubectl apply --server-side --field-manager=alice --force-conflicts -f raised.yaml" "kubectl apply --server-side --field-manager=bob -f settings.yaml" "kubectl apply --server-side --field-manager=bob --force-conflicts -f settings.yaml" "kubectl get configmap limits -n demo -o jsonpath='{range .metadata.managedFields[*]}{.manager}{\" \"}{.operation}{\" \"}{.fieldsV1}{\"\\n\"}{end}'"
section "A stale resourceVersion" "Optimistic locking: whoever replaces an object from an old copy is told so."
run "kubectl get configmap limits -n demo -o yaml > old.yaml" "kubectl label configmap limits -n demo seen=yes" "kubectl replace -f old.yaml"
section "patch, label, annotate" "Strategic merge, JSON merge and JSON patch."
run "kubectl patch configmap limits -n demo -p '{\"data\":{\"hourly\":\"50\"}}'" "kubectl patch configmap limits -n demo --type=merge -p '{\"data\":{\"daily\":null}}'" "kubectl patch configmap limits -n demo --type=json -p '[{\"op\":\"test\",\"path\":\"/data/hourly\",\"value\":\"51\"}]'" "kubectl label configmap limits -n demo seen- tier=gold" "kubectl annotate configmap limits -n demo note=checked" "kubectl get configmap -n demo -l tier=gold --show-labels"
section "edit" "With an editor that is a script."
run "KUBE_EDITOR=\"sed -i s/checked/edited/\" kubectl edit configmap limits -n demo"
section "Validation" "Schemas of custom resources are checked, unknown fields warned of or refused, by path."
run "kubectl apply -f widget.yaml" "kubectl create configmap Bad_Name -n demo"
section "watch and wait" "Deployment, rollout, and a condition that is really waited for. The watch ends after two seconds."
run "kubectl create deployment pause --image=registry.k8s.io/pause:3.9 -n demo" "kubectl wait deployment/pause -n demo --for=condition=Available --timeout=30s" "kubectl rollout status deployment/pause -n demo --timeout=30s"
run "(kubectl scale deployment/pause -n demo --replicas=2 & timeout 2 kubectl get deployment/pause -n demo --watch; wait)"
section "What may this token do?" "RBAC is evaluated: the mirror controller's account is as narrow as Linkerd's chart makes it."
run "kubectl auth can-i --list -n demo | head -5" "kubectl auth can-i patch configmaps -n payments" "mirror=\$(kubectl get secret -n linkerd-multicluster linkerd-service-mirror-remote-access-default-token -o jsonpath={.data.token} | base64 -d)" "kubectl --token=\$mirror auth can-i list services -n payments" "kubectl --token=\$mirror auth can-i get secrets -n database" "kubectl --token=\$mirror get secrets -n database" "kubectl --token=nonsense get nodes"
section "delete" "Background deletion, finalizers and owner references: the Deployment takes its pods along, the namespace everything in it."
run "kubectl delete deployment pause -n demo" "kubectl wait --for=delete pod -l app=pause -n demo --timeout=30s" "kubectl delete namespace demo" "kubectl get configmap limits -n demo"
