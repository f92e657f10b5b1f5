//! What the server offers, and what came of it.

use super::refused::Refused;
use crate::limits;
use crate::wire::{Capabilities, VersionBody};

/// What a server offers its clients. Values out of range are brought into range.
#[derive(Clone, Debug)]
pub struct Config {
    /// File descriptors accepted with one message; 1 to [`limits::SCM_MAX_FD`].
    pub max_msg_fds: u32,
    /// Bytes of data in one message; 4096 to [`limits::MAX_DATA_XFER`].
    pub max_data_xfer_size: u32,
    /// DMA maps that may exist at once.
    pub max_dma_maps: u32,
    /// Page sizes of DMA maps, or'ed together. Maps must be whole pages of the smallest.
    pub pgsizes: u64,
    /// Bytes of one DMA map.
    pub max_dma_map_size: u64,
    /// Whether REGION_WRITE_MULTI is offered.
    pub write_multiple: bool,
    /// Whether SET_IRQS is refused if one of its fds is not an eventfd. Signalling other files can
    /// block.
    pub require_eventfds: bool,
    /// Requests taken from the socket and not yet answered; reading stops there.
    pub max_requests: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_msg_fds: limits::DEFAULT_MAX_MSG_FDS,
            max_data_xfer_size: limits::DEFAULT_MAX_DATA_XFER,
            max_dma_maps: limits::DEFAULT_MAX_DMA_MAPS,
            pgsizes: limits::DEFAULT_PGSIZES,
            max_dma_map_size: limits::MAX_DMA_MAP_SIZE,
            write_multiple: true,
            require_eventfds: true,
            max_requests: limits::DEFAULT_MAX_REQUESTS,
        }
    }
}

impl Config {
    pub(super) fn clamped(mut self) -> Self {
        self.max_msg_fds = self.max_msg_fds.clamp(1, limits::SCM_MAX_FD as u32);
        self.max_data_xfer_size = self.max_data_xfer_size.clamp(4096, limits::MAX_DATA_XFER);
        self.max_dma_maps = self.max_dma_maps.max(1);
        if self.pgsizes == 0 {
            self.pgsizes = limits::DEFAULT_PGSIZES;
        }
        self.max_requests = self.max_requests.max(1);
        self
    }
}

/// What client and server agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// Minor protocol version.
    pub minor: u16,
    /// File descriptors the client can receive in one message.
    pub client_max_msg_fds: u32,
    /// Bytes of data the client accepts in one message.
    pub client_max_data_xfer_size: u64,
    /// Bytes of data the server accepts in one message.
    pub max_data_xfer_size: u32,
    /// DMA maps that may exist at once.
    pub max_dma_maps: u32,
    /// Page sizes of DMA maps, or'ed together.
    pub pgsizes: u64,
    /// REGION_WRITE_MULTI may be sent.
    pub write_multiple: bool,
}

impl Negotiated {
    /// The smallest page size of DMA maps.
    pub fn page_size(&self) -> u64 {
        1 << self.pgsizes.trailing_zeros().min(63)
    }
}

/// Compares a client's proposal with what is offered; returns the agreement and what to say of it.
///
/// Numbers state the server's own limits and are always sent. What needs both sides is sent only if
/// the client proposed it; `twin_socket` never is.
pub(super) fn negotiate(
    config: &Config,
    migration: bool,
    client: &VersionBody,
) -> Result<(Negotiated, Capabilities), Refused> {
    let caps = &client.capabilities;
    let client_pgsizes = caps.pgsizes.unwrap_or(limits::DEFAULT_PGSIZES);
    let pgsizes = client_pgsizes & config.pgsizes;
    if pgsizes == 0 {
        return Err(Refused::PageSizes {
            client: client_pgsizes,
            ours: config.pgsizes,
        });
    }
    let client_maps = caps
        .max_dma_maps
        .unwrap_or(u64::from(limits::DEFAULT_MAX_DMA_MAPS));
    let max_dma_maps = u32::try_from(client_maps)
        .map_or(config.max_dma_maps, |maps| maps.min(config.max_dma_maps));
    let negotiated = Negotiated {
        minor: client.minor.min(limits::VERSION_MINOR),
        client_max_msg_fds: caps.max_msg_fds.unwrap_or(limits::PEER_DEFAULT_MSG_FDS),
        client_max_data_xfer_size: caps
            .max_data_xfer_size
            .unwrap_or(limits::PEER_DEFAULT_DATA_XFER),
        max_data_xfer_size: config.max_data_xfer_size,
        max_dma_maps,
        pgsizes,
        write_multiple: config.write_multiple && caps.write_multiple == Some(true),
    };
    let reply = Capabilities {
        max_msg_fds: Some(config.max_msg_fds),
        max_data_xfer_size: Some(u64::from(config.max_data_xfer_size)),
        max_dma_maps: Some(u64::from(max_dma_maps)),
        pgsizes: Some(pgsizes),
        write_multiple: negotiated.write_multiple.then_some(true),
        migration: caps.migration.filter(|_| migration),
        twin_socket: None,
    };
    Ok((negotiated, reply))
}
