"""What docs/api.md shows is run as it stands there."""

import io
import os
import re
import subprocess
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from ops.data import ROOT
from tests.chatapp.programs.conftest import RunnerThread
from tests.live_site import LiveSite
from tests.scripted_endpoint import TEXT

pytestmark = pytest.mark.django_db(transaction=True)


def examples() -> list[str]:
    """The indented blocks of the site's part, without their indent."""
    part = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").split("# The worker's API")[0]
    blocks = re.findall(r"(?:^    .*\n)+", part, flags=re.MULTILINE)
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in blocks]


def test_the_examples_run(
    live_site: LiveSite, secret: str, plays: Callable[..., None], runner: RunnerThread, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    shell, python, with_file = examples()
    setting, curl = shell.split("\n", 1)
    assert setting == "export SONDE=http://127.0.0.1:8300/v1 KEY=sk-sonde-..."
    env = {"SONDE": f"{live_site.url}/v1", "KEY": secret}
    command = curl.replace("MODEL", "plain")
    asked = subprocess.run(
        ["bash", "-c", command], env={**os.environ, **env}, capture_output=True, text=True, timeout=60
    )
    assert "word39" in asked.stdout and asked.stdout.rstrip().endswith("data: [DONE]"), asked.stderr
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    said, names = io.StringIO(), {}
    with redirect_stdout(said):
        exec(python, names)
    assert said.getvalue() == f"{TEXT}\n"
    compile(with_file, "docs/api.md", "exec")
    assert "files.create" in with_file
