//! The device against a model of its driver. Lengths and contents are those of virtchnl as Linux and the
//! physical functions' drivers have it.

mod bring_up;
mod driver;
mod filters;
mod function;
mod host;
mod interrupts;
mod mapped;
mod messages;
mod operator;
mod queues;
mod random;
mod registers;
mod reset;
mod rss;
mod vlans;
