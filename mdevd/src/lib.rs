//! The daemon as a library: engine, session, bus, store, configuration.

pub mod bus;
pub mod callouts;
pub mod cli;
pub mod config;
pub mod crash;
pub mod daemon;
pub mod device;
pub mod engine;
pub mod limits;
pub mod logs;
pub mod metrics;
pub mod names;
pub mod nearest;
pub mod pcapng;
pub mod profiles;
pub mod service;
pub mod session;
pub mod store;
pub mod text;
pub mod unique;
