//! mdevd
fn main() {}
