# SPDX-License-Identifier: Apache-2.0
"""Lets colcon build the library, whose real files stand at the top of the repository; pip uses pyproject.toml there."""

from setuptools import find_packages, setup

NAME = "xover_core"
# as in pyproject.toml; a test compares them
DATA = [
    "py.typed",
    "presets/*.yaml",
    "evaluation/templates/*.html",
    "resources/models/*.yaml",
    "resources/models/*.safetensors",
    "resources/models/*.onnx",
]

setup(
    name=NAME,
    version="0.1.0",
    description="Online coarse relocalization of RGB-D robots",
    author="xover maintainers",
    maintainer="xover maintainers",
    maintainer_email="maintainers@xover.example.org",
    license="Apache-2.0",
    packages=find_packages(include=["xover_core", "xover_core.*"]),
    package_data={NAME: DATA},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    zip_safe=False,
)
