//! cargo lab
fn main() {}
