#!/bin/bash
# A network of hosts: starts host.sh once for each, in namespaces of its own, and ends with all of them. Run as root in a
# network namespace of the test's own.
#
# usage: network.sh FOLDER SCRIPT HOST...    HOST is NAME:KIND, KIND as host.sh knows it; the Nth has the address 10.77.N.2
set -euo pipefail
folder=$1 script=$2
shift 2
exec 3< /proc/self/ns/net
number=0
for host in "$@"; do
    number=$((number + 1))
    mkdir -p "$folder/${host%%:*}"
    # Descriptor 3 is the way back into this network, for the other end of the host's cable.
    unshare --net --pid --mount --fork --uts --ipc --kill-child=KILL --propagation=private \
        bash "$script" "$folder" "${host%%:*}" "${host##*:}" "$number" > "$folder/${host%%:*}/log" 2>&1 &
done
wait
