//! cvfctl
fn main() {}
