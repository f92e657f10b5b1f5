//! The device against a model driver. Names of tests carry the paragraph of virtio 1.3.

mod bring_up;
mod coalescing;
mod config;
mod control;
mod driver;
mod function;
mod host;
mod msix;
mod multiqueue;
mod negotiation;
mod notify;
mod queues;
mod random;
mod reset;
mod settings;
mod statistics;
mod window;
