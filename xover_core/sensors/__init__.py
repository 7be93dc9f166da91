# SPDX-License-Identifier: Apache-2.0
"""From raw sensor streams to `RgbdFrame`: decoding, validation, pairing by stamp."""
