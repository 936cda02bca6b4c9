# SPDX-License-Identifier: Apache-2.0
"""The program `weir` on a host: where it is, and what it answers in JSON."""

import json

FOLDERS = ['/usr/local/bin', '/usr/local/sbin']


def find(module, path):
    """Where it is: `path` if one is given, which then has to be there, else by PATH; None where it is not installed."""
    if path:
        return module.get_bin_path(path, required=True)
    return module.get_bin_path('weir', opt_dirs=FOLDERS)


def ask(module, command, data=None):
    """Runs it. Answers with its status, the JSON object that it printed (None if it printed none), and its complaint."""
    status, out, err = module.run_command(command, data=data, binary_data=True)
    try:
        answer = json.loads(out)
    except ValueError:
        answer = None
    return status, answer if isinstance(answer, dict) else None, ' '.join(err.split())[:500]
