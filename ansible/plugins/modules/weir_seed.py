#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Gives a host's kernel a seed that the controller made."""

DOCUMENTATION = r'''
module: weir_seed
short_description: Give a running host's kernel a fresh seed
version_added: 0.1.0
description:
  - Mixes 64 fresh bytes, drawn on the controller for this host alone, into the pool of the host's kernel, and has its generator
    take a new key at once.
  - Uses C(weir seed receive) where Weir is installed on the host. Else it does the same by itself, with nothing but Python.
  - A host is given one seed in each boot, for each generation of the machine (a clone that was made while it ran is another
    generation) and each name in the inventory. A second run in the same boot changes nothing.
  - The seed travels on the connection's standard input. It is in no argument, environment variable, file, result or log. Where
    the connection could only bring it in a temporary file, the task fails before a seed is made.
options:
  seed:
    description:
      - The seed, in Base64; 32 to 4096 bytes.
      - Left out, which is right nearly always, the controller draws 64 fresh bytes for each host.
    type: str
  credit:
    description:
      - Whether the kernel is told to believe in it, which makes a generator ready that is not ready yet. Weir credits eight bits
        a byte, the module by itself no more than 256 bits.
      - Nobody but the controller and the host must have seen it for that; over SSH with a known host key that is so.
      - Takes root on the host. It is an error when the kernel refuses.
    type: bool
    default: false
  reseed:
    description:
      - Whether the kernel's generator takes a new key at once. Takes root on the host; without it, the seed is mixed in
        all the same and felt at the kernel's next own reseed.
    type: bool
    default: true
  always:
    description:
      - Give one even if this host was given one in this boot.
    type: bool
    default: false
  program:
    description:
      - The path of C(weir) on the host. Without it, it is looked for in C(PATH), C(/usr/local/bin) and C(/usr/local/sbin).
    type: path
  host:
    description:
      - By what name the host remembers the seed. It is the inventory's name of it.
    type: str
attributes:
  check_mode:
    description: Says whether a seed would be given. None is made.
    support: full
notes:
  - To mix a seed in needs no right. Use C(become) for O(reseed) and O(credit), and for the host to remember it.
  - Needs a connection that can bring a module by standard input (pipelining), as ssh and local can; it is used whatever the
    configuration says. C(become_method=su), C(async) and C(ANSIBLE_KEEP_REMOTE_FILES) are refused.
  - Python 3.6 or newer on the host.
seealso:
  - module: weir.randomness.weir_doctor
  - plugin: weir.randomness.seed
    plugin_type: lookup
author:
  - The Weir authors (@weir)
'''

EXAMPLES = r'''
- name: Give each host a seed of its own
  weir.randomness.weir_seed:
  become: true

- name: Make a host ready whose kernel waits for entropy
  weir.randomness.weir_seed:
    credit: true
  become: true
'''

RETURN = r'''
changed:
  description: Whether a seed was given, in check mode whether one would be.
  returned: always
  type: bool
bytes:
  description: How many bytes were mixed in, by this task or by the one that it finds no need to repeat.
  returned: when a seed was given in this boot
  type: int
  sample: 64
credited_bits:
  description: How many bits were credited.
  returned: when a seed was given in this boot
  type: int
  sample: 0
ready_before:
  description: Whether the kernel was ready before; null where that cannot be told.
  returned: always
  type: bool
ready_after:
  description: Whether it was afterwards.
  returned: when a seed was given in this boot
  type: bool
reseeded:
  description: Whether the generator took a new key at once.
  returned: when a seed was given in this boot
  type: bool
boot_id:
  description: The boot that the seed was given in.
  returned: always
  type: str
generation:
  description: Which life of the machine, as weir-feed counts; null where none ran.
  returned: always
  type: int
early_keys:
  description: Well-known keys that were made in this boot before the generator was ready, null where that cannot be told.
  returned: when Weir took the seed
  type: list
  elements: str
by:
  description: V(weir) where Weir took the seed, V(module) where this module did it by itself.
  returned: when a seed was given in this boot
  type: str
'''

import base64
import binascii

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.weir.randomness.plugins.module_utils import pool, program, record

LEAST_BYTES = 32
MOST_BYTES = 4096
# What `weir seed receive --json` says and this returns.
FIELDS = ('bytes', 'credited_bits', 'ready_before', 'ready_after', 'reseeded')


