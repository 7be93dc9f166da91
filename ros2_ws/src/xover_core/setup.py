# SPDX-License-Identifier: Apache-2.0
"""Lets colcon build the library, whose real files stand at the top of the repository; pip uses pyproject.toml there."""

from setuptools import find_packages, setup

NAME = "xover_core"

setup(
    name=NAME,
    version="0.1.0",
    description="Online coarse relocalization of RGB-D robots",
    author="xover maintainers",
    maintainer="xover maintainers",
    maintainer_email="maintainers@xover.example.org",
    license="Apache-2.0",
    packages=find_packages(include=["xover_core", "xover_core.*"]),
    include_package_data=True,
    package_data={"": ["*.yaml", "*.sql", "*.json", "*.html", "*.onnx", "*.safetensors", "py.typed"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    zip_safe=False,
)
