# SPDX-License-Identifier: Apache-2.0
"""Draws a seed on the controller for each host, and has the module bring it on standard input."""

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.weir.randomness.plugins.plugin_utils import drawn


class ActionModule(ActionBase):
    # An asynchronous task has its arguments in a file on the host.
    _supports_async = False

    def run(self, tmp=None, task_vars=None):
        task_vars = task_vars or {}
        result = super(ActionModule, self).run(tmp, task_vars)
        arguments = dict(self._task.args)
        arguments.setdefault('host', task_vars.get('inventory_hostname'))
        if not self._play_context.check_mode:
            self._refuse_files()
            controller = self._templar.template(task_vars.get('weir_controller_program', 'weir'))
            given = arguments.get('seed')
            arguments['seed'] = drawn.Hidden(given) if given else drawn.seed(controller)
        else:
            arguments.pop('seed', None)
        result.update(self._execute_module(
            module_name='weir.randomness.weir_seed', module_args=arguments, task_vars=task_vars))
        return result

    def _is_pipelining_enabled(self, module_style, wrap_async=False):
        """Whatever the configuration says: without pipelining a module and its arguments lie in a file on the host."""
        return self._why_no_pipelining() is None

    def _refuse_files(self):
        reason = self._why_no_pipelining()
        if reason is not None:
            raise AnsibleActionFail('the seed would lie in a file on the host: %s' % reason)

    def _why_no_pipelining(self):
        become = self._connection.become
        if not self._connection.has_pipelining:
            return 'the connection %s brings modules in files' % self._connection.transport
        if become is not None and become.name in ('su', 'ansible.builtin.su'):
            return 'su cannot pass on standard input; use become_method sudo'
        if constants.DEFAULT_KEEP_REMOTE_FILES:
            return 'ANSIBLE_KEEP_REMOTE_FILES is set'
        return None
