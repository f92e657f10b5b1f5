//! Numbers of the specification (virtio 1.3), by its names.

/// `cfg_type` (4.1.4).
pub(super) const PCI_CAP_COMMON_CFG: u8 = 1;
pub(super) const PCI_CAP_NOTIFY_CFG: u8 = 2;
pub(super) const PCI_CAP_ISR_CFG: u8 = 3;
pub(super) const PCI_CAP_DEVICE_CFG: u8 = 4;

/// `struct virtio_pci_common_cfg` (4.1.4.3).
pub(super) const DEVICE_FEATURE_SELECT: u32 = 0;
pub(super) const DEVICE_FEATURE: u32 = 4;
pub(super) const DRIVER_FEATURE_SELECT: u32 = 8;
pub(super) const DRIVER_FEATURE: u32 = 12;
pub(super) const CONFIG_MSIX_VECTOR: u32 = 16;
pub(super) const NUM_QUEUES: u32 = 18;
pub(super) const DEVICE_STATUS: u32 = 20;
pub(super) const CONFIG_GENERATION: u32 = 21;
pub(super) const QUEUE_SELECT: u32 = 22;
pub(super) const QUEUE_SIZE: u32 = 24;
pub(super) const QUEUE_MSIX_VECTOR: u32 = 26;
pub(super) const QUEUE_ENABLE: u32 = 28;
pub(super) const QUEUE_NOTIFY_OFF: u32 = 30;
pub(super) const QUEUE_DESC: u32 = 32;
pub(super) const QUEUE_DRIVER: u32 = 40;
pub(super) const QUEUE_DEVICE: u32 = 48;
pub(super) const QUEUE_RESET: u32 = 58;
/// Its bytes up to and with `queue_reset`.
pub(super) const COMMON_LEN: u32 = 60;

/// `VIRTIO_MSI_NO_VECTOR`.
pub(super) const NO_VECTOR: u16 = 0xffff;

/// `device_status` (2.1).
pub(super) const ACKNOWLEDGE: u8 = 1;
pub(super) const DRIVER: u8 = 2;
pub(super) const DRIVER_OK: u8 = 4;
pub(super) const FEATURES_OK: u8 = 8;
pub(super) const DEVICE_NEEDS_RESET: u8 = 64;
pub(super) const FAILED: u8 = 128;

/// `struct virtio_net_config` (5.1.4).
pub(super) const NET_MAC: u32 = 0;
pub(super) const NET_STATUS: u32 = 6;
pub(super) const NET_MAX_PAIRS: u32 = 8;
pub(super) const NET_MTU: u32 = 10;
/// Its bytes up to and with `mtu`.
pub(super) const NET_LEN: u32 = 12;
/// `VIRTIO_NET_S_LINK_UP`.
pub(super) const NET_LINK_UP: u16 = 1;

/// Descriptor flags (2.7.5).
pub(super) const DESC_NEXT: u16 = 1;
pub(super) const DESC_WRITE: u16 = 2;
/// `VIRTQ_AVAIL_F_NO_INTERRUPT` (2.7.6), `VIRTQ_USED_F_NO_NOTIFY` (2.7.8).
pub(super) const AVAIL_NO_INTERRUPT: u16 = 1;
pub(super) const USED_NO_NOTIFY: u16 = 1;

/// Control queue (5.1.6.5).
pub(super) const CTRL_RX: u8 = 0;
pub(super) const CTRL_RX_PROMISC: u8 = 0;
pub(super) const CTRL_MQ: u8 = 4;
pub(super) const CTRL_MQ_VQ_PAIRS_SET: u8 = 0;
pub(super) const CTRL_OK: u8 = 0;
