# SPDX-License-Identifier: Apache-2.0
"""Layout of the map file: one SQLite database. docs/map-format.md explains every column."""

from __future__ import annotations

APPLICATION_ID = 0x786F7672  # "xovr", read by file(1) and by `PRAGMA application_id`
SCHEMA_VERSION = 3

# Maps from this version on can be opened; older tables are completed when a map is opened for writing.
OLDEST_SCHEMA_VERSION = 1
# From this version on there are the tables of `SCENE_STATEMENTS`.
SCENE_SCHEMA_VERSION = 2
# From this version on there are the tables of `SIGNATURE_STATEMENTS`.
SIGNATURE_SCHEMA_VERSION = 3

# Role of the model that made the patch descriptors, and of the one that made views and embeddings of scenes.
PATCH_MODEL_ROLE = "patch"
SCENE_MODEL_ROLE = "scene"

# In every table the small columns come first: SQLite then reads them without touching the pages of the blobs.
CREATE_STATEMENTS = (
    """
    CREATE TABLE header (
        singleton INTEGER PRIMARY KEY CHECK (singleton = 1),
        map_id TEXT NOT NULL,
        revision INTEGER NOT NULL,
        frame_id TEXT NOT NULL,
        created_ns INTEGER NOT NULL,
        updated_ns INTEGER NOT NULL,
        xover_version TEXT NOT NULL,
        mapping_session TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE model (
        role TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        checksum TEXT NOT NULL,
        descriptor_dim INTEGER NOT NULL,
        radii BLOB NOT NULL,
        site_weights BLOB NOT NULL
    )
    """,
    """
    CREATE TABLE scene (
        scene_id INTEGER PRIMARY KEY,
        center_x REAL NOT NULL,
        center_y REAL NOT NULL,
        center_z REAL NOT NULL,
        building TEXT NOT NULL DEFAULT '',
        floor TEXT NOT NULL DEFAULT '',
        room TEXT NOT NULL DEFAULT ''
    )
    """,
    """
    CREATE TABLE camera (
        camera_id INTEGER PRIMARY KEY,
        fx REAL NOT NULL,
        fy REAL NOT NULL,
        cx REAL NOT NULL,
        cy REAL NOT NULL,
        width INTEGER NOT NULL,
        height INTEGER NOT NULL,
        grid_rows INTEGER NOT NULL,
        grid_cols INTEGER NOT NULL,
        keypoints_px BLOB NOT NULL
    )
    """,
    """
    CREATE TABLE keyframe (
        keyframe_id INTEGER PRIMARY KEY AUTOINCREMENT,
        scene_id INTEGER NOT NULL REFERENCES scene,
        camera_id INTEGER NOT NULL REFERENCES camera,
        stamp_ns INTEGER NOT NULL,
        crc32 INTEGER NOT NULL,
        point_step REAL NOT NULL,
        T_map_camera BLOB NOT NULL,
        points BLOB NOT NULL,
        thumbnail_jpeg BLOB NOT NULL
    )
    """,
    """
    CREATE TABLE descriptors (
        keyframe_id INTEGER NOT NULL REFERENCES keyframe ON DELETE CASCADE,
        scale INTEGER NOT NULL,
        crc32 INTEGER NOT NULL,
        float16 BLOB NOT NULL,
        UNIQUE (keyframe_id, scale)
    )
    """,
    """
    CREATE TABLE landmark_block (
        scene_id INTEGER PRIMARY KEY REFERENCES scene ON DELETE CASCADE,
        num_landmarks INTEGER NOT NULL,
        radius REAL NOT NULL,
        crc32 INTEGER NOT NULL,
        landmark_ids BLOB NOT NULL,
        positions_map BLOB NOT NULL,
        embeddings BLOB NOT NULL,
        scores BLOB NOT NULL,
        observation_offsets BLOB NOT NULL,
        observations BLOB NOT NULL
    )
    """,
)

SCENE_STATEMENTS = (
    """
    CREATE TABLE view_description (
        keyframe_id INTEGER PRIMARY KEY REFERENCES keyframe ON DELETE CASCADE,
        crc32 INTEGER NOT NULL,
        float16 BLOB NOT NULL
    )
    """,
    """
    CREATE TABLE scene_embedding (
        scene_id INTEGER NOT NULL REFERENCES scene ON DELETE CASCADE,
        modality TEXT NOT NULL,
        num_sources INTEGER NOT NULL,
        crc32 INTEGER NOT NULL,
        float16 BLOB NOT NULL,
        UNIQUE (scene_id, modality)
    )
    """,
    """
    CREATE TABLE scene_source (
        source_id INTEGER PRIMARY KEY,
        scene_id INTEGER NOT NULL REFERENCES scene ON DELETE CASCADE,
        modality TEXT NOT NULL,
        pixels_per_m REAL,
        crc32 INTEGER NOT NULL,
        content BLOB NOT NULL
    )
    """,
)

# The short vectors of all keyframes lie close together: they are read when a map is opened, the others one by one.
SIGNATURE_STATEMENTS = (
    """
    CREATE TABLE vocabulary (
        singleton INTEGER PRIMARY KEY CHECK (singleton = 1),
        num_words INTEGER NOT NULL,
        crc32 INTEGER NOT NULL,
        words BLOB NOT NULL,
        projection BLOB NOT NULL
    )
    """,
    """
    CREATE TABLE keyframe_signature (
        keyframe_id INTEGER PRIMARY KEY REFERENCES keyframe ON DELETE CASCADE,
        descriptors_crc32 INTEGER NOT NULL,
        crc32 INTEGER NOT NULL,
        float16 BLOB NOT NULL
    )
    """,
    """
    CREATE TABLE keyframe_vlad (
        keyframe_id INTEGER PRIMARY KEY REFERENCES keyframe ON DELETE CASCADE,
        crc32 INTEGER NOT NULL,
        float16 BLOB NOT NULL
    )
    """,
)
