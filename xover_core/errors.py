# SPDX-License-Identifier: Apache-2.0
"""Exceptions: one root, one subclass for each thing a user can mend.

A message is one sentence that says what is wrong, where, what was expected, what was found, and what to do.
Not being localized is no error; it is a `LocalizationResult`.
"""


class XoverError(Exception):
    """Root of every error that xover raises on purpose."""


class ConfigError(XoverError):
    """A setting is unknown, of the wrong type, or out of range."""


class GeometryError(XoverError):
    """An array that should be a pose, camera or point set is not one."""


class SensorDataError(XoverError):
    """An image, depth map, camera info, pose or stamp cannot be used."""


class DatasetError(XoverError):
    """A recording is missing, incomplete, or not in the layout it claims."""


class MapFormatError(XoverError):
    """A map file is missing, damaged, of another version, or made by another model."""


class MapChangedError(MapFormatError):
    """A large map, of which parts are read when they are needed, has been changed since it was opened."""


class ModelError(XoverError):
    """A model is unknown, its weights are missing, or their checksum is wrong."""


class BackendUnavailableError(XoverError):
    """An optional library that the user asked for is not installed or cannot run here."""


class TrainingError(XoverError):
    """Arguments of a loss or sampler do not fit together, or a training run cannot start or go on."""
