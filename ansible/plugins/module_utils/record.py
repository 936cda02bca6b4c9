# SPDX-License-Identifier: Apache-2.0
"""What a host remembers of its seeds, in /run, which no reboot, image or copied disk carries over.

`given`: the last seed that came by this collection, so that a second run can tell that there is nothing to do.
`arrivals`: all seeds of this boot, in the form that `weir doctor` reads. Neither holds a byte of a seed.
"""

import fcntl
import json
import os
import time

from ansible_collections.weir.randomness.plugins.module_utils import pool

FOLDER = '/run/weir-seed'
ARRIVALS_FIRST = 'weir-seed arrivals 1'
ARRIVALS_MAX = 32 * 1024
# As weir keeps them.
ARRIVALS_KEPT = 64
FORMAT = 1


def read_given():
    """The last seed's record, None if there is none that can be understood."""
    try:
        with open(os.path.join(FOLDER, 'given'), 'r') as opened:
            given = json.loads(opened.read(8192))
    except (OSError, ValueError):
        return None
    return given if isinstance(given, dict) and given.get('format') == FORMAT else None


def still_holds(given, host):
    """Whether a record is of this boot, of this life of the machine, and of the host of this name.

    A clone that was made while the machine ran has the record in its memory. Its generation tells, where a weir-feed counts;
    else its name does, since it is another host of the inventory.
    """
    if given is None or not given.get('boot_id'):
        return False
    now = (pool.boot_id(), pool.generation() or 1, host)
    return now == (given['boot_id'], given.get('generation') or 1, given.get('host'))


def write_given(given):
    """Replaces the record. Answers with None, or why it could not."""
    try:
        os.makedirs(FOLDER, mode=0o755, exist_ok=True)
        _replace('given', json.dumps(dict(given, format=FORMAT), sort_keys=True) + '\n')
    except OSError as error:
        return '%s: %s' % (FOLDER, error.strerror)
    return None


def note_arrival(given, way, sender):
    """Adds a line to the arrivals, as `weir seed receive` does. Answers with None, or why it could not."""
    words = [int(time.time()), _since_boot_ms(), way, sender, given['bytes'], given['credited_bits']]
    words += ['yes' if given[name] else 'no' for name in ('ready_before', 'ready_after', 'reseeded')]
    try:
        os.makedirs(FOLDER, mode=0o755, exist_ok=True)
        with open(os.open(os.path.join(FOLDER, 'lock'), os.O_CREAT | os.O_WRONLY, 0o600), 'w') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lines = _arrivals() + [' '.join(str(word) for word in words)]
            _replace('arrivals', '\n'.join([ARRIVALS_FIRST] + _newest(lines)) + '\n')
    except OSError as error:
        return '%s: %s' % (FOLDER, error.strerror)
    return None


def _arrivals():
    try:
        with open(os.path.join(FOLDER, 'arrivals'), 'r', errors='replace') as opened:
            lines = opened.read(ARRIVALS_MAX).splitlines()
    except OSError:
        return []
    return lines[1:] if lines[:1] == [ARRIVALS_FIRST] else []


def _newest(lines):
    lines = lines[-ARRIVALS_KEPT:]
    room = ARRIVALS_MAX - len(ARRIVALS_FIRST) - 1
    while sum(len(text) + 1 for text in lines) > room:
        lines = lines[1:]
    return lines


def _replace(name, text):
    """Written beside and renamed: a reader sees all of it, or what was there before."""
    beside = os.path.join(FOLDER, name + '.new')
    with open(os.open(beside, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o644), 'w') as opened:
        opened.write(text)
    os.rename(beside, os.path.join(FOLDER, name))


def _since_boot_ms():
    text = pool.line('/proc/uptime') or '0'
    return int(float(text.split()[0]) * 1000)
