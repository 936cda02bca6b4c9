# SPDX-License-Identifier: Apache-2.0
"""User-data for cloud-init, with a seed in it.

Without Weir, a seed is added by MIME: its part comes first and the given user-data after it, untouched, so that nothing has to
understand YAML to change it. cloud-init merges the parts.
"""

import email
import re
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

from ansible.errors import AnsibleError

# How cloud-init tells kinds of user-data apart: by how they begin.
KINDS = (
    ('#!', 'x-shellscript'),
    ('#cloud-config-archive', 'cloud-config-archive'),
    ('#cloud-config', 'cloud-config'),
    ('#cloud-boothook', 'cloud-boothook'),
    ('#include-once', 'x-include-once-url'),
    ('#include', 'x-include-url'),
    ('#part-handler', 'part-handler'),
    ('## template: jinja', 'jinja2'),
)
# Where a cloud-config has a seed of its own: one of the two would be lost.
OWN_SEED = re.compile(r'^random_seed\s*:', re.MULTILINE)


# A generator that is ready looks at what was mixed in only at its next reseed; this has it look at once (RNDRESEEDCRNG), where
# that number is the kernel's. `weir seed new` writes the same.
RESEED = """[sh, -c, "python3 -c 'from fcntl import ioctl; ioctl(0, 0x5207)' </dev/urandom 2>/dev/null || :"]"""


def cloud_config(seed):
    """The cloud-config that has cloud-init's module seed_random mix a seed in."""
    return ('#cloud-config\nrandom_seed:\n  file: /dev/urandom\n  data: "%s"\n  encoding: base64\n  command: %s\n'
            % (seed, RESEED))


def is_empty(given):
    """Whether user-data says nothing; a cloud-config without a line that is no comment counts as that."""
    lines = [line for line in given.splitlines() if line.strip()]
    return not lines or lines[0].rstrip() == '#cloud-config' and all(line.startswith('#') for line in lines)


def with_seed(given, seed):
    """The user-data with a seed added."""
    if is_empty(given):
        return cloud_config(seed)
    whole = MIMEMultipart()
    whole.attach(_part(cloud_config(seed), 'cloud-config'))
    for part in _parts(given):
        whole.attach(part)
    return whole.as_string()


def _parts(given):
    if re.match(r'(?i)(content-type|mime-version):', given):
        message = email.message_from_string(given)
        parts = message.get_payload() if message.is_multipart() else [message]
        for part in parts:
            _refuse_second_seed(_text(part))
        return parts
    first = given.lstrip()
    for begin, kind in KINDS:
        if first.startswith(begin):
            if kind in ('cloud-config', 'jinja2'):
                _refuse_second_seed(given)
            return [_part(first, kind)]
    raise AnsibleError('the user-data is of no kind that cloud-init knows by its first line (#cloud-config, #!, #include, MIME)')


def _text(part):
    payload = part.get_payload(decode=True)
    return payload.decode('utf-8', 'replace') if payload else ''


def _part(text, kind):
    return MIMEText(text, kind, 'us-ascii' if text.isascii() else 'utf-8')


def _refuse_second_seed(text):
    if OWN_SEED.search(text):
        raise AnsibleError('the user-data has a random_seed already: take it out, so that each machine gets a fresh one')
