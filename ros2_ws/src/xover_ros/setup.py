# SPDX-License-Identifier: Apache-2.0
"""Installs the nodes, launch files and parameter files of xover (colcon and pip alike)."""

from glob import glob

from setuptools import setup

NAME = "xover_ros"

setup(
    name=NAME,
    version="0.1.0",
    description="ROS 2 nodes of xover",
    author="xover maintainers",
    maintainer="xover maintainers",
    maintainer_email="maintainers@xover.example.org",
    license="Apache-2.0",
    packages=[NAME],
    package_data={NAME: ["profiles/*.xml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", sorted(glob("launch/*.launch.py"))),
        (f"share/{NAME}/config", sorted(glob("config/*.yaml"))),
        (f"share/{NAME}/profiles", sorted(glob("xover_ros/profiles/*.xml"))),
        (f"share/{NAME}/rviz", sorted(glob("rviz/*.rviz"))),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "localizer = xover_ros.localizer_node:main",
            "mapper = xover_ros.mapper_node:main",
            "bag_player = xover_ros.bag_player:main",
            "demo_recorder = xover_ros.demo_recorder:main",
            "health = xover_ros.health:main",
            "pose_handoff = xover_ros.pose_handoff:main",
        ],
    },
)
