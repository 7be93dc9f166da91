# SPDX-License-Identifier: Apache-2.0
"""The colcon workspace, as a ROS user builds it: out of the source tree, sourced, run, tested."""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = REPOSITORY / "ros2_ws" / "src"
PACKAGES = {"xover_core": "ament_python", "xover_msgs": "ament_cmake", "xover_ros": "ament_python"}
EXECUTABLES = {"localizer", "mapper", "bag_player", "demo_recorder", "health", "pose_handoff"}
BIN = Path(sys.executable).parent
NUM_DOMAINS = 100

pytestmark = pytest.mark.ros


def _environment() -> dict[str, str]:
    """Environment in which colcon finds ROS: a sourced one, or the wheels of this virtual environment."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    environment["ROS_DOMAIN_ID"] = str(1 + os.getpid() % NUM_DOMAINS)
    environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    if "ROS_DISTRO" not in environment:
        environment |= {"VIRTUAL_ENV": sys.prefix, "AMENT_PREFIX_PATH": sys.prefix, "CMAKE_PREFIX_PATH": sys.prefix}
    return environment


def _run(command: str, folder: Path, timeout_s: float = 240.0) -> str:
    """Run a shell command in a folder; returns its output."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-6000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `build` and `install` of the workspace."""
    if shutil.which("colcon", path=f"{BIN}{os.pathsep}{os.environ['PATH']}") is None:
        pytest.skip("needs colcon; run `make env`, or install colcon-common-extensions")
    pytest.importorskip("rclpy", reason="needs ROS 2; run `make env`, or source one")
    folder = tmp_path_factory.mktemp("workspace")
    generator = "-GNinja" if shutil.which("ninja", path=_environment()["PATH"]) else ""
    _run(
        f"colcon --log-base log build --symlink-install --base-paths {SOURCE}"
        f" --cmake-args {generator} -DBUILD_TESTING=OFF",
        folder,
    )
    return folder


def test_colcon_finds_the_three_packages_from_the_root_of_the_repository(workspace: Path) -> None:
    output = _run(f"colcon --log-base log list --base-paths {REPOSITORY}", workspace)
    assert {line.split()[0] for line in output.splitlines()} == PACKAGES.keys()


def test_executables_launch_files_and_configuration_are_installed(workspace: Path) -> None:
    package = workspace / "install" / "xover_ros"
    assert {path.name for path in (package / "lib" / "xover_ros").iterdir()} == EXECUTABLES
    share = package / "share" / "xover_ros"
    for kind, source in (("launch", "*.launch.py"), ("config", "*.yaml"), ("rviz", "*.rviz")):
        assert {p.name for p in (share / kind).iterdir()} == {
            p.name for p in (SOURCE / "xover_ros" / kind).glob(source)
        }
    assert (share / "profiles" / "fastdds_shared_memory.xml").is_file()


def test_the_sourced_workspace_is_what_python_sees(workspace: Path) -> None:
    code = (
        "import xover_core, xover_msgs, xover_ros; print(xover_core.__file__, xover_msgs.__file__, xover_ros.__file__)"
    )
    output = _run(f". install/setup.bash && python -c '{code}'", workspace)
    core, messages, nodes = (Path(path) for path in output.split())
    assert messages.is_relative_to(workspace / "install")
    # links to the source, so that an edit is seen without building again
    assert core.resolve() == REPOSITORY / "xover_core" / "__init__.py"
    assert nodes.resolve() == SOURCE / "xover_ros" / "xover_ros" / "__init__.py"


def test_an_installed_node_runs_and_ends(workspace: Path) -> None:
    """Without a map it stays unconfigured, which it says, and waits."""
    node = "install/xover_ros/lib/xover_ros/localizer"
    parameters = f"--params-file {SOURCE}/xover_ros/config/localizer.yaml"
    process = subprocess.Popen(
        ["bash", "-c", f". install/setup.bash && exec {node} --ros-args {parameters}"],
        cwd=workspace,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    assert "cannot configure: map: no file is named" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert (process.returncode, output) == (0, "")


def test_colcon_test_runs_the_tests_of_the_nodes(workspace: Path) -> None:
    """Only some of them: all are run by pytest at the top anyway."""
    chosen = "test_worker or test_update_gate or test_message_conversions"
    command = (
        f"colcon --log-base log test --base-paths {SOURCE} --packages-select xover_ros --pytest-args -k '{chosen}'"
    )
    _run(f". install/setup.bash && {command}", workspace)
    summary = _run("colcon --log-base log test-result --all", workspace)
    counts = re.search(r"Summary: (\d+) tests, (\d+) errors, (\d+) failures", summary)
    assert counts is not None, summary
    assert int(counts.group(1)) > 10
    assert counts.group(2, 3) == ("0", "0")


@pytest.mark.parametrize("package", PACKAGES)
def test_manifests_are_complete(package: str) -> None:
    """Colcon takes a package with an invalid manifest for a plain Python one without a word."""
    root = ElementTree.parse(SOURCE / package / "package.xml").getroot()
    assert root.get("format") == "3"
    assert root.findtext("name") == package
    assert root.findtext("license") == "Apache-2.0"
    assert root.findtext("export/build_type") == PACKAGES[package]
    maintainer = root.find("maintainer")
    assert maintainer is not None
    assert re.fullmatch(r"[^@\s]+@[^@\s]+\.\w+", maintainer.get("email", ""))


def test_the_manifest_names_what_the_nodes_import() -> None:
    """Every ROS package that is imported is a dependency, or rosdep would not install it."""
    root = ElementTree.parse(SOURCE / "xover_ros" / "package.xml").getroot()
    declared = {element.text for kind in ("depend", "exec_depend") for element in root.iter(kind)}
    sources = "\n".join(p.read_text(encoding="utf-8") for p in (SOURCE / "xover_ros" / "xover_ros").glob("*.py"))
    imported = set(re.findall(r"^from (\w+)\.(?:msg|srv) import", sources, re.MULTILINE)) | {"rclpy", "xover_core"}
    assert imported <= declared, imported - declared


def test_colcon_and_pip_install_the_same_data() -> None:
    """Models, presets and templates; a workspace built without links has no others than these."""
    line = re.search(r"^xover_core = (\[.*\])$", (REPOSITORY / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert line is not None
    tree = ast.parse((SOURCE / "xover_core" / "setup.py").read_text(encoding="utf-8"))
    lists = [node.value for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.List)]
    assert [ast.literal_eval(one) for one in lists] == [ast.literal_eval(line.group(1))]


def test_every_message_file_is_built() -> None:
    folder = SOURCE / "xover_msgs"
    files = {str(path.relative_to(folder)) for kind in ("msg", "srv") for path in folder.glob(f"{kind}/*.{kind}")}
    built = set(re.findall(r'"((?:msg|srv)/\w+\.\w+)"', (folder / "CMakeLists.txt").read_text(encoding="utf-8")))
    assert files == built
