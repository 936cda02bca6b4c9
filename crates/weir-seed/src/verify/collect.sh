# What two machines from one image must not have in common. Reads, and changes nothing. Ids and seeds leave the machine as
# hashes only. For any POSIX shell, any user.
LC_ALL=C; export LC_ALL
PATH=${PATH:-/usr/bin:/bin}:/usr/sbin:/sbin:/usr/bin:/bin; export PATH
root=${WEIR_VERIFY_ROOT-}

if command -v sha256sum; then sha() { sha256sum; }
elif command -v shasum; then sha() { shasum -a 256; }
elif command -v openssl; then sha() { openssl dgst -sha256 -r; }
elif command -v sha256; then sha() { sha256 -q; }
else sha() { return 1; }
fi >/dev/null 2>&1

# Hexadecimal digits of the hash of what comes in, or "no-sha256".
digest() {
    hash=$(sha 2>/dev/null | cut -c 1-64)
    printf '%s\n' "${hash:-no-sha256}"
}

# hashed NAME LABEL FILE: an id of one line. Equal ids of one label have equal hashes, and nobody else can reckon them.
hashed() {
    if [ ! -e "$3" ]; then printf '%s missing\n' "$1"
    elif [ ! -r "$3" ]; then printf '%s unreadable\n' "$1"
    else
        value=''
        read -r value <"$3"
        case $value in
        '' | uninitialized) printf '%s empty\n' "$1" ;;
        *) printf '%s %s\n' "$1" "$(printf 'weir seed verify 1 %s %s' "$2" "$value" | digest)" ;;
        esac
    fi
}

host_key() {
    [ -r "$1" ] || return 0
    kind='' key=''
    read -r kind key rest <"$1"
    printf 'host-key %s %s\n' "$kind" "$key"
}

host_keys() {
    for file in "$root"/etc/ssh/ssh_host_*_key.pub; do host_key "$file"; done
    for file in "$root"/etc/ssh/sshd_config "$root"/etc/ssh/sshd_config.d/*.conf; do
        [ -r "$file" ] || continue
        while read -r word value rest; do
            case $word in [Hh][Oo][Ss][Tt][Kk][Ee][Yy]) host_key "$root$value.pub" ;; esac
        done <"$file"
    done
}

has() {
    for file do [ -e "$file" ] && return 0; done
    return 1
}

virtualization() {
    # The number that every kernel gives its first PID namespace (PROC_PID_INIT_INO). Files that mark containers are of no
    # use here: images of virtual machines are built from those of containers.
    case $(readlink "$root/proc/self/ns/pid") in
    'pid:[4026531836]') echo 'container no' ;;
    pid:*) echo 'container yes' ;;
    *) echo 'container unknown' ;;
    esac
    if has "$root"/sys/hypervisor/type || grep -q '^flags.* hypervisor' "$root/proc/cpuinfo" || systemd-detect-virt -vq; then
        echo 'virtual yes'
    else
        echo 'virtual no'
    fi
    if has "$root"/sys/bus/platform/drivers/vmgenid "$root"/sys/bus/acpi/drivers/vmgenid; then driver=driver; else driver=no-driver; fi
    if cat "$root"/sys/bus/acpi/devices/*/modalias "$root"/sys/bus/platform/devices/*/modalias |
        grep -q -i -e vm_gen_counter -e vmgenctr -e microsoft,vmgenid; then
        echo "vmgenid device $driver"
    else
        echo "vmgenid no-device $driver"
    fi
    if has "$root"/dev/vmclock0; then echo 'vmclock yes'; else echo 'vmclock no'; fi
} 2>/dev/null

seed_files() {
    for file in /var/lib/systemd/random-seed /var/lib/seedrng/seed.credit /var/lib/seedrng/seed.no-credit \
        /var/lib/misc/random-seed /var/lib/urandom/random-seed /var/lib/random-seed /boot/efi/loader/random-seed \
        /boot/loader/random-seed /efi/loader/random-seed; do
        if [ -r "$root$file" ] && [ -s "$root$file" ]; then
            printf 'seed-file %s %s\n' "$file" "$({ printf 'weir seed verify 1 seed-file '; cat "$root$file"; } | digest)"
        elif [ -e "$root$file" ] && [ ! -r "$root$file" ]; then
            printf 'seed-file %s unreadable\n' "$file"
        fi
    done 2>/dev/null
}

# One descriptor for all of them: one generator, draw after draw.
draws() {
    exec 3<"$root/dev/urandom" || return 0
    for _ in 1 2 3 4 5 6 7 8; do
        printf 'draw %s\n' "$(dd bs=32 count=1 <&3 2>/dev/null | digest)"
    done
    exec 3<&-
}

main() {
    echo 'weir-verify 1 begin'
    draws
    printf 'user %s\n' "$(id -u)"
    printf 'kernel %s\n' "$(uname -sr)"
    printf 'hostname %s\n' "$(uname -n)"
    hashed machine-id machine-id "$root/etc/machine-id"
    hashed dbus-id machine-id "$root/var/lib/dbus/machine-id"
    hashed boot-id boot-id "$root/proc/sys/kernel/random/boot_id"
    hashed product-uuid product-uuid "$root/sys/class/dmi/id/product_uuid"
    virtualization
    host_keys
    seed_files
    echo 'weir-verify 1 end'
}

# All of it has arrived when this line has.
main 2>/dev/null </dev/null
