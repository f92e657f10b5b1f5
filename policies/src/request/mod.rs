//! Requests of a guest as an operator types them: `mac=52:54:00:12:34:56`, `queue-pairs=8`.

mod describe;
mod lists;
mod parse;

pub use describe::describe;
pub use parse::{FORMS, Form, ParseRequestError, parse};

#[cfg(test)]
mod tests;
