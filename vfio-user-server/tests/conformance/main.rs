//! The conformance suite: one file a command, every case on every transport, with a client that can
//! send anything. Case names say what the specification or a client in the field demands.

mod client;
mod device;
mod server;
#[allow(unsafe_code)]
mod sys;

mod device_feature;
mod disconnect;
mod dma_map;
mod dma_transfer;
mod dma_unmap;
mod get_info;
mod io_fds;
mod irq_info;
mod migration;
mod negotiate;
mod order;
mod pressure;
mod region_access;
mod region_info;
mod request_errors;
mod reset;
mod set_irqs;
mod write_multi;
