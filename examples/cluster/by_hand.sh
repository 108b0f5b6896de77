#!/usr/bin/env bash
# Three roles on machines that share the folder /srv/retort and reach one another by network.
# Run the part that is meant on each machine: ./by_hand.sh head | worker HEAD:6379 | target HEAD:6379,
# then on the head, with the two exports below: retort run study.yaml $(cat overrides.txt)
set -euo pipefail

# One secret for all of them, the driver included: without it anybody on the network may run code.
export RAY_AUTH_MODE=token
export RAY_AUTH_TOKEN_PATH=${RAY_AUTH_TOKEN_PATH:-/srv/retort/ray.token} # readable by you alone
# Else trials run at niceness 15, where any other busy program starves them.
export RAY_worker_niceness=0

case ${1:-} in
head)
    [ -s "$RAY_AUTH_TOKEN_PATH" ] || (umask 077 && openssl rand -hex 32 > "$RAY_AUTH_TOKEN_PATH")
    ray start --head --port=6379 --num-cpus=0 --include-dashboard=false
    ;;
worker)
    ray start --address="$2"
    ;;
target)
    # Measures latency, one file at a time, and runs no trial: nothing disturbs it.
    ray start --address="$2" --num-cpus=0 --resources='{"target": 1}'
    ;;
*)
    echo "usage: $0 head | worker HEAD:6379 | target HEAD:6379" >&2
    exit 2
    ;;
esac
