# SPDX-License-Identifier: Apache-2.0
"""User-data for cloud-init with a fresh seed in it."""

DOCUMENTATION = r'''
name: user_data
short_description: User-data for cloud-init with a fresh seed in it
version_added: 0.1.0
description:
  - Adds a fresh seed to user-data, for C(user_data) of a cloud module or for C(virt-install --cloud-init).
  - Where Weir is installed on the controller, C(weir seed new --merge) adds it, and a cloud-config stays one document. Without
    Weir, the result is a MIME message with a cloud-config for the seed and then the given user-data as it was.
  - User-data that has C(random_seed) already is refused.
  - Each evaluation has another seed. What is used twice goes through C(set_fact).
  - B(A task that uses it needs) C(no_log=true), and so does the task that hands the result to a cloud.
  - Whoever may read a machine's user-data, as any process on it often may through the metadata service, reads the seed. It
    is mixed in and never credited.
options:
  _terms:
    description: User-data to add a seed to, for each of them. Without any, or with an empty one, there is the seed alone.
    type: list
    elements: str
  bytes:
    description: How long the seed is; 32 to 4096.
    type: int
    default: 64
  program:
    description: Weir on the controller, as a path or a name in C(PATH). Empty, Python makes the document.
    type: str
    default: weir
    vars:
      - name: weir_controller_program
seealso:
  - plugin: weir.randomness.seed
    plugin_type: lookup
author:
  - The Weir authors (@weir)
'''

EXAMPLES = r'''
- name: Create a machine that is born with a seed
  openstack.cloud.server:
    name: web1
    image: debian-13
    flavor: small
    userdata: "{{ lookup('weir.randomness.user_data', lookup('ansible.builtin.file', 'web.yml')) }}"
  no_log: true
'''

RETURN = r'''
_list:
  description: The user-data with a seed, for each that was given.
  type: list
  elements: str
'''

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible_collections.weir.randomness.plugins.plugin_utils import drawn, user_data


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        return [self._document(term) for term in (terms or [''])]

    def _document(self, given):
        if not isinstance(given, str):
            raise AnsibleError('user-data is text, and not %s' % type(given).__name__)
        program, count = self.get_option('program'), drawn.checked_bytes(self.get_option('bytes'))
        arguments = ['--format', 'cloud-config', '--bytes', str(count)]
        if not user_data.is_empty(given):
            arguments += ['--merge', '-']
        document = drawn.by_weir(program, arguments, given)
        if document is None:
            document = user_data.with_seed(given, drawn.seed(program, count))
        return drawn.Hidden(document)
