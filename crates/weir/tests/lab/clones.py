#!/usr/bin/env python3
"""Freezes a virtual machine in which a gateway runs, restores it several times, and shows what each copy draws.

usage: clones.py KERNEL WEIR COPIES [--no-vmgenid] [--tcg]

KERNEL is a kernel image with a driver for the VM generation ID (Linux 5.18 and later), WEIR the gateway's program. Needs
/dev/kvm, qemu-system-x86_64, cpio, a static busybox and openssl. Each copy's line is a JSON object: the credentials that it
minted, the ids of its requests, and the names of the keys of its TLS tickets, all after it was restored.
"""
import json, os, re, shutil, socket, subprocess, sys, tempfile, time

# Nested virtualisation does not always hold up; emulation does, some ten times slower.
ACCEL, CPU = ("tcg", "max") if "--tcg" in sys.argv else ("kvm", "host")

INIT = """#!/bin/sh
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
ip link set lo up
export WEIR_WORKERS=1 WEIR_PROXY_LISTEN="127.0.0.1:8000, 127.0.0.1:8443 ssl" WEIR_STATUS_LISTEN=off
export WEIR_ADMIN_LISTEN=127.0.0.1:8001 HOME=/tmp
/bin/weir start --prefix /tmp/w >/tmp/log 2>&1 &
until wget -q -O /dev/null http://127.0.0.1:8001/; do sleep 0.2; done
post() { wget -q -O - --header 'Content-Type: application/json' --post-data "$2" "http://127.0.0.1:8001$1"; }
post /consumers '{"username":"a"}' >/dev/null
show() {
  for i in 1 2 3 4; do
    echo "key $(post /consumers/a/key-auth '{}' | sed 's/.*"key":"//;s/".*//')"
    echo "id $(printf 'GET / HTTP/1.0\\r\\n\\r\\n' | timeout 20 nc 127.0.0.1 8000 | grep -i x-kong-request-id | sed 's/.*: //')"
    echo "ticket $(echo Q | openssl s_client -connect 127.0.0.1:8443 -tls1_2 2>/dev/null | grep ' 0000 - ' | head -1 | tr -d ' -' | sed 's/^0000//' | head -c 32)"
  done
}
show >/tmp/before
echo READY
read go
show
echo DONE
sleep 1000
"""


def initramfs(folder, weir):
    root = os.path.join(folder, "root")
    for name in ["bin", "proc", "sys", "dev", "tmp", "etc"]:
        os.makedirs(os.path.join(root, name))
    busybox = shutil.which("busybox") or sys.exit("no busybox")
    openssl = shutil.which("openssl") or sys.exit("no openssl")
    shutil.copy(busybox, os.path.join(root, "bin/busybox"))
    for name in "sh mount ip sleep wget sed grep head tr cat echo nc printf timeout".split():
        os.symlink("busybox", os.path.join(root, "bin", name))
    for program, name in [(weir, "weir"), (openssl, "openssl")]:
        shutil.copy(program, os.path.join(root, "bin", name))
        libraries = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
        for path in re.findall(r"(/[^ ]+) \(", libraries):
            to = root + path
            os.makedirs(os.path.dirname(to), exist_ok=True)
            if not os.path.exists(to):
                shutil.copy(path, to)
    subprocess.run(["strip", os.path.join(root, "bin/weir")], check=False)
    with open(os.path.join(root, "init"), "w") as init:
        init.write(INIT)
    os.chmod(os.path.join(root, "init"), 0o755)
    image = os.path.join(folder, "initramfs")
    names = subprocess.run(["find", "."], cwd=root, capture_output=True, check=True).stdout
    with open(image, "wb") as out:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=names, stdout=out, check=True)
    return image


class Machine:
    def __init__(self, folder, name, kernel, image, vmgenid, incoming=None):
        self.path = os.path.join(folder, name)
        arguments = ["qemu-system-x86_64", "-machine", f"pc,accel={ACCEL}", "-cpu", CPU, "-m", "768", "-smp", "1",
                     "-nodefaults", "-no-user-config", "-nographic", "-no-reboot",
                     "-chardev", f"socket,id=s,path={self.path}.tty,server=on,wait=off,logfile={self.path}.log",
                     "-serial", "chardev:s", "-monitor", f"unix:{self.path}.monitor,server=on,wait=off",
                     "-kernel", kernel, "-initrd", image, "-append", "console=ttyS0 loglevel=1 panic=-1 rdinit=/init"]
        if vmgenid:
            arguments += ["-device", "vmgenid,guid=auto"]
        if incoming:
            arguments += ["-incoming", f"exec:cat {incoming}"]
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def connect(self, what):
        end = time.time() + 30
        while True:
            try:
                connection = socket.socket(socket.AF_UNIX)
                connection.connect(f"{self.path}.{what}")
                return connection
            except OSError:
                if time.time() > end:
                    sys.exit(f"no {what} of a machine")
                time.sleep(0.05)

    def monitor(self, command):
        connection = self.connect("monitor")
        connection.settimeout(10)
        text = b""
        connection.sendall(command.encode() + b"\n")
        while text.count(b"(qemu)") < 2:
            text += connection.recv(4096)
        connection.close()
        return text.decode(errors="replace")

    def said(self):
        try:
            with open(self.path + ".log", errors="replace") as log:
                return log.read()
        except FileNotFoundError:
            return ""

    def until(self, word, seconds):
        end = time.time() + seconds
        while time.time() < end:
            text = self.said()
            if word in text:
                return text
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        sys.exit(f"a machine did not come to {word}: {self.said()[-2000:]}")

    def end(self):
        self.process.kill()
        self.process.wait()


def main():
    kernel, weir, copies = sys.argv[1], sys.argv[2], int(sys.argv[3])
    vmgenid = "--no-vmgenid" not in sys.argv
    machines = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            image = initramfs(folder, weir)
            first = Machine(folder, "first", kernel, image, vmgenid)
            machines.append(first)
            first.until("READY", 400)
            frozen = os.path.join(folder, "frozen")
            first.monitor("stop")
            first.monitor(f"migrate -d \"exec:cat > {frozen}\"")
            while "completed" not in first.monitor("info migrate"):
                time.sleep(0.2)
            first.end()
            for number in range(copies):
                copy = Machine(folder, f"copy{number}", kernel, image, vmgenid, frozen)
                machines.append(copy)
                while "running" not in copy.monitor("info status"):
                    copy.monitor("cont")
                    time.sleep(0.2)
                tty = copy.connect("tty")
                tty.sendall(b"go\n")
                # Nobody reads there, and a full socket would hold the machine's console up: its words go to the log.
                time.sleep(1)
                tty.close()
                text = copy.until("DONE", 900)
                copy.end()
                found = {"key": [], "id": [], "ticket": []}
                for line in text.splitlines():
                    name, _, value = line.strip().partition(" ")
                    if name in found:
                        found[name].append(value)
                print(json.dumps(found), flush=True)
        finally:
            for machine in machines:
                machine.end()


main()
