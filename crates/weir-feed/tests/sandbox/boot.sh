#!/bin/bash
# Boots systemd in namespaces of its own, with the daemon's units and nothing else, so that the daemon runs in the very
# sandbox that its unit describes. Run as root under `unshare --pid --mount --fork`.
#
# usage: boot.sh PROGRAM UNITS ROOT OUT CHECK    all absolute; ROOT an empty folder, OUT where CHECK's output goes
set -euo pipefail
program=$1 units=$2 root=$3 out=$4 check=$5

mount -t tmpfs tmpfs "$root"
mkdir -p "$root"/{usr,etc/systemd/system,etc/weir/clone.d,var/lib,run,tmp,proc,sys,dev,root,home,mnt,media,srv,opt}
for link in bin sbin lib lib64; do ln -s "usr/$link" "$root/$link"; done
mount --bind /usr "$root/usr"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --bind "$out" "$root/mnt"
cp /etc/passwd /etc/group /etc/ld.so.cache "$root/etc/"
echo 0123456789abcdef0123456789abcdef > "$root/etc/machine-id"
cp "$program" "$root/opt/weir-feed"
cp "$check" "$root/opt/check"
chmod 755 "$root/opt/check" "$root/opt/weir-feed"

for unit in "$units"/*; do
    sed 's|@SBINDIR@|/opt|' "$unit" > "$root/etc/systemd/system/${unit##*/}"
    # What such a unit pulls in by itself would set up this machine, and not only the test's.
    mkdir "$root/etc/systemd/system/${unit##*/}.d"
    printf '[Unit]\nDefaultDependencies=no\nConditionVirtualization=\n' \
        > "$root/etc/systemd/system/${unit##*/}.d/test.conf"
done
cat > "$root/etc/systemd/system/weir-feed.service.d/log.conf" << 'END'
[Service]
Environment="WEIR_FEED_ARGS=-v 2 --word unix:/run/weir-feed/word"
StandardError=file:/run/weir-feed.log
END
cat > "$root/etc/weir/clone.d/10-say" << 'END'
#!/bin/sh
echo "$WEIR_GENERATION $WEIR_CLONE_SIGNAL" >> /run/hooks.log
END
chmod 755 "$root/etc/weir/clone.d/10-say"
cat > "$root/etc/systemd/system/test.target" << 'END'
[Unit]
DefaultDependencies=no
Wants=weir-feed.service weir-clone.path test.service
END
cat > "$root/etc/systemd/system/test.service" << 'END'
[Unit]
DefaultDependencies=no
After=weir-feed.service weir-clone.path
[Service]
Type=oneshot
ExecStart=/opt/check
StandardOutput=file:/mnt/said
StandardError=file:/mnt/said
END
exec chroot "$root" /usr/lib/systemd/systemd --system --unit=test.target --log-target=kmsg --log-level=warning \
    --show-status=no --default-standard-output=null
