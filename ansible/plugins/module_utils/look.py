# SPDX-License-Identifier: Apache-2.0
"""The few facts about a host's randomness that can be had without Weir, in the words of `weir doctor --json`.

Three findings are judged: kernel.ready, kernel.accounting and kernel.entropy. Everything else takes Weir.
"""

import os
import platform

from ansible_collections.weir.randomness.plugins.module_utils import pool

NEW_ACCOUNTING_BITS = 256
OLD_ACCOUNTING_BITS = 4096
# Below this, on an old kernel, readers of /dev/random wait.
LOW_BITS = 1000

# DMI's vendor and product, as beginnings; what follows is the hypervisor.
MACHINES = (
    ('Microsoft Corporation', 'Virtual Machine', 'Hyper-V'),
    ('Xen', '', 'Xen'),
    ('innotek GmbH', '', 'VirtualBox'),
    ('', 'VirtualBox', 'VirtualBox'),
    ('VMware', '', 'VMware'),
    ('QEMU', '', 'KVM'),
    ('Amazon EC2', '', 'KVM'),
    ('Google', '', 'KVM'),
    ('DigitalOcean', '', 'KVM'),
    ('Hetzner', '', 'KVM'),
    ('OpenStack Foundation', '', 'KVM'),
    ('', 'KVM', 'KVM'),
    ('', 'OpenStack', 'KVM'),
)


def report():
    """What can be said, with the members that a report of Weir's has."""
    host = _host()
    findings = [finding for finding in (_ready(host), _accounting(host), _entropy(host)) if finding]
    verdicts = [finding['verdict'] for finding in findings]
    worst = [verdict for verdict in ('critical', 'warning', 'note') if verdict in verdicts]
    verdict = worst[0] if worst else 'unknown' if host['ready'] is None else 'ok'
    unseen = [dict(what='everything but the kernel', why='Weir is not installed on this host', command=None)]
    return dict(verdict=verdict, host=host, findings=findings, unseen=unseen)


def _host():
    size = pool.number(pool.KERNEL + '/poolsize')
    return dict(
        hostname=platform.node(),
        kernel=platform.release(),
        uptime_seconds=int(float((pool.line('/proc/uptime') or '0').split()[0])),
        # Kernels before 2.6.36 aside, it is in bits; `poolsize` tells how a kernel counts, its version does not.
        accounting_bits=size if size in (NEW_ACCOUNTING_BITS, OLD_ACCOUNTING_BITS) else None,
        entropy_available_bits=pool.number(pool.KERNEL + '/entropy_avail'),
        ready=pool.is_ready(),
        hardware_generator=_hardware_generator(),
        hypervisor=_hypervisor(),
        container=_container(),
    )


def _hardware_generator():
    """The one in use; empty where there is none."""
    current = pool.line('/sys/class/misc/hw_random/rng_current')
    return '' if current in (None, 'none') else current


def _hypervisor():
    """Its name, `unnamed` where only the CPU tells that there is one, empty on hardware."""
    if pool.line('/sys/hypervisor/type') == 'xen':
        return 'Xen'
    flagged = _cpu_says_virtual()
    vendor, product = [pool.line('/sys/class/dmi/id/' + name) or '' for name in ('sys_vendor', 'product_name')]
    # Makers of clouds sell hardware too, so that a name counts only where the CPU does not contradict.
    if flagged is False or product.endswith('.metal'):
        return ''
    for vendor_begins, product_begins, name in MACHINES:
        if vendor.startswith(vendor_begins) and product.startswith(product_begins):
            return name
    return 'unnamed' if flagged else ''


def _cpu_says_virtual():
    """The flag that x86 has for it; None on a CPU that has no way to say so."""
    try:
        with open('/proc/cpuinfo', 'r', errors='replace') as opened:
            text = opened.read(65536)
    except OSError:
        return None
    flags = [line for line in text.splitlines() if line.startswith('flags')]
    return 'hypervisor' in flags[0].split() if flags else None


def _container():
    if os.path.exists('/.dockerenv'):
        return 'docker'
    if os.path.exists('/run/.containerenv'):
        return 'podman'
    return pool.line('/run/systemd/container') or ''


def _finding(name, verdict, what, why):
    return dict(section='kernel', id=name, verdict=verdict, what=what, why=why, command=None)


def _ready(host):
    if host['ready'] is None:
        return None
    if host['ready']:
        return _finding('kernel.ready', 'ok', 'The generator is ready', 'When it became so is not known without Weir.')
    return _finding('kernel.ready', 'critical', 'The generator is not ready', 'Nothing secret can be drawn yet.')


def _accounting(host):
    if host['accounting_bits'] == NEW_ACCOUNTING_BITS:
        return _finding('kernel.accounting', 'ok', 'The kernel counts entropy up to 256 bits', 'It is full once and stays full.')
    if host['accounting_bits'] == OLD_ACCOUNTING_BITS:
        return _finding('kernel.accounting', 'note', 'The kernel estimates entropy up to 4096 bits', 'The estimate falls with use.')
    return None


def _entropy(host):
    bits, full = host['entropy_available_bits'], host['accounting_bits']
    if bits is None or full is None:
        return None
    what = 'entropy_avail is %d of %d' % (bits, full)
    if full == OLD_ACCOUNTING_BITS and bits < LOW_BITS:
        return _finding('kernel.entropy', 'warning', what, 'Readers of /dev/random wait when it is low.')
    if full == NEW_ACCOUNTING_BITS and bits < full:
        return _finding('kernel.entropy', 'note', what, 'It stays below while the generator is not ready.')
    return _finding('kernel.entropy', 'ok', what, 'That is enough.')
