#!/bin/bash
# dracut: the kernel is made ready in the initramfs, before the root file system is unlocked or anything makes a key.

check() {
    require_binaries weir-feed || return 1
    return 0
}

depends() {
    return 0
}

install() {
    inst_multiple weir-feed
    inst_hook pre-udev 05 "$moddir/weir-feed.sh"
}

installkernel() {
    hostonly='' instmods virtio_rng tpm_tis tpm_crb
}
