#!/usr/bin/env bash
# A sweep as a real Slurm array: a controller and one node on this machine, four tasks, merged to the bytes of one process.
# Run as `tests/slurm/check.sh PATH-OF-HEADROOM`; needs the packages slurm-wlm and munge. Nothing is left behind.
# Exit status 3: Slurm's daemons do not run on this machine, which says nothing of the program.
set -euo pipefail
headroom=$(realpath "$1")
root=$(realpath "$(dirname "$0")/../..")
work=$(mktemp -d)
started=()
cleanup() {
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
export PATH="$PATH:/usr/sbin"
chmod 755 "$work"
cd "$work"
mkdir state spool

# A key and a socket of our own: a munge daemon that runs already is left alone.
head -c 128 /dev/urandom > munge.key
chmod 400 munge.key
munged --foreground --force --key-file="$work/munge.key" --socket="$work/munge.socket" --pid-file="$work/munge.pid" \
  --log-file="$work/munge.log" --seed-file="$work/munge.seed" 2> munged.err &
started+=($!)

host=$(hostname -s)
user=$(id -un)
# Ports of our own, beside those of a cluster that this machine may belong to.
cat > slurm.conf <<END
ClusterName=headroom
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=26817
SlurmdPort=26818
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$work/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc)
PartitionName=all Nodes=ALL Default=YES State=UP
END
export SLURM_CONF="$work/slurm.conf"
slurmctld -D > slurmctld.out 2>&1 &
started+=($!)
slurmd -D > slurmd.out 2>&1 &
started+=($!)

waited=0
until sinfo -h -t idle -o %D 2>/dev/null | grep -q 1; do
  waited=$((waited + 1))
  if [ "$waited" -gt 60 ]; then
    echo "Slurm did not come up:"
    tail -n 20 slurmctld.out slurmd.out slurmctld.log slurmd.log munged.err 2>/dev/null
    exit 3
  fi
  sleep 1
done

sweep=(sweep "$root/scenarios/lambda-to-kubernetes.json" --vary 'workload.*.load.closed.users=50..400:50'
  --design nginx --design lambda --replications 4 --quiet)
"$headroom" "${sweep[@]}" --out one > one.txt
{
  echo '#!/bin/sh'
  printf 'exec'
  printf " '%s'" "$headroom" "${sweep[@]}" --shard auto --resume --out "$work/shards"
  echo
} > task.sh
# Indices need not begin at 0 nor be next to each other: 3, 5, 7, 9 are the shards 1 to 4.
if ! timeout 300 sbatch --wait --parsable --array=3-9:2 --output="$work/task-%a.txt" task.sh > job.txt; then
  echo "the array failed:"
  tail -n 20 task-*.txt slurmctld.log slurmd.log
  exit 1
fi
"$headroom" merge shards --out all > all.txt
rm one/*.journal
diff -r one all
diff one.txt all.txt
echo "four tasks of a Slurm array, merged: the same bytes as one process"
