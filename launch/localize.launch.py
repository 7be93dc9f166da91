# SPDX-License-Identifier: Apache-2.0
"""Localize a robot in a map.

ros2 launch xover_ros localize.launch.py map:=/path/to/map.xover
"""

from launch.actions import DeclareLaunchArgument, GroupAction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node, PushRosNamespace
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

PROFILE_VARIABLE = "FASTRTPS_DEFAULT_PROFILES_FILE"


def share(*parts):
    """Path of a file that comes with xover_ros."""
    return PathJoinSubstitution([FindPackageShare("xover_ros"), *parts])


ARGUMENTS = (
    DeclareLaunchArgument("map", description="map file: a path, or file:///absolute/path"),
    DeclareLaunchArgument("namespace", default_value="", description="namespace of the node and its relative topics"),
    DeclareLaunchArgument(
        "params_file", default_value=share("config", "localizer.yaml"), description="parameters of the node"
    ),
    DeclareLaunchArgument(
        "overrides_file",
        default_value=LaunchConfiguration("params_file"),
        description="parameters that win over those of params_file",
    ),
    DeclareLaunchArgument("use_sim_time", default_value="false", description="take the time from /clock"),
    DeclareLaunchArgument(
        "autostart", default_value="true", description="activate the node without a lifecycle manager"
    ),
    DeclareLaunchArgument("use_respawn", default_value="false", description="start the node again when it dies"),
    DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn, error or fatal"),
    DeclareLaunchArgument("rviz", default_value="false", description="show map, pose and matches in RViz"),
    DeclareLaunchArgument(
        "rgb_topic", default_value="camera/color/image_raw", description="colour images (sensor_msgs/Image)"
    ),
    DeclareLaunchArgument(
        "depth_topic",
        default_value="camera/depth/image_raw",
        description="depth registered to colour (sensor_msgs/Image)",
    ),
    DeclareLaunchArgument(
        "camera_info_topic", default_value="camera/color/camera_info", description="calibration of the colour camera"
    ),
    DeclareLaunchArgument(
        "odom_topic",
        default_value="odom",
        description="nav_msgs/Odometry; for odometry by TF only, set the parameter odom_topic to an empty string",
    ),
)

TOPICS = [
    ("rgb/image", LaunchConfiguration("rgb_topic")),
    ("rgb/image/compressed", [LaunchConfiguration("rgb_topic"), "/compressed"]),
    ("depth/image", LaunchConfiguration("depth_topic")),
    ("depth/image/compressedDepth", [LaunchConfiguration("depth_topic"), "/compressedDepth"]),
    ("rgb/camera_info", LaunchConfiguration("camera_info_topic")),
    ("odom", LaunchConfiguration("odom_topic")),
    ("/tf", "tf"),
    ("/tf_static", "tf_static"),
]


def generate_launch_description():
    """Declare the arguments, start the localizer and, if wanted, RViz."""
    use_sim_time = {"use_sim_time": LaunchConfiguration("use_sim_time")}
    localizer = Node(
        package="xover_ros",
        executable="localizer",
        name="localizer",
        output="screen",
        respawn=LaunchConfiguration("use_respawn"),
        respawn_delay=2.0,
        parameters=[
            LaunchConfiguration("params_file"),
            LaunchConfiguration("overrides_file"),
            {"map_file": ParameterValue(LaunchConfiguration("map"), value_type=str)},
            {"autostart": LaunchConfiguration("autostart")},
            use_sim_time,
        ],
        remappings=TOPICS,
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        name="rviz2",
        condition=IfCondition(LaunchConfiguration("rviz")),
        parameters=[use_sim_time],
        remappings=[("/tf", "tf"), ("/tf_static", "tf_static")],
        arguments=["-d", share("rviz", "xover.rviz")],
    )
    # images need a larger shared-memory segment than Fast DDS has by default; a profile of the user's own wins
    profile = EnvironmentVariable(PROFILE_VARIABLE, default_value=share("profiles", "fastdds_shared_memory.xml"))
    return LaunchDescription(
        [
            *ARGUMENTS,
            SetEnvironmentVariable(PROFILE_VARIABLE, profile),
            GroupAction([PushRosNamespace(LaunchConfiguration("namespace")), localizer, rviz]),
        ]
    )
