# SPDX-License-Identifier: Apache-2.0
"""The kernel's pool of randomness, as a module on a host reaches it.

Purpose: mix a seed in, credit it, have the generator take a new key, and read what the kernel says of itself. Used where
the program `weir` is not installed; it follows `weir seed receive`.

Invariants: nothing in here prints, logs or keeps a seed. A credit is never above 8 bits a byte, nor above what the generator
that made the seed holds. To mix needs no right; to credit and to reseed need CAP_SYS_ADMIN.

Absent on purpose: any source of randomness. What is given comes from the controller.
"""

import errno
import fcntl
import os
import platform
import struct

POOL = '/dev/urandom'
KERNEL = '/proc/sys/kernel/random'
# A generator's key: a seed of any length that it made can hold no more.
GENERATOR_BITS = 256
# asm/ioctl.h of these has three bits of direction and thirteen of size; everybody else two and fourteen.
WIDE_DIRECTION = ('alpha', 'mips', 'powerpc', 'ppc', 'sparc')


def ioctl_number(nr, write_bytes, machine):
    """`_IOW('R', nr, write_bytes)`, or `_IO('R', nr)` where nothing is written (asm/ioctl.h)."""
    if machine.startswith(WIDE_DIRECTION):
        shift, none, write = 29, 1, 4
    elif machine.startswith('parisc'):
        shift, none, write = 30, 0, 2
    else:
        shift, none, write = 30, 0, 1
    direction = write if write_bytes else none
    return direction << shift | write_bytes << 16 | ord('R') << 8 | nr


def is_ready():
    """Whether the kernel's generator is ready; None where that cannot be told."""
    try:
        os.getrandom(1, os.GRND_NONBLOCK)
    except BlockingIOError:
        return False
    except (AttributeError, OSError):
        return None
    return True


class Pool(object):
    """The pool, open for writing."""

    def __init__(self):
        self._fd = os.open(POOL, os.O_WRONLY | os.O_CLOEXEC)
        self._machine = platform.machine()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        os.close(self._fd)

    def mix(self, seed):
        """Mixes all of a seed in."""
        rest = memoryview(seed)
        while rest:
            rest = rest[os.write(self._fd, rest):]

    def credit(self, seed):
        """Mixes a seed in once more, credited: `struct rand_pool_info`. Answers with the bits, and why there are none."""
        bits = min(8 * len(seed), GENERATOR_BITS)
        # A bytearray, since fcntl.ioctl takes no more than 1024 bytes of anything else.
        info = bytearray(struct.pack('ii', bits, len(seed))) + bytearray(seed)
        try:
            fcntl.ioctl(self._fd, ioctl_number(0x03, 8, self._machine), info)
        except OSError as error:
            return 0, why(error)
        finally:
            info[:] = bytes(len(info))
        return bits, None

    def reseed(self):
        """Has the generator take a new key from the pool. Answers whether it did, and why not."""
        try:
            fcntl.ioctl(self._fd, ioctl_number(0x07, 0, self._machine))
        except OSError as error:
            return False, why(error)
        return True, None


def why(error):
    """What a refusal of the kernel means."""
    words = {
        errno.EPERM: 'that takes root (CAP_SYS_ADMIN); use become',
        errno.ENODATA: 'the generator is not ready yet',
        errno.EINVAL: 'this kernel cannot',
        errno.ENOTTY: 'this kernel cannot',
    }
    return words.get(error.errno, error.strerror or str(error))


def line(path):
    """The first line of a small file, None if it cannot be read."""
    try:
        with open(path, 'rb') as opened:
            text = opened.read(4096)
    except OSError:
        return None
    return text.split(b'\n')[0].strip(b'\0 \t').decode('utf-8', 'replace')


def number(path):
    """The number that a file holds, None if there is none."""
    text = line(path)
    return int(text) if text and text.isdigit() else None


def boot_id():
    """Which boot this is. Clones share it."""
    return line(KERNEL + '/boot_id')


def generation(path='/run/weir-feed/generation'):
    """Which life of the machine this is, as weir-feed counts it; None where no weir-feed ran in this boot."""
    try:
        with open(path, 'rb') as opened:
            page = opened.read(16)
    except OSError:
        return None
    if len(page) < 16 or page[:8] != b'WEIRGEN1':
        return None
    return struct.unpack('<Q', page[8:])[0]
