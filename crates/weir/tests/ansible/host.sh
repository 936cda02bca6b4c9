#!/bin/bash
# A host for Ansible, in namespaces: its own files, processes, boot id and network, with a real sshd. It shares /usr with this
# machine, read-only, and nothing else.
#
# usage: host.sh FOLDER NAME KIND NUMBER
#   KIND is plain (sshd is the first process) or systemd (systemd is), with -rocky for the names of another family
#   FOLDER holds the client's public key, the host's key and, in bin/, what belongs into the host's /usr/local/bin
set -euo pipefail
folder=$1 name=$2 kind=$3 number=$4
root=$folder/$name/root

hostname "$name"
nsenter --net=/proc/self/fd/3 ip link add "weir$number" type veth peer name eth0 netns $$
nsenter --net=/proc/self/fd/3 ip addr add "10.77.$number.1/24" dev "weir$number"
nsenter --net=/proc/self/fd/3 ip link set "weir$number" up
exec 3<&-
ip link set lo up
ip addr add "10.77.$number.2/24" dev eth0
ip link set eth0 up

mkdir -p "$root"
mount -t tmpfs tmpfs "$root"
mkdir -p "$root"/{usr,etc/ssh,etc/systemd/system,var/lib,var/empty,run/sshd,tmp,proc,sys,dev,root,opt/tester,home,mnt,media,srv}
chmod 1777 "$root/tmp"
chmod 700 "$root/root"
for link in bin sbin lib lib64; do ln -s "usr/$link" "$root/$link"; done
mount --bind /usr "$root/usr"
mount -o remount,bind,ro "$root/usr"
mount -t tmpfs tmpfs "$root/usr/local"
mkdir -p "$root/usr/local/bin"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"

grep -E '^(root|nobody|sshd|systemd|messagebus)' /etc/passwd | sed 's|^root:.*|root:x:0:0::/root:/bin/bash|' > "$root/etc/passwd"
echo 'tester:x:1000:1000::/opt/tester:/bin/bash' >> "$root/etc/passwd"
cp /etc/group /etc/ld.so.cache "$root/etc/"
printf '%s:*:19000:0:99999:7:::\n' root tester > "$root/etc/shadow"
chown 1000:1000 "$root/opt/tester"
case $kind in
*-rocky)
    printf 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n' > "$root/etc/os-release"
    echo 'Rocky Linux release 9.4 (Blue Onyx)' > "$root/etc/redhat-release"
    ;;
*)
    cp /etc/os-release /etc/debian_version "$root/etc/"
    ;;
esac
echo "0123456789abcdef0123456789abcde$number" > "$root/etc/machine-id"
# A boot of its own, and a way to begin another.
cat /proc/sys/kernel/random/uuid > "$root/etc/boot_id"
mount --bind "$root/etc/boot_id" "$root/proc/sys/kernel/random/boot_id"
printf '#!/bin/sh\ncat /proc/sys/kernel/random/uuid > /etc/boot_id\n' > "$root/usr/local/bin/another-boot"
chmod 755 "$root/usr/local/bin/another-boot"
if [ -d "$folder/$name/bin" ]; then cp "$folder/$name/bin/"* "$root/usr/local/bin/"; fi

install -m 600 "$folder/host_key" "$root/etc/ssh/host_key"
cp "$folder/client_key.pub" "$root/etc/ssh/authorized_keys"
cat > "$root/etc/ssh/test_config" << END
ListenAddress 10.77.$number.2:22
HostKey /etc/ssh/host_key
AuthorizedKeysFile /etc/ssh/authorized_keys
StrictModes no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
END

case $kind in
plain*)
    exec chroot "$root" /usr/sbin/sshd -D -e -f /etc/ssh/test_config
    ;;
esac
# What the units pull in by themselves would set up this machine, and not only the host.
for unit in weir-feed.service weir-clone.path weir-clone.service sshd-test.service; do
    mkdir "$root/etc/systemd/system/$unit.d"
    printf '[Unit]\nDefaultDependencies=no\nConditionVirtualization=\n' > "$root/etc/systemd/system/$unit.d/test.conf"
done
cat > "$root/etc/systemd/system/sshd-test.service" << 'END'
[Service]
ExecStart=/usr/sbin/sshd -D -e -f /etc/ssh/test_config
RuntimeDirectory=sshd
END
printf '[Unit]\nDefaultDependencies=no\nWants=sshd-test.service\n' > "$root/etc/systemd/system/test.target"
exec chroot "$root" /usr/lib/systemd/systemd --system --unit=test.target --log-target=kmsg --log-level=warning \
    --show-status=no --default-standard-output=null
