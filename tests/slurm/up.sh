#!/usr/bin/env bash
# A real SLURM cluster of one node for tests: loopback only, as root, without systemd. Idempotent; down.sh ends it.
# Everything of it lies in one folder (SLURM_LAB_ROOT): its configuration is used by whoever sets SLURM_CONF to
# <folder>/slurm.conf, and no file of another cluster on this machine is read or written.
# Partitions: cpu (default), a100 (gpu:a100:2, fake device files) and urgent, which preempts jobs of a100.
set -euo pipefail
ROOT="${SLURM_LAB_ROOT:-/var/lib/forgetting-slurm-lab}"
PORT="${SLURM_LAB_PORT:-26817}"
CPUS="${SLURM_LAB_CPUS:-16}" MEM="${SLURM_LAB_MEM_MB:-2000000}" # declared, not real (config_overrides)
MARK="$ROOT/.made-by-tests-slurm-up"
HOST="$(hostname -s)"
die() { printf 'slurm up: %s\n' "$*" >&2; exit 1; }
wait_for() { local n=$1; shift; for ((i = 0; i < n * 5; i++)); do timeout 5 "$@" >/dev/null 2>&1 && return 0; sleep 0.2; done; return 1; }
# a pid counts as alive unless it is gone or a zombie (pid 1 of a bare container may not reap)
alive() { local st; [[ -s $1 ]] && st="$(sed 's/.*) //' "/proc/$(cat "$1")/stat" 2>/dev/null)" && [[ -n $st && ${st:0:1} != Z ]]; }

[[ $EUID -eq 0 ]] || die "run as root"
case "$ROOT" in /etc | /etc/* | /run | /run/* | /) die "$ROOT is no place for a test cluster" ;; esac
[[ ! -e $ROOT || -e $MARK ]] || [[ -z "$(ls -A "$ROOT")" ]] || die "$ROOT exists and is not ours"

missing=()
for package in slurmctld slurmd slurm-client munge; do
  [[ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" == installed ]] || missing+=("$package")
done
if ((${#missing[@]})); then
  echo "slurm up: installing ${missing[*]}" >&2
  log="$(mktemp)" policy=/usr/sbin/policy-rc.d
  if [[ -e $policy ]]; then policy=""; else # 101: the packages must not start daemons of their own
    printf '#!/bin/sh\nexit 101\n' >$policy; chmod +x $policy; trap 'rm -f $policy' EXIT; fi
  export DEBIAN_FRONTEND=noninteractive
  get() { timeout 150 apt-get install -y -q --no-install-recommends "${missing[@]}" >>"$log" 2>&1; }
  get || { timeout 60 apt-get update -q >>"$log" 2>&1 && get; } || { tail -5 "$log" >&2; die "apt-get failed"; }
  [[ -z $policy ]] || { rm -f $policy; trap - EXIT; }
fi

getent hosts "$HOST" >/dev/null || echo "127.0.0.1 $HOST" >>/etc/hosts
mkdir -p "$ROOT"/{run,log,state,spool,gpu,munge}
touch "$MARK"
chmod 755 "$ROOT"
# fake GPUs: character devices that are /dev/null; where mknod is refused, a plain count
gres="File=$ROOT/gpu/a100-[0-1]"
for i in 0 1; do [[ -c $ROOT/gpu/a100-$i ]] || mknod "$ROOT/gpu/a100-$i" c 1 3 2>/dev/null || gres="Count=2"; done
printf 'NodeName=%s Name=gpu Type=a100 %s\n' "$HOST" "$gres" >"$ROOT/gres.conf"

# its own munge, with its own key and socket
chmod 700 "$ROOT/munge"
[[ -s $ROOT/munge/key ]] || (umask 077; head -c 1024 /dev/urandom >"$ROOT/munge/key")
mkdir -p "$ROOT/run/munge" && chmod 755 "$ROOT/run" "$ROOT/run/munge"
if ! alive "$ROOT/run/munged.pid"; then
  rm -f "$ROOT/run/munged.pid"
  timeout 20 munged --key-file="$ROOT/munge/key" --socket="$ROOT/run/munge/socket" --pid-file="$ROOT/run/munged.pid" \
    --log-file="$ROOT/munge/log" --seed-file="$ROOT/munge/seed"
fi
wait_for 10 munge -n -S "$ROOT/run/munge/socket" || die "munged does not answer, see $ROOT/munge/log"

cat >"$ROOT/slurm.conf" <<CONF
ClusterName=forgettinglab
SlurmctldHost=$HOST(127.0.0.1)
SlurmctldPort=$PORT
SlurmdPort=$((PORT + 1))
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$ROOT/run/munge/socket
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation=$ROOT/state
SlurmdSpoolDir=$ROOT/spool
SlurmctldPidFile=$ROOT/run/slurmctld.pid
SlurmdPidFile=$ROOT/run/slurmd.pid
SlurmctldLogFile=$ROOT/log/slurmctld.log
SlurmdLogFile=$ROOT/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,sched_interval=1,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MinJobAge=3600
KillWait=2
InactiveLimit=0
Waittime=0
SlurmctldTimeout=60
SlurmdTimeout=60
MessageTimeout=30
MailProg=/bin/true
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/filetxt
JobCompLoc=$ROOT/log/jobs.txt
GresTypes=gpu
NodeName=$HOST NodeAddr=127.0.0.1 NodeHostname=$HOST CPUs=$CPUS RealMemory=$MEM Gres=gpu:a100:2 State=UNKNOWN
PartitionName=cpu Nodes=$HOST Default=YES MaxTime=2-00:00:00 DefMemPerCPU=256 PreemptMode=OFF State=UP
PartitionName=a100 Nodes=$HOST MaxTime=2-00:00:00 DefMemPerCPU=256 PriorityTier=1 State=UP
PartitionName=urgent Nodes=$HOST MaxTime=2-00:00:00 DefMemPerCPU=256 PriorityTier=9 PreemptMode=OFF State=UP
CONF
export SLURM_CONF="$ROOT/slurm.conf"
# Snakemake's job steps clear SLURM_CONF from the environment before they call srun: <folder>/bin goes first in PATH
mkdir -p "$ROOT/bin"
printf '#!/bin/sh\nSLURM_CONF=%s exec %s "$@"\n' "$SLURM_CONF" "$(command -v srun)" >"$ROOT/bin/srun"
chmod +x "$ROOT/bin/srun"

for port in $PORT $((PORT + 1)); do
  alive "$ROOT/run/slurmctld.pid" || ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || die "port $port is taken"
done
alive "$ROOT/run/slurmctld.pid" || timeout 30 slurmctld -c -f "$SLURM_CONF" >>"$ROOT/log/start.log" 2>&1
wait_for 30 bash -c 'scontrol ping | grep -q UP' || die "slurmctld does not answer, see $ROOT/log/slurmctld.log"
alive "$ROOT/run/slurmd.pid" || timeout 30 slurmd -f "$SLURM_CONF" >>"$ROOT/log/start.log" 2>&1
ready() { [[ "$(timeout 5 sinfo -h -n "$HOST" -p cpu -o %T)" =~ ^(idle|mixed|allocated)$ ]]; }
for ((i = 0; i < 100; i++)); do ready && break; ((i % 25 == 24)) && scontrol update nodename="$HOST" state=resume 2>/dev/null; sleep 0.3; done || true
ready || { tail -5 "$ROOT/log/slurmd.log" >&2; die "the node is not idle"; }
echo "$SLURM_CONF"
