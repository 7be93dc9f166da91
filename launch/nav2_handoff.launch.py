# SPDX-License-Identifier: Apache-2.0
"""Find the robot's place for another localizer, such as Nav2's AMCL, and tell it by `initialpose`.

    ros2 launch xover_ros nav2_handoff.launch.py map:=/path/to/map.xover

Without another localizer take localize.launch.py: it publishes map -> odom itself, and Nav2 needs no AMCL.
"""

from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node, PushRosNamespace, SetRemap
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

# arguments of localize.launch.py may be given as well
ARGUMENTS = (
    DeclareLaunchArgument("map", description="map file: a path, or file:///absolute/path"),
    DeclareLaunchArgument(
        "namespace", default_value="", description="namespace of the nodes and their relative topics"
    ),
    DeclareLaunchArgument("use_sim_time", default_value="false", description="take the time from /clock"),
    DeclareLaunchArgument(
        "initialpose_topic", default_value="initialpose", description="where the other localizer is told the pose"
    ),
)


def generate_launch_description():
    """Start the localizer, which keeps the transform to itself, and the node that hands its pose over."""
    localize = PathJoinSubstitution([FindPackageShare("xover_ros"), "launch", "localize.launch.py"])
    overrides = PathJoinSubstitution([FindPackageShare("xover_ros"), "config", "nav2_handoff.yaml"])
    localizer = GroupAction(
        [
            # what is handed over must not come back as a hint
            SetRemap(src="initialpose", dst="localizer/initialpose"),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(localize), launch_arguments=[("overrides_file", overrides)]
            ),
        ]
    )
    handoff = Node(
        package="xover_ros",
        executable="pose_handoff",
        name="pose_handoff",
        output="screen",
        parameters=[{"use_sim_time": LaunchConfiguration("use_sim_time")}],
        remappings=[("initialpose", LaunchConfiguration("initialpose_topic"))],
    )
    return LaunchDescription(
        [*ARGUMENTS, localizer, GroupAction([PushRosNamespace(LaunchConfiguration("namespace")), handoff])]
    )
