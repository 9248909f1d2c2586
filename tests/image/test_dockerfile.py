"""What the Dockerfile promises to whoever runs its image. `test_without_engine.py` follows its steps."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path, PurePosixPath

import pytest

from graphql_api import __version__
from graphql_api.http.health import ALIVE_PATH
from tests.image import program
from tests.image.dockerfile import DOCKERFILE, ROOT, Stage, arguments, image_environment, is_sent, stages

UNWANTED = (
    ".ci/run",
    ".env",
    ".git/config",
    ".venv/bin/python",
    "bench/run_all.py",
    "cdk.out/manifest.json",
    "docs/container.md",
    "graphql_api/__pycache__/app.cpython-313.pyc",
    "graphql_api/http/.env",
    "graphql_api/http/__pycache__/health.cpython-313.pyc",
    "graphql_api/pages/index.html",
    "infra/app.py",
    "requirements-dev.txt",
    "tests/conftest.py",
    "text2image-data/jobs.sqlite3",
    "ui/.env.local",
    "ui/node_modules/vite/package.json",
)


@pytest.fixture
def image() -> Stage:
    """The last stage."""
    return stages()[-1]


def test_hadolint_has_nothing_to_say() -> None:
    result = subprocess.run(
        [Path(sys.executable).parent / "hadolint", "--no-color", DOCKERFILE], capture_output=True, text=True, cwd="/"
    )
    assert (result.stdout + result.stderr, result.returncode) == ("", 0)


def test_what_comes_from_outside_can_be_replaced_and_names_its_version() -> None:
    given = arguments()
    own = {stage.name for stage in stages()} | {"scratch"}
    outside = {stage.base for stage in stages()} - own
    assert outside == {"${NODE_IMAGE}", "${PYTHON_IMAGE}"}
    for name in ("NODE_IMAGE", "PYTHON_IMAGE"):
        assert re.fullmatch(r"[a-z/]+:\d[\w.-]+", given[name])
    assert [value for stage in stages() for value in stage.values("ADD")] == [
        "--chmod=0644 ${RDS_CERTIFICATES} /rds-global-bundle.pem"
    ]


def test_python_of_the_image_is_one_that_the_project_is_for() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    least = tuple(map(int, wanted.removeprefix(">=").split(".")))
    match = re.match(r"python:(\d+)\.(\d+)-", arguments()["PYTHON_IMAGE"])
    assert match is not None and tuple(map(int, match.groups())) >= least


def test_copies_come_from_earlier_stages_and_from_files_that_are_there_and_are_sent() -> None:
    earlier: set[str] = set()
    for stage in stages():
        for origin, sources in stage.copied():
            if origin:
                assert origin in earlier
            else:
                missing = [source for source in sources if not (ROOT / source).exists() or not is_sent(source)]
                assert missing == []
        earlier.add(stage.name)


def test_what_builds_the_wheel_is_copied_before_it_is_built() -> None:
    (build,) = (stage for stage in stages() if stage.name == "build")
    order = [f"{name} {value}" for name, value in build.instructions]
    wheel = next(place for place, each in enumerate(order) if "pip wheel" in each)
    hooks = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"].get("build", {}).get("hooks", {})
    needed = ["pyproject.toml", "README.md", "graphql_api/"]
    needed += [hooks["custom"].get("path", "hatch_build.py")] if "custom" in hooks else []
    copied = {path for name, value in build.instructions[:wheel] if name == "COPY" for path in value.split()}
    assert set(needed) <= copied


@pytest.mark.parametrize("path", UNWANTED)
def test_secrets_data_and_tools_are_not_sent_to_the_build(path: str) -> None:
    assert not is_sent(path)


def test_requirements_are_installed_by_their_hashes_and_nothing_is_compiled() -> None:
    runs = [value for stage in stages() for value in stage.values("RUN")]
    installing = [value for value in runs if "-r requirements.txt" in value]
    assert len(installing) == 1
    assert "--require-hashes" in installing[0] and "--only-binary :all:" in installing[0]
    assert all("--no-deps" in value for value in runs if "pip wheel" in value)


def test_image_holds_one_package_more_than_its_base_and_no_lists_of_packages(image: Stage) -> None:
    (run,) = image.values("RUN")
    match = re.search(r"apt-get install ((?:--\S+ )*)([^&]*)&&", run)
    assert match is not None
    assert match[2].split() == ["tini"]
    assert "--no-install-recommends" in match[1]
    assert "rm -rf /var/lib/apt/lists/*" in run


def test_image_runs_as_a_number_that_owns_the_data_and_nothing_else(image: Stage) -> None:
    user, group = image.value("USER").split(":")
    (run,) = image.values("RUN")
    assert int(user) >= 10_000 and int(group) >= 10_000
    assert f"--uid {user}" in run and f"--gid {group}" in run
    assert re.search(r"install --directory --owner text2image --group text2image --mode 0750 /data", run)
    assert not any("--chown" in value for value in image.values("COPY"))


def test_data_is_in_the_volume(image: Stage) -> None:
    settings = program.settings_of(image_environment())
    assert image.value("VOLUME") == f'["{settings.data_dir}"]'
    assert image.value("WORKDIR") == str(settings.data_dir)
    assert settings.images_url == "file:/data"


def test_environment_has_settings_of_the_program_and_opens_no_doors() -> None:
    environment = image_environment()
    assert program.strangers(environment) == set()
    changed = program.settings_of(environment).model_dump(exclude_defaults=True)
    assert set(changed) == {"data_dir"}


def test_image_begins_with_the_command_of_the_wheel_under_an_init(image: Stage) -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    init, separator, command = image.command("ENTRYPOINT")
    assert (init, separator) == ("tini", "--")
    assert command in scripts
    assert image.value("STOPSIGNAL") == "SIGTERM"
    path = image_environment()["PATH"].split(":")
    assert PurePosixPath(path[0]).parent == PurePosixPath(image.copied()[-1][1][0])


def test_arguments_are_those_of_a_command_and_reach_beyond_the_container(image: Stage) -> None:
    words = image.command("CMD")
    assert words[0] == "serve"
    assert program.understood(words)["host"] == "0.0.0.0"


def test_port_is_the_default_of_the_command(image: Stage) -> None:
    assert image.value("EXPOSE") == str(program.option("serve", "port").default)


def test_health_check_asks_where_the_program_answers(image: Stage) -> None:
    (code,) = (word for word in image.command("HEALTHCHECK") if "import" in word)
    port, health_port = program.option("serve", "port"), program.option("worker", "health_port")
    assert f"os.environ.get('{health_port.envvar}') or os.environ.get('{port.envvar}') or {port.default})" in code
    assert f"'{ALIVE_PATH}'" in code


def test_labels_say_what_the_project_says(image: Stage) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    labels = image.pairs("LABEL")
    assert labels["org.opencontainers.image.description"] == project["description"]
    assert labels["org.opencontainers.image.licenses"] == project["license"]
    assert labels["org.opencontainers.image.version"] == "${VERSION}"
    assert f"VERSION={__version__}" in image.values("ARG")


def test_image_can_send_traces() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["opentelemetry"]
    locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    assert {re.split(r"[><=~!\[ ]", each)[0] for each in wanted} <= locked
