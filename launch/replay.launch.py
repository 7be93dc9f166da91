# SPDX-License-Identifier: Apache-2.0
"""Play a rosbag2 into the localizer; ends when the bag does.

    ros2 launch xover_ros replay.launch.py bag:=/path/to/bag map:=/path/to/map.xover

With `answers` what the localizer published is written down, with the time of every image.
"""

from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    GroupAction,
    IncludeLaunchDescription,
    RegisterEventHandler,
)
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, PythonExpression
from launch_ros.actions import Node, PushRosNamespace
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

# arguments of localize.launch.py may be given as well
ARGUMENTS = (
    DeclareLaunchArgument("bag", description="rosbag2 to play: its folder, or a .db3 or .mcap file"),
    DeclareLaunchArgument("map", description="map file: a path, or file:///absolute/path"),
    DeclareLaunchArgument(
        "mode", default_value="rate", description="rate: by the clock, lock_step: as fast as frames are processed"
    ),
    DeclareLaunchArgument("rate", default_value="1.0", description="speed in mode rate"),
    DeclareLaunchArgument("answers", default_value="", description="file to write the answers to; empty: none"),
    DeclareLaunchArgument(
        "namespace", default_value="", description="namespace of the nodes and their relative topics"
    ),
    DeclareLaunchArgument("use_sim_time", default_value="true", description="take the time from /clock"),
    DeclareLaunchArgument("camera_info_topic", default_value="camera/color/camera_info", description="calibration"),
)


def generate_launch_description():
    """Start the localizer, the recorder of its answers if wanted, and the player."""
    use_sim_time = {"use_sim_time": LaunchConfiguration("use_sim_time")}
    localize = PathJoinSubstitution([FindPackageShare("xover_ros"), "launch", "localize.launch.py"])
    recorder = Node(
        package="xover_ros",
        executable="demo_recorder",
        name="demo_recorder",
        output="screen",
        condition=IfCondition(PythonExpression(["'", LaunchConfiguration("answers"), "' != ''"])),
        parameters=[{"output": ParameterValue(LaunchConfiguration("answers"), value_type=str)}, use_sim_time],
        remappings=[("rgb/camera_info", LaunchConfiguration("camera_info_topic")), ("/tf_static", "tf_static")],
    )
    player = Node(
        package="xover_ros",
        executable="bag_player",
        name="bag_player",
        output="screen",
        parameters=[
            {"bag": ParameterValue(LaunchConfiguration("bag"), value_type=str)},
            {"mode": LaunchConfiguration("mode")},
            {"rate": ParameterValue(LaunchConfiguration("rate"), value_type=float)},
        ],
        remappings=[("/tf", "tf"), ("/tf_static", "tf_static")],
    )
    end = RegisterEventHandler(OnProcessExit(target_action=player, on_exit=[EmitEvent(event=Shutdown())]))
    return LaunchDescription(
        [
            *ARGUMENTS,
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(localize),
                launch_arguments=[("use_sim_time", use_sim_time["use_sim_time"])],
            ),
            GroupAction([PushRosNamespace(LaunchConfiguration("namespace")), recorder, player]),
            end,
        ]
    )
