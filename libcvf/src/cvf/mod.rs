//! cvf
