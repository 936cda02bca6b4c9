"""Ansible's standard output as one JSON document: each task's result for each host, and the recap."""

import json

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: recorded
type: stdout
short_description: one JSON document
description: For a test.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "recorded"

    def __init__(self):
        super().__init__()
        self.results = []

    def _note(self, result, failed=False):
        name = result._task.get_name().split(" : ")[-1]
        self.results.append([name, result._host.get_name(), dict(result._result, failed=failed)])

    def v2_runner_on_ok(self, result):
        self._note(result)

    def v2_runner_on_skipped(self, result):
        self._note(result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._note(result, failed=not ignore_errors)

    def v2_runner_on_unreachable(self, result):
        self._note(result, failed=True)

    def v2_playbook_on_stats(self, stats):
        recap = {host: stats.summarize(host) for host in stats.processed}
        self._display.display(json.dumps({"results": self.results, "recap": recap}, default=str))
