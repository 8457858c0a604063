#!/usr/bin/env bash
# Submits, follows or stops the stream on the RayCluster of kuberay/, by hand:
#   deploy/submit.sh start | stop | status | logs
# The dashboard stays inside the cluster: a tunnel of this script's own reaches it, with the token that the operator drew.
set -euo pipefail
namespace=${FLEETSIFT_NAMESPACE:-fleetsift}
cluster=${FLEETSIFT_CLUSTER:-fleetsift}
job=${FLEETSIFT_JOB:-fleetsift-stream}
port=${FLEETSIFT_PORT:-8265}
fleet=${FLEETSIFT_FILE:-/etc/fleetsift/fleet.yaml}   # in the pods
verb=${1:?one of start, stop, status, logs}

token=$(kubectl --namespace "$namespace" get secret "$cluster" --output 'go-template={{.data.auth_token | base64decode}}')
kubectl --namespace "$namespace" port-forward --address 127.0.0.1 "service/$cluster-head-svc" "$port:8265" >/dev/null &
tunnel=$!
trap 'kill "$tunnel" 2>/dev/null || true' EXIT
for _ in $(seq 50); do
  (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
  kill -0 "$tunnel" || { echo "submit: kubectl port-forward ended; is the cluster up?" >&2; exit 1; }
  sleep 0.2
done
export RAY_ADDRESS="http://127.0.0.1:$port" RAY_AUTH_MODE=token RAY_AUTH_TOKEN=$token

case $verb in
  # A name can be used once: what has ended is forgotten first. What it published stays, and the new job goes on there.
  start)
    ray job delete "$job" >/dev/null 2>&1 || true
    ray job submit --no-wait --submission-id "$job" -- fleetsift run "$fleet" --json
    ;;
  stop) ray job stop "$job" ;;        # SIGTERM: what was read is scored and published, then it ends
  status) ray job status "$job" ;;
  logs) ray job logs --follow "$job" ;;
  *) echo "submit: expected start, stop, status or logs, got $verb" >&2; exit 2 ;;
esac
