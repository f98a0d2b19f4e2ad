"""`python3 -m ops.manage COMMAND ...`: manage.py with the settings of the running site."""

import os
import sys

from ops.data import ROOT, DataDir, data_path
from ops.environment import running_environment
from ops.problem import exit_with
from ops.setup import PYTHON


def main() -> int:
    env = running_environment(DataDir(data_path()))
    os.chdir(ROOT)
    os.execve(PYTHON, [str(PYTHON), "manage.py", *sys.argv[1:]], env)


if __name__ == "__main__":
    exit_with(main)
