#!/bin/bash
# What the test wants to know, from within: `== TITLE` and then what was said.
cd /run || exit 1
pid=$(systemctl show weir-feed.service -p MainPID --value)
echo "== unit"
systemctl show weir-feed.service -p ActiveState,Result,StatusText
echo "== process"
grep -E '^(Cap(Prm|Eff|Bnd)|Seccomp|NoNewPrivs|VmRSS)' "/proc/$pid/status"
echo "== mounts"
sed -nE 's!^[^ ]+ (/|/proc/sys) [^ ]+ ([^ ]+).*!\1 \2!p' "/proc/$pid/mounts"
ls "/proc/$pid/root/tmp" 2>&1
echo "== status"
/opt/weir-feed --status
echo "== words"
python3 - << 'END'
import socket
for nonce in ["01" * 16, "01" * 16, "02" * 16]:
    s = socket.socket(socket.AF_UNIX)
    s.connect("/run/weir-feed/word")
    s.sendall(f"clone {nonce}\n".encode())
    print(s.recv(100).decode().strip())
END
echo "== hooks"
for _ in {1..600}; do
    grep -qs '^3' hooks.log && break
    sleep 0.1
done
cat hooks.log
echo "== stopped"
systemctl stop weir-feed.service
systemctl show weir-feed.service -p ActiveState,Result
stat -c '%a %s %n' /var/lib/weir-feed /var/lib/weir-feed/seed
/opt/weir-feed --status
echo "== again"
systemctl start weir-feed.service
systemctl show weir-feed.service -p ActiveState,Result
/opt/weir-feed --status
systemctl stop weir-feed.service
echo "== hooks again"
cat hooks.log
echo "== log"
cat weir-feed.log
echo "== end"
