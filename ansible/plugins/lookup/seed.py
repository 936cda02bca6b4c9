# SPDX-License-Identifier: Apache-2.0
"""A fresh seed, drawn on the controller."""

DOCUMENTATION = r'''
name: seed
short_description: A fresh seed for a new machine, in Base64
version_added: 0.1.0
description:
  - Draws fresh bytes on the controller, by C(weir seed new) where Weir is installed and by Python's C(secrets) where not.
  - Each evaluation is another seed. A variable that holds this lookup is evaluated anew wherever it is used; what has to be
    the same twice goes through C(set_fact).
  - B(A task that uses it needs) C(no_log=true). Else Ansible prints the seed with C(-v), keeps it in its log, and shows it in
    registered results.
options:
  _terms:
    description: Names of machines, for a seed each. They are not used for anything else. Without any there is one seed.
    type: list
    elements: str
  bytes:
    description: How long a seed is; 32 to 4096.
    type: int
    default: 64
  program:
    description: Weir on the controller, as a path or a name in C(PATH). Empty, Python draws the seed.
    type: str
    default: weir
    vars:
      - name: weir_controller_program
seealso:
  - plugin: weir.randomness.user_data
    plugin_type: lookup
author:
  - The Weir authors (@weir)
'''

EXAMPLES = r'''
- name: Remember a seed for this host
  ansible.builtin.set_fact:
    my_seed: "{{ lookup('weir.randomness.seed') }}"
  no_log: true
'''

RETURN = r'''
_list:
  description: A seed in Base64, in one line, for each name.
  type: list
  elements: str
'''

from ansible.plugins.lookup import LookupBase
from ansible_collections.weir.randomness.plugins.plugin_utils import drawn


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        program, count = self.get_option('program'), self.get_option('bytes')
        return [drawn.seed(program, count) for unused in (terms or [None])]
