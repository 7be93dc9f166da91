# SPDX-License-Identifier: Apache-2.0
"""Build a map from posed frames.

ros2 launch xover_ros map.launch.py map:=/path/to/new_map.xover
"""

from launch.actions import DeclareLaunchArgument, GroupAction, SetEnvironmentVariable
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node, PushRosNamespace
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

PROFILE_VARIABLE = "FASTRTPS_DEFAULT_PROFILES_FILE"
# finishing a large map takes its time, and what is cut off has to be done again
FINISH_TIMEOUT_S = "120"


def share(*parts):
    """Path of a file that comes with xover_ros."""
    return PathJoinSubstitution([FindPackageShare("xover_ros"), *parts])


ARGUMENTS = (
    DeclareLaunchArgument("map", description="map file to write: a path, or file:///absolute/path"),
    DeclareLaunchArgument("append", default_value="false", description="go on with the map file if there is one"),
    DeclareLaunchArgument("namespace", default_value="", description="namespace of the node and its relative topics"),
    DeclareLaunchArgument(
        "params_file", default_value=share("config", "mapper.yaml"), description="parameters of the node"
    ),
    DeclareLaunchArgument("use_sim_time", default_value="false", description="take the time from /clock"),
    DeclareLaunchArgument(
        "autostart", default_value="true", description="activate the node without a lifecycle manager"
    ),
    DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn, error or fatal"),
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
        "pose_topic",
        default_value="pose_in",
        description="geometry_msgs/PoseStamped of the robot in the map; for poses by TF only, set the parameter"
        " pose_topic to an empty string",
    ),
)

TOPICS = [
    ("rgb/image", LaunchConfiguration("rgb_topic")),
    ("rgb/image/compressed", [LaunchConfiguration("rgb_topic"), "/compressed"]),
    ("depth/image", LaunchConfiguration("depth_topic")),
    ("depth/image/compressedDepth", [LaunchConfiguration("depth_topic"), "/compressedDepth"]),
    ("rgb/camera_info", LaunchConfiguration("camera_info_topic")),
    ("pose_in", LaunchConfiguration("pose_topic")),
    ("/tf", "tf"),
    ("/tf_static", "tf_static"),
]


def generate_launch_description():
    """Declare the arguments and start the mapper."""
    mapper = Node(
        package="xover_ros",
        executable="mapper",
        name="mapper",
        output="screen",
        sigterm_timeout=FINISH_TIMEOUT_S,
        sigkill_timeout=FINISH_TIMEOUT_S,
        parameters=[
            LaunchConfiguration("params_file"),
            {"map_file": ParameterValue(LaunchConfiguration("map"), value_type=str)},
            {"append": LaunchConfiguration("append")},
            {"autostart": LaunchConfiguration("autostart")},
            {"use_sim_time": LaunchConfiguration("use_sim_time")},
        ],
        remappings=TOPICS,
        arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
    )
    # images need a larger shared-memory segment than Fast DDS has by default; a profile of the user's own wins
    profile = EnvironmentVariable(PROFILE_VARIABLE, default_value=share("profiles", "fastdds_shared_memory.xml"))
    return LaunchDescription(
        [
            *ARGUMENTS,
            SetEnvironmentVariable(PROFILE_VARIABLE, profile),
            GroupAction([PushRosNamespace(LaunchConfiguration("namespace")), mapper]),
        ]
    )
