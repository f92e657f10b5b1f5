//! Frames built by hand and a slow checksum, for the tests of this module.
