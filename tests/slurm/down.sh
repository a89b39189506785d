#!/usr/bin/env bash
# Ends the cluster that up.sh started, by its own pid files, and removes its folder.
set -uo pipefail
ROOT="${SLURM_LAB_ROOT:-/var/lib/forgetting-slurm-lab}"
[[ -e $ROOT/.made-by-tests-slurm-up ]] || exit 0
export SLURM_CONF="$ROOT/slurm.conf"
live() { local st; st="$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null)" && [[ -n $st && ${st:0:1} != Z ]]; }
if [[ -s $ROOT/run/slurmctld.pid ]] && live "$(cat "$ROOT/run/slurmctld.pid")"; then
  timeout 10 scancel --user=root 2>/dev/null
  for _ in $(seq 30); do [[ -z "$(timeout 5 squeue -h 2>/dev/null)" ]] && break; sleep 0.5; done
fi
for daemon in slurmd slurmctld munged; do
  pid="$(cat "$ROOT/run/$daemon.pid" 2>/dev/null)" || continue
  [[ "$(cat "/proc/$pid/comm" 2>/dev/null)" == "$daemon"* ]] || continue # another process by now
  kill "$pid"
  for _ in $(seq 100); do live "$pid" || break; sleep 0.1; done
  live "$pid" && kill -9 "$pid"
done
rm -rf "$ROOT"