def main():
    module = AnsibleModule(
        argument_spec=dict(
            seed=dict(type='str', no_log=True),
            credit=dict(type='bool', default=False),
            reseed=dict(type='bool', default=True),
            always=dict(type='bool', default=False),
            program=dict(type='path'),
            host=dict(type='str'),
        ),
        supports_check_mode=True,
    )
    now = dict(boot_id=pool.boot_id(), generation=pool.generation())
    given = record.read_given()
    if not module.params['always'] and is_enough(given, module.params):
        result = dict((name, given.get(name)) for name in FIELDS + ('by',))
        result.update(now, ready_before=pool.is_ready())
        module.exit_json(changed=False, msg='it was given a seed in this boot', **result)
    if module.check_mode:
        module.exit_json(changed=True, msg='it would be given a seed', ready_before=pool.is_ready(), **now)
    give(module, decoded(module))


def is_enough(given, params):
    """Whether the last seed makes another one needless. One without credit does not, where credit would make a generator ready."""
    if not record.still_holds(given, params['host']):
        return False
    return not params['credit'] or bool(given.get('credited_bits')) or pool.is_ready() is True


def decoded(module):
    text = module.params['seed']
    if not text:
        module.fail_json(msg='there is no seed: it is made by the action plugin weir.randomness.weir_seed on the controller')
    try:
        seed = base64.b64decode(''.join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        module.fail_json(msg='the seed is no Base64')
    if not LEAST_BYTES <= len(seed) <= MOST_BYTES:
        module.fail_json(msg='the seed has %d bytes; it takes %d to %d' % (len(seed), LEAST_BYTES, MOST_BYTES))
    return seed


def give(module, seed):
    result = by_weir(module, seed) or by_itself(module, seed)
    not_reseeded, not_credited = result.pop('why_not_reseeded', None), result.pop('why_not_credited', None)
    result.update(boot_id=pool.boot_id(), generation=pool.generation())
    unnoted = record.write_given(dict(result, host=module.params['host']))
    if unnoted:
        module.warn('the host does not remember this seed, so that the next run gives another one: %s' % unnoted)
    if module.params['reseed'] and not result['reseeded']:
        module.warn('the seed is mixed in, and felt at the next reseed of the kernel itself: %s' % (not_reseeded or 'refused'))
    if module.params['credit'] and not result['credited_bits']:
        module.fail_json(changed=True, msg='the seed is mixed in and not credited: %s' % (not_credited or 'refused'), **result)
    module.exit_json(changed=True, msg='it was given a seed', **result)


def by_weir(module, seed):
    """Has Weir take it; None where Weir is not there, or is one that does not know how."""
    weir = program.find(module, module.params['program'])
    # Weir reseeds always.
    if weir is None or not module.params['reseed']:
        return None
    command = [weir, 'seed', 'receive', '--json', '--from', 'ansible'] + (['--credit'] if module.params['credit'] else [])
    status, answer, complaint = program.ask(module, command, data=seed)
    if answer is None and status == 2:
        module.warn('%s knows no `seed receive`; the module did it by itself' % weir)
        return None
    if answer is None or any(name not in answer for name in FIELDS):
        module.fail_json(msg='%s seed receive failed: %s' % (weir, complaint or 'status %d' % status))
    if answer.get('early_keys'):
        module.warn('made in this boot before the generator was ready: %s; make them again' % ', '.join(answer['early_keys']))
    return dict(((name, answer[name]) for name in FIELDS), by='weir', early_keys=answer.get('early_keys'),
                why_not_credited=answer.get('credit_refused'), why_not_reseeded=answer.get('reseed_refused'))


def by_itself(module, seed):
    result = dict(by='module', bytes=len(seed), credited_bits=0, reseeded=False, ready_before=pool.is_ready())
    try:
        with pool.Pool() as opened:
            opened.mix(seed)
            if module.params['credit']:
                result['credited_bits'], result['why_not_credited'] = opened.credit(seed)
            if module.params['reseed']:
                result['reseeded'], result['why_not_reseeded'] = opened.reseed()
    except OSError as error:
        module.fail_json(msg='%s: %s' % (pool.POOL, error.strerror))
    result['ready_after'] = pool.is_ready()
    # Without root it cannot be noted, which write_given says already.
    record.note_arrival(result, 'push', 'ansible')
    return result


if __name__ == '__main__':
    main()
