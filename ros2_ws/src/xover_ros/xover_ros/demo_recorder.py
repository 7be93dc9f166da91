# SPDX-License-Identifier: Apache-2.0
"""Writes down what the localizer answers, with the time of every image, as JSON lines; `xover demo` reads them.

One object a line, told apart by `kind`:
  image       {stamp_ns, received_ns}: a camera info arrived, and with it its image
  state       {stamp_ns, received_ns, state, reason, probability}
  pose        {stamp_ns, pose}
  hypotheses  {stamp_ns, hypotheses: [{pose, probability, num_inliers, keyframe_id}]}, best first
  transform   {parent, child, pose}: a static one
Poses are of the robot's base in the map, as `x y z qx qy qz qw`. `received_ns` is of the monotonic clock. Parameter
`output` names the file.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose, PoseWithCovarianceStamped
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo
from tf2_msgs.msg import TFMessage
from xover_msgs.msg import LocalizationState, PoseHypothesisArray

from xover_core.evaluation.answers import pose_values
from xover_ros.message_conversions import pose_matrix, stamp_to_ns, transform_matrix
from xover_ros.qos import latched, reliable, sensor_input
from xover_ros.shared_memory import use_shared_memory_profile

_QUEUE_SIZE = 100


class DemoRecorder(Node):
    """Subscribes to the answers and to the camera info, and writes a line for each message."""

    def __init__(self) -> None:
        super().__init__("demo_recorder")
        self.output = Path(self.declare_parameter("output", "answers.jsonl").value)

    def record_to(self, file: TextIO) -> None:
        """Subscribe, and write to a file from now on."""
        self._file = file
        queue = sensor_input("best_effort", _QUEUE_SIZE)
        self.create_subscription(CameraInfo, "rgb/camera_info", self._on_camera_info, queue)
        self.create_subscription(LocalizationState, "state", self._on_state, reliable(_QUEUE_SIZE))
        self.create_subscription(PoseWithCovarianceStamped, "pose", self._on_pose, reliable(_QUEUE_SIZE))
        self.create_subscription(PoseHypothesisArray, "hypotheses", self._on_hypotheses, reliable(_QUEUE_SIZE))
        self.create_subscription(TFMessage, "/tf_static", self._on_static_transforms, latched(_QUEUE_SIZE))

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._write("image", stamp=message.header.stamp, received_ns=time.monotonic_ns())

    def _on_state(self, message: LocalizationState) -> None:
        answer = {"state": message.state, "reason": message.reason, "probability": message.probability}
        self._write("state", stamp=message.header.stamp, received_ns=time.monotonic_ns(), **answer)

    def _on_pose(self, message: PoseWithCovarianceStamped) -> None:
        self._write("pose", stamp=message.header.stamp, pose=_values(message.pose.pose))

    def _on_hypotheses(self, message: PoseHypothesisArray) -> None:
        hypotheses = [
            {
                "pose": _values(hypothesis.pose.pose),
                "probability": hypothesis.probability,
                "num_inliers": hypothesis.num_inliers,
                "keyframe_id": hypothesis.keyframe_id,
            }
            for hypothesis in message.hypotheses
        ]
        self._write("hypotheses", stamp=message.header.stamp, hypotheses=hypotheses)

    def _on_static_transforms(self, message: TFMessage) -> None:
        for transform in message.transforms:
            pose = pose_values(transform_matrix(transform.transform)).tolist()
            frames = {"parent": transform.header.frame_id, "child": transform.child_frame_id}
            self._write("transform", stamp=transform.header.stamp, **frames, pose=pose)

    def _write(self, kind: str, *, stamp: Time, **values: Any) -> None:
        self._file.write(json.dumps({"kind": kind, "stamp_ns": stamp_to_ns(stamp), **values}) + "\n")


def _values(pose: Pose) -> list[float]:
    """Seven numbers `x y z qx qy qz qw`."""
    return pose_values(pose_matrix(pose)).tolist()


def main() -> int:
    """Record until interrupted."""
    use_shared_memory_profile()
    rclpy.init()
    node = DemoRecorder()
    try:
        with node.output.open("w", encoding="utf-8") as file:
            node.record_to(file)
            rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
