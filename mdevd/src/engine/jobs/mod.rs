//! Jobs: commands that take long, as others see them.
//!
//! A command has a [`Ticket`] while it runs. It becomes a *job* when it is asked for as one, or when it turns out to be
//! long: it asks or tells scripts, or goes through many devices. Commands that are over at once never are, so that jobs
//! cost nothing where nothing waits. A job can be cancelled only while a [`Door`] is open: from there the command goes
//! back and leaves nothing behind, or stops between two devices and tells how far it came.

mod current;
mod registry;
mod table;
mod ticket;
mod view;

pub use current::{
    CutShort, Door, advance, awaited, cancelled, cut_short, fall_short, long, tells, waits,
};
pub use registry::{JobLimits, JobListener, JobNews, Jobs, Missed, News};
pub use ticket::{About, Ticket};
pub use view::{JobFailure, JobPage, JobState, JobView};

#[cfg(test)]
mod tests;
