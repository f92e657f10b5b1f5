//! The device against a model driver. Names of tests carry the paragraph of virtio 1.3.

mod bring_up;
mod config;
mod control;
mod driver;
mod function;
mod host;
mod msix;
mod negotiation;
mod notify;
mod queues;
mod random;
mod reset;
mod settings;
mod window;
