#!/usr/bin/env bash
#SBATCH --job-name=retort
#SBATCH --nodes=3
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=12:00:00
#SBATCH --signal=B:TERM@120
# RETORT_STORE=postgresql+psycopg://retort@db.example/retort sbatch slurm.sh study.yaml
# Run it again with the same file after the time is up: it resumes.
set -euo pipefail
study=$1
: "${RETORT_STORE:?must name the store, such as postgresql+psycopg://retort@db.example/retort}"
name=$(sed -n "s/^study: *[\"']\{0,1\}\([A-Za-z0-9._-]*\).*/\1/p" "$study")
shared=${RETORT_SHARED:-$SLURM_SUBMIT_DIR}

export RAY_AUTH_MODE=token RAY_worker_niceness=0
RAY_AUTH_TOKEN=$(openssl rand -hex 32)
export RAY_AUTH_TOKEN # handed on by srun with the environment

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000))
cores=$SLURM_CPUS_PER_TASK # Ray would take all of a node that is shared
srun --nodes=1 --ntasks=1 --cpus-per-task="$cores" -w "$head" \
    ray start --head --port="$port" --num-cpus="$cores" --include-dashboard=false --block &
sleep 15
srun --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks=$((SLURM_JOB_NUM_NODES - 1)) \
    --cpus-per-task="$cores" -x "$head" \
    ray start --address="$head:$port" --num-cpus="$cores" --block &
sleep 15

settings=(run.ray="$head:$port" run.storage="$RETORT_STORE"
    run.artifacts="$shared/artifacts" run.cache="$shared/cache")
# Slurm's TERM reaches this shell two minutes before the end; the search stops and can be resumed.
if retort trials --study "$name" > /dev/null 2>&1; then
    retort resume "$study" "${settings[@]}" &
else
    retort run "$study" "${settings[@]}" &
fi
search=$!
trap 'kill -TERM $search' TERM
wait $search || wait $search
