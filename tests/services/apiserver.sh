#!/usr/bin/env bash
# Starts etcd and an API server of Kubernetes on free loopback ports over the folder $1, prints `version …`, `kubeconfig PATH`
# and `kubectl PATH`, then stays in the foreground: ending this process ends both. Exit 77: something is missing here.
# The API server is the whole kube-apiserver where `deploy/setup faults` has built it, else k8s.io/apiextensions-apiserver: real
# lists, watches and validation for every custom resource, no pods.
set -euo pipefail
dir="${1:?usage: apiserver.sh DIR}"
cache="${STELLWERK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stellwerk}"
missing() { echo "no $1: make test installs it where it can" >&2; exit 77; }
newest() { ls -1 "$cache"/bin/"$1"-v* 2>/dev/null | sort -V | tail -n 1 || true; }
server="$(newest kube-apiserver)"
[ -n "$server" ] || server="$(newest apiextensions-apiserver)"
[ -n "$server" ] || missing "API server"
etcd="$(command -v etcd || true)"
[ -n "$etcd" ] || missing "etcd"
command -v openssl >/dev/null || missing "openssl"
kubectl="$(command -v kubectl || ls -1 "$cache"/kubectl-venv/bin/kubectl 2>/dev/null || true)"
[ -n "$kubectl" ] || missing "kubectl"

mkdir -p "$dir"
cd "$dir"
read -r client peer port <<<"$(python3 -c 'import socket
held = [socket.socket() for _ in range(3)]
[s.bind(("127.0.0.1", 0)) for s in held]
print(*(s.getsockname()[1] for s in held))')"

# Whoever has a certificate of this authority in the group system:masters may do everything, and nobody else is asked.
quiet() { "$@" >>openssl.log 2>&1; }
quiet openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.crt -subj /CN=test-ca
sign() { # NAME SUBJECT EXTENSIONS
    quiet openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2"
    printf '%s\n' "$3" >"$1.ext"
    quiet openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile "$1.ext" -out "$1.crt"
}
sign server /CN=localhost "subjectAltName=IP:127.0.0.1,DNS:localhost"
sign client "/O=system:masters/CN=operator" "extendedKeyUsage=clientAuth"
config() { # FILE SERVER
    cat >"$1" <<YAML
apiVersion: v1
kind: Config
current-context: real
clusters: [{name: real, cluster: {server: "$2", certificate-authority: $dir/ca.crt}}]
contexts: [{name: real, context: {cluster: real, user: operator}}]
users: [{name: operator, user: {client-certificate: $dir/client.crt, client-key: $dir/client.key}}]
YAML
}
config kubeconfig "https://127.0.0.1:$port"
# There is no core API beside this server; what it would ask there is turned off below.
config nobody "https://127.0.0.1:9"

"$etcd" --data-dir "$dir/etcd" --log-level error --unsafe-no-fsync \
    --listen-client-urls "http://127.0.0.1:$client" --advertise-client-urls "http://127.0.0.1:$client" \
    --listen-peer-urls "http://127.0.0.1:$peer" >etcd.log 2>&1 &
etcd_pid=$!
# The API server takes this process's place; when it is gone, so is etcd.
(
    while kill -0 $$ 2>/dev/null; do sleep 0.2; done
    kill "$etcd_pid"
) >/dev/null 2>&1 &

echo "version $(basename "$server")"
echo "kubeconfig $dir/kubeconfig"
echo "kubectl $kubectl"
common=(--etcd-servers "http://127.0.0.1:$client" --bind-address 127.0.0.1 --secure-port "$port"
    --tls-cert-file server.crt --tls-private-key-file server.key --client-ca-file ca.crt --enable-priority-and-fairness=false)
case "$(basename "$server")" in kube-apiserver-*)
    quiet openssl genrsa -out accounts.key 2048
    # Nobody makes the service account that every pod would have: there are no controllers.
    exec "$server" "${common[@]}" --advertise-address 127.0.0.1 --authorization-mode RBAC --service-cluster-ip-range 10.96.0.0/24 --endpoint-reconciler-type none \
        --service-account-issuer https://kubernetes.default.svc --service-account-key-file accounts.key \
        --service-account-signing-key-file accounts.key --disable-admission-plugins ServiceAccount >apiserver.log 2>&1
esac
exec "$server" "${common[@]}" --kubeconfig nobody --authentication-kubeconfig nobody --authentication-skip-lookup --authorization-kubeconfig nobody \
    --disable-admission-plugins NamespaceLifecycle,MutatingAdmissionPolicy,MutatingAdmissionWebhook,ValidatingAdmissionPolicy,ValidatingAdmissionWebhook \
    >apiserver.log 2>&1
