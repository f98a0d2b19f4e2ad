"""`make compose`: docker-compose.yml from the table of processes, so that a container runs what the supervisor runs.

`python3 -m ops.compose` writes the file; a test fails where file and table differ.
"""

import json
from collections.abc import Mapping, Sequence

from ops.console import say
from ops.data import ROOT
from ops.problem import exit_with
from ops.processes import PROCESSES, Process

FILE = ROOT / "docker-compose.yml"
HEAD = """\
# Made by `make compose` from ops/processes.py: change that, not this.
#   docker compose --profile cpu up --build    with the small default model on the CPU
#   docker compose --profile gpu up --build    the worker on an NVIDIA GPU; SONDE_MODELS is a host folder of models,
#                                              SONDE_MODEL the name of one of them
#   SONDE_WEB_SEARCH=0 docker compose ...      nothing is searched or read on the web (see docs/search.md)
#   SONDE_ENV_FILE=my.env docker compose ...   every other setting of README.md, NAME=value lines: OpenID Connect, LDAP
#   docker compose exec web python manage.py owner_link    prints the link that makes the first account
# Only the page is published: on 127.0.0.1, or on SONDE_BIND. Secrets are made on first use, in the volume.
services:
"""
TAIL = """\
volumes:
  data:
  models:
"""
MODEL_DIR = "/models/${SONDE_MODEL:-smollm2-135m-instruct}"
VALUES = {
    "python": "python",
    "host": "0.0.0.0",
    "service_host": "0.0.0.0",
    "port": "8300",
    "postgres_port": "5432",
    "valkey_port": "6379",
    "inference_port": "8301",
    "inference_key_file": "/data/secrets/inference_key",
    "encoder_port": "8302",
    "embeddings_key_file": "/data/secrets/embeddings_key",
    "model_dir": MODEL_DIR,
    "data": "/data",
}
ENVIRONMENT = {
    "SONDE_DATA": "/data",
    "SONDE_HOST": "0.0.0.0",
    "SONDE_PORT": "8300",
    "SONDE_HTTPS": "${SONDE_HTTPS:-0}",
    "SONDE_ORIGINS": "${SONDE_ORIGINS:-http://127.0.0.1:${SONDE_PORT:-8300}}",
    "SONDE_ALLOWED_HOSTS": "${SONDE_ALLOWED_HOSTS:-127.0.0.1 localhost}",
    "SONDE_SECRET_KEY_FILE": "/data/secrets/secret_key",
    "SONDE_INFERENCE_URL": "http://inference:8301/v1",
    "SONDE_INFERENCE_KEY_FILE": "/data/secrets/inference_key",
    "SONDE_EMBEDDINGS_URL": "http://encoder:8302/v1",
    "SONDE_EMBEDDINGS_KEY_FILE": "/data/secrets/embeddings_key",
    "SONDE_MODEL_DIR": MODEL_DIR,
    "SONDE_WEB_SEARCH": "${SONDE_WEB_SEARCH:-1}",
    "SONDE_SEARXNG_URL": "http://searxng:8080",
    "DATABASE_URL_FILE": "/data/secrets/database_url",
    "REDIS_URL_FILE": "/data/secrets/redis_url",
}
# What `environment` names wins over it. Without one a file that sets nothing: Compose wants a regular file.
ENV_FILES = ["${SONDE_ENV_FILE:-ops/none.env}"]
VOLUMES = ["data:/data", "${SONDE_MODELS:-models}:/models"]
DONE = {"condition": "service_completed_successfully"}
# Not a process of ours. Its secret signs only what is switched off there: the image proxy, the limiter.
SEARXNG: dict[str, object] = {
    "image": "${SONDE_SEARXNG_IMAGE:-docker.io/searxng/searxng:latest}",
    "restart": "unless-stopped",
    "environment": {"SEARXNG_SECRET": "${SEARXNG_SECRET:-nothing-that-is-signed-leaves-this-network}"},
    "volumes": ["./ops/searxng.yml:/etc/searxng/settings.yml:ro"],
}
GPU = {"resources": {"reservations": {"devices": [{"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}]}}}


def compose_text() -> str:
    """The whole file."""
    services = _one_shots()
    for process in PROCESSES:
        if process.kind == "model":
            services[process.name] = _service(process, "cpu") | {"profiles": ["cpu"]}
            services[f"{process.name}-gpu"] = _service(process, "cuda") | {
                "profiles": ["gpu"],
                "deploy": GPU,
                "networks": {"default": {"aliases": [process.name]}},
            }
        else:
            services[process.name] = _service(process, "cpu")
    services["searxng"] = SEARXNG
    services["web"]["ports"] = ["${SONDE_BIND:-127.0.0.1}:${SONDE_PORT:-8300}:8300"]
    return HEAD + "\n".join(_yaml(name, service) for name, service in services.items()) + "\n" + TAIL


def _one_shots() -> dict[str, dict[str, object]]:
    """What runs to its end before the rest: secrets, tables, the default model."""
    return {
        "prepare": _base("site", ["python", "-m", "ops.container", "prepare"]) | {"restart": "no"},
        "migrate": _base("site", ["python", "-m", "ops.container", "migrate"])
        | {"restart": "no", "depends_on": {"prepare": DONE, "postgres": {"condition": "service_started"}}},
        "model": _base("inference", ["python", "-m", "ops.container", "model"]) | {"restart": "no"},
    }


def _base(target: str, command: Sequence[str]) -> dict[str, object]:
    return {
        "image": f"sonde-{target}",
        "build": {"context": ".", "target": target},
        "init": True,
        "restart": "unless-stopped",
        "command": list(command),
        "env_file": ENV_FILES,
        "environment": ENVIRONMENT,
        "volumes": VOLUMES,
    }


def _service(process: Process, device: str) -> dict[str, object]:
    service = _base(process.image, process.argv(**VALUES, device=device))
    service["environment"] = {**ENVIRONMENT, **process.environment}
    first = {"service": ["prepare"], "model": ["prepare", "model"], "site": ["migrate"]}[process.kind]
    service["depends_on"] = {name: DONE for name in first}
    return service | {"stop_signal": f"SIG{process.stop_signal}", "stop_grace_period": f"{process.stop_wait_s}s"}


def _yaml(name: str, service: Mapping[str, object]) -> str:
    """One key a line, its value in JSON, which is YAML."""
    return f"  {name}:\n" + "".join(f"    {key}: {json.dumps(value)}\n" for key, value in service.items())


def main() -> int:
    FILE.write_text(compose_text(), encoding="utf-8")
    say(f"{FILE.name}: written")
    return 0


if __name__ == "__main__":
    exit_with(main)
