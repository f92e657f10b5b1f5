//! A device in 60 lines.
fn main() {}
