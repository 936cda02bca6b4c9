# SPDX-License-Identifier: Apache-2.0
"""Seeds drawn on the controller.

By `weir seed new` where Weir is installed, else by Python's `secrets`. Both ask this machine's kernel and wait until its
generator is ready. A seed is handed to a program on its standard input or read from its standard output, and is in no
argument, environment variable or file.
"""

import base64
import secrets
import shutil
import subprocess

from ansible.errors import AnsibleError

USUAL_BYTES = 64
LEAST_BYTES = 32
MOST_BYTES = 4096
# Wrong usage. Where the complaint quotes one of the command's own words, this Weir is older than `weir seed new`.
WRONG_USAGE = 2
LIMIT_SECONDS = 60


class Hidden(str):
    """Text that is not shown where a structure that holds it is: Ansible's debug output prints a module's arguments."""

    def __repr__(self):
        return "'(a seed)'"


def checked_bytes(count):
    """A length of a seed that makes sense."""
    if not LEAST_BYTES <= count <= MOST_BYTES:
        raise AnsibleError('a seed of %d bytes: it takes %d to %d' % (count, LEAST_BYTES, MOST_BYTES))
    return count


def seed(program, count=USUAL_BYTES):
    """A fresh seed in Base64."""
    checked_bytes(count)
    text = by_weir(program, ['--format', 'base64', '--bytes', str(count)])
    if text is None:
        return Hidden(base64.b64encode(secrets.token_bytes(count)).decode('ascii'))
    text = ''.join(text.split())
    try:
        long_enough = len(base64.b64decode(text, validate=True)) == count
    except ValueError:
        long_enough = False
    if not long_enough:
        raise AnsibleError('%s seed new did not print %d bytes in Base64' % (program, count))
    return Hidden(text)


def by_weir(program, arguments, given=''):
    """What `weir seed new` prints; None where Weir is not installed, is not wanted (''), or does not know the command."""
    path = shutil.which(program) if program else None
    if path is None:
        if program and program != 'weir':
            raise AnsibleError('there is no program %s on the controller' % program)
        return None
    command = [path, 'seed', 'new'] + arguments
    try:
        run = subprocess.run(command, input=given.encode('utf-8'), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             timeout=LIMIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        # Not the error itself: it would carry what was printed so far.
        raise AnsibleError('%s seed new: %s' % (path, type(error).__name__)) from None
    complaint = ' '.join(run.stderr.decode('utf-8', 'replace').split())
    if run.returncode == WRONG_USAGE and ("'seed'" in complaint or "'new'" in complaint):
        return None
    if run.returncode != 0:
        raise AnsibleError('%s seed new: %s' % (path, complaint[:500] or 'status %d' % run.returncode))
    return run.stdout.decode('utf-8')
