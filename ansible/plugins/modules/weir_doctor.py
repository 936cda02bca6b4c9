#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Facts and assertions about a host's randomness."""

DOCUMENTATION = r'''
module: weir_doctor
short_description: Look at a host's randomness, and fail where it is not good
version_added: 0.1.0
description:
  - Runs C(weir doctor --json) on the host, where Weir is installed, and returns its report as facts.
  - Where it is not installed, the module reads the few facts itself that Python can have. It then judges kernel.ready,
    kernel.accounting and kernel.entropy, and nothing else.
  - Changes nothing.
options:
  fail_on:
    description:
      - From which verdict on the task fails. A verdict of V(unknown) (whether the generator is ready could not be seen) fails
        with V(critical) too.
    type: str
    choices: [critical, warning, never]
    default: critical
  require:
    description:
      - What has to be so besides. V(ready) is that the kernel's generator is ready; every other word is a finding of
        C(weir doctor), which has to be there and have the verdict V(ok), as V(daemons.weir-feed) or V(virtualization.clone).
      - Without Weir on the host, to require a finding that only Weir can judge fails.
    type: list
    elements: str
    default: []
  program:
    description:
      - The path of C(weir) on the host. Without it, it is looked for in C(PATH), C(/usr/local/bin) and C(/usr/local/sbin).
    type: path
attributes:
  check_mode:
    description: It reads in check mode too.
    support: full
  facts:
    description: Returns RV(ansible_facts.weir_doctor).
    support: full
notes:
  - Some facts take root; use C(become). What could not be seen is in RV(ansible_facts.weir_doctor.unseen).
  - Python 3.6 or newer on the host.
seealso:
  - module: weir.randomness.weir_seed
author:
  - The Weir authors (@weir)
'''

EXAMPLES = r'''
- name: See that keys may be made here
  weir.randomness.weir_doctor:
    require: [ready]
  become: true

- name: See that clones will be noticed, and take warnings for failures
  weir.randomness.weir_doctor:
    fail_on: warning
    require: [ready, daemons.weir-feed]
  become: true

- name: Only look
  weir.randomness.weir_doctor:
    fail_on: never
'''

RETURN = r'''
ansible_facts:
  description: What was found.
  returned: success
  type: dict
  contains:
    weir_doctor:
      description: The report.
      type: dict
      returned: always
      contains:
        by:
          description: V(weir), or V(module) where Weir is not installed on the host.
          type: str
          returned: always
        verdict:
          description: V(ok), V(note), V(warning), V(critical) or V(unknown); the gravest of the findings.
          type: str
          returned: always
        ready:
          description: Whether the kernel's generator is ready; null where that cannot be told.
          type: bool
          returned: always
        host:
          description:
            - Facts in short, with the members that C(weir doctor --json) gives them. Of the seeds that arrived it has the last three.
          type: dict
          returned: always
        findings:
          description: What was judged; each with section, id, verdict, what, why and command.
          type: list
          elements: dict
          returned: always
        unseen:
          description: What could not be seen; each with what, why and command.
          type: list
          elements: dict
          returned: always
faults:
  description: Why the task failed, a sentence each.
  returned: always
  type: list
  elements: str
verdict:
  description: The gravest verdict, where the task failed; it then returns no facts. O(fail_on=never) returns them in any case.
  returned: failure
  type: str
'''

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.weir.randomness.plugins.module_utils import look, program

SCHEMA = 'weir.doctor/1'
READY = 'ready'
# More of the seeds that arrived would make a fact of little else.
MOST_ARRIVALS = 3
FATAL = dict(critical=('critical', 'unknown'), warning=('warning', 'critical', 'unknown'), never=())


def main():
    module = AnsibleModule(
        argument_spec=dict(
            fail_on=dict(type='str', choices=['critical', 'warning', 'never'], default='critical'),
            require=dict(type='list', elements='str', default=[]),
            program=dict(type='path'),
        ),
        supports_check_mode=True,
    )
    weir = program.find(module, module.params['program'])
    report = by_weir(module, weir) if weir else dict(look.report(), by='module')
    report['ready'] = report['host'].get('ready')
    faults = faults_of(report, module.params['fail_on'], module.params['require'])
    result = dict(changed=False, ansible_facts=dict(weir_doctor=report), faults=faults)
    if faults:
        # Ansible keeps no facts of a task that failed, and would print all of them.
        module.fail_json(msg='; '.join(faults), faults=faults, verdict=report['verdict'])
    module.exit_json(**result)


def by_weir(module, weir):
    status, answer, complaint = program.ask(module, [weir, 'doctor', '--json'])
    if answer is None:
        module.fail_json(msg='%s doctor failed: %s' % (weir, complaint or 'status %d' % status))
    if answer.get('schema') != SCHEMA:
        module.fail_json(msg='%s doctor answers in the form %s, and this module knows %s' % (weir, answer.get('schema'), SCHEMA))
    host = answer['host']
    if host.get('arrivals'):
        host = dict(host, arrivals=host['arrivals'][-MOST_ARRIVALS:])
    findings = [dict(finding, section=section['name'])
                for section in answer['sections'] for finding in section['findings']]
    return dict(by='weir', verdict=answer['verdict'], host=host, findings=findings, unseen=answer['unseen'])


def faults_of(report, fail_on, require):
    """A sentence for each thing that is not as it has to be."""
    fatal = FATAL[fail_on]
    faults = ['%s: %s' % (finding['id'], finding['what']) for finding in report['findings'] if finding['verdict'] in fatal]
    if report['verdict'] in fatal and not faults:
        faults.append('whether the generator is ready could not be seen')
    for name in require:
        fault = unmet(report, name)
        if fault is not None and not any(known.startswith(name + ':') for known in faults):
            faults.append(fault)
    return faults


def unmet(report, name):
    """Why something that is required is not so; None if it is."""
    if name == READY:
        words = {True: None, False: 'the generator is not ready', None: 'whether the generator is ready could not be seen'}
        return words[report['ready']]
    found = [finding for finding in report['findings'] if finding['id'] == name]
    if not found and report['by'] == 'module':
        return '%s: cannot be judged, since Weir is not installed on this host' % name
    if not found:
        return '%s: there is no such finding here' % name
    bad = [finding for finding in found if finding['verdict'] != 'ok']
    return '%s: %s (%s)' % (name, bad[0]['what'], bad[0]['verdict']) if bad else None


if __name__ == '__main__':
    main()
