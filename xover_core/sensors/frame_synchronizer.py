# SPDX-License-Identifier: Apache-2.0
"""Pairing of colour, depth and camera info by stamp, with bounded queues and counts of what was missing."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter, deque
from dataclasses import dataclass
from enum import Enum

from xover_core.sensors.messages import ImageMessage, RawCameraInfo


class Stream(Enum):
    """The streams that make a frame."""

    COLOR = "colour"
    DEPTH = "depth"
    CAMERA_INFO = "camera info"


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedMessages:
    """What belongs to one frame."""

    color: ImageMessage
    depth: ImageMessage
    camera_info: RawCameraInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedImage:
    """An image that was given up because its partner in stream `missing` did not come."""

    stamp_ns: int
    missing: Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStep:
    """What one message led to.

    Attributes:
        matches: frames that are complete now, in order of time.
        missed: images that will never become a frame.
        has_time_jumped: the stamps went back (a looped or seeked bag); everything before is forgotten.
    """

    matches: tuple[MatchedMessages, ...] = ()
    missed: tuple[MissedImage, ...] = ()
    has_time_jumped: bool = False


class FrameSynchronizer:
    """Pairs each colour image with the depth image nearest in time, and both with a camera info.

    A pair is made when each of the two is the other's nearest (of those not given up before) and they are at most
    `max_difference_s` apart. Equal stamps pair at once; others wait until the next message of the other stream shows
    that nothing nearer comes. Frames leave in order of time. The camera info nearest in time is taken at whatever
    distance: it hardly ever changes, and some drivers publish it once.

    Work per message is linear in `queue_size`, and so is memory.
    """

    def __init__(self, *, max_difference_s: float = 0.02, queue_size: int = 10, max_jump_back_s: float = 0.2) -> None:
        """Make an empty synchronizer.

        Args:
            max_difference_s: largest difference of stamps in a pair, seconds; 0 pairs equal stamps only.
            queue_size: messages kept per stream while waiting for partners.
            max_jump_back_s: how far stamps of a stream may go back as mere disorder, seconds.
        """
        self._max_difference_ns = round(max_difference_s * 1e9)
        self._max_jump_back_ns = round(max_jump_back_s * 1e9)
        self._queue_size = queue_size
        self._queues: dict[Stream, list[ImageMessage]] = {Stream.COLOR: [], Stream.DEPTH: []}
        self._infos: deque[RawCameraInfo] = deque(maxlen=queue_size)
        self._pairs: deque[tuple[ImageMessage, ImageMessage]] = deque()
        self._newest_ns: dict[Stream, int] = {}
        self._last_paired_ns: int | None = None
        self.num_received: Counter[Stream] = Counter()
        self.num_missing: Counter[Stream] = Counter()
        self.num_out_of_order = 0

    def add_color(self, image: ImageMessage) -> SyncStep:
        """Take a colour image."""
        return self._add_image(Stream.COLOR, image)

    def add_depth(self, image: ImageMessage) -> SyncStep:
        """Take a depth image."""
        return self._add_image(Stream.DEPTH, image)

    def add_camera_info(self, info: RawCameraInfo) -> SyncStep:
        """Take a camera info."""
        has_jumped = self._note_arrival(Stream.CAMERA_INFO, info.stamp_ns)
        self._infos.append(info)
        return SyncStep(matches=self._complete_pairs(), has_time_jumped=has_jumped)

    def flush(self) -> SyncStep:
        """Decide about everything that waits, as at the end of a recording."""
        missed = self._make_pairs(is_end=True)
        matches = self._complete_pairs()
        missed += [self._give_up(color.stamp_ns, Stream.CAMERA_INFO) for color, _ in self._pairs]
        self.clear()
        return SyncStep(matches=matches, missed=tuple(missed))

    def clear(self) -> None:
        """Forget all messages but the newest camera info; counts stay."""
        for queue in self._queues.values():
            queue.clear()
        while len(self._infos) > 1:
            self._infos.popleft()
        self._pairs.clear()
        self._newest_ns.clear()
        self._last_paired_ns = None

    def _add_image(self, stream: Stream, image: ImageMessage) -> SyncStep:
        """Queue an image and make what pairs are decided by it."""
        has_jumped = self._note_arrival(stream, image.stamp_ns)
        queue = self._queues[stream]
        is_behind = self._last_paired_ns is not None and image.stamp_ns <= self._last_paired_ns
        if (stream is Stream.COLOR and is_behind) or any(other.stamp_ns == image.stamp_ns for other in queue):
            self.num_out_of_order += 1
            return SyncStep(has_time_jumped=has_jumped)
        insort(queue, image, key=_stamp)
        missed = self._make_pairs(is_end=False) + self._shorten_queues()
        matches = self._complete_pairs()
        return SyncStep(matches=matches, missed=tuple(missed), has_time_jumped=has_jumped)

    def _note_arrival(self, stream: Stream, stamp_ns: int) -> bool:
        """Count a message; when its stamp lies far back, clear everything and return True."""
        self.num_received[stream] += 1
        newest_ns = self._newest_ns.get(stream, stamp_ns)
        has_jumped = stamp_ns < newest_ns - self._max_jump_back_ns
        if has_jumped:
            self.clear()
            newest_ns = stamp_ns
        self._newest_ns[stream] = max(newest_ns, stamp_ns)
        return has_jumped

    def _make_pairs(self, *, is_end: bool) -> list[MissedImage]:
        """Move pairs out of the queues as far as they are decided; return the colour images without depth."""
        colors, depths = self._queues[Stream.COLOR], self._queues[Stream.DEPTH]
        missed: list[MissedImage] = []
        while colors:
            color, depth = colors[0], _nearest(depths, colors[0].stamp_ns)
            if not (is_end or self._is_final(color.stamp_ns, depth, Stream.DEPTH)):
                break
            if depth is None or abs(depth.stamp_ns - color.stamp_ns) > self._max_difference_ns:
                missed.append(self._give_up(colors.pop(0).stamp_ns, Stream.DEPTH))
                continue
            rival = _nearest(colors, depth.stamp_ns)
            if not (is_end or self._is_final(depth.stamp_ns, rival, Stream.COLOR)):
                break
            colors.pop(0)
            if rival is not color:
                missed.append(self._give_up(color.stamp_ns, Stream.DEPTH))
                continue
            del depths[: bisect_right(depths, depth.stamp_ns, key=_stamp)]
            self._last_paired_ns = color.stamp_ns
            self._pairs.append((color, depth))
        return missed

    def _is_final(self, stamp_ns: int, candidate: ImageMessage | None, stream: Stream) -> bool:
        """Whether no message of `stream` that is still to come can be nearer to the stamp than the candidate."""
        if candidate is not None and candidate.stamp_ns == stamp_ns:
            return True
        return self._newest_ns.get(stream, -1) >= stamp_ns

    def _shorten_queues(self) -> list[MissedImage]:
        """Give up the oldest images of queues that are too long: their partner stream is silent."""
        missed: list[MissedImage] = []
        for stream, partner in ((Stream.COLOR, Stream.DEPTH), (Stream.DEPTH, Stream.COLOR)):
            while len(self._queues[stream]) > self._queue_size:
                missed.append(self._give_up(self._queues[stream].pop(0).stamp_ns, partner))
        while len(self._pairs) > self._queue_size and not self._infos:
            missed.append(self._give_up(self._pairs.popleft()[0].stamp_ns, Stream.CAMERA_INFO))
        return missed

    def _complete_pairs(self) -> tuple[MatchedMessages, ...]:
        """Give each waiting pair the camera info nearest in time; nothing while there is none."""
        if not self._infos:
            return ()
        matches = []
        for color, depth in self._pairs:
            stamp_ns = color.stamp_ns
            info = min(self._infos, key=lambda info: abs(info.stamp_ns - stamp_ns))
            matches.append(MatchedMessages(color=color, depth=depth, camera_info=info))
        self._pairs.clear()
        return tuple(matches)

    def _give_up(self, stamp_ns: int, missing: Stream) -> MissedImage:
        """Count an image whose partner is missing."""
        self.num_missing[missing] += 1
        return MissedImage(stamp_ns=stamp_ns, missing=missing)


def _stamp(image: ImageMessage) -> int:
    """Key for sorting by time."""
    return image.stamp_ns


def _nearest(images: list[ImageMessage], stamp_ns: int) -> ImageMessage | None:
    """The image nearest in time of a sorted list, the earlier of two; None of an empty one."""
    at = bisect_left(images, stamp_ns, key=_stamp)
    return min(images[max(at - 1, 0) : at + 1], key=lambda image: abs(image.stamp_ns - stamp_ns), default=None)
