#!/usr/bin/env bash
# Draws what compose.yaml keeps secret into deploy/secrets, which git ignores; what is there already stays.
set -euo pipefail
umask 077
cd "$(dirname "$0")"
mkdir -p secrets
draw() { head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n'; }

[ -e secrets/ray_token ] || draw > secrets/ray_token
[ -e secrets/grafana_password ] || draw > secrets/grafana_password
if [ ! -e secrets/s3.env ]; then
  secret=$(draw)
  printf 'AWS_ACCESS_KEY_ID=fleetsift\nAWS_SECRET_ACCESS_KEY=%s\n' "$secret" > secrets/s3.env
  printf 'ROOT_ACCESS_KEY=fleetsift\nROOT_SECRET_KEY=%s\n' "$secret" > secrets/s3-root.env
fi
# Containers run as other users than yours and read the files that compose mounts; nobody else gets into the folder.
chmod 0700 secrets
chmod 0444 secrets/ray_token secrets/grafana_password
