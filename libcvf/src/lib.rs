//! libcvf
