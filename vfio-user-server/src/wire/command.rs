//! Command numbers ("Commands").

use std::fmt;

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $spec:literal;)*) => {
        /// What a message asks for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Command {
            $($(#[$doc])* $name = $number,)*
        }

        impl Command {
            /// All commands, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The command with this number. 14 was removed from the protocol and is none.
            pub fn from_number(number: u16) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Its name in the specification, without the prefix.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $spec,)*
                }
            }
        }
    };
}

commands! {
    /// Negotiates version and capabilities; the first message of a connection.
    Version = 1, "VERSION";
    /// The client shares memory.
    DmaMap = 2, "DMA_MAP";
    /// The client takes memory back.
    DmaUnmap = 3, "DMA_UNMAP";
    /// What kind of device this is.
    DeviceGetInfo = 4, "DEVICE_GET_INFO";
    /// What one region is like.
    DeviceGetRegionInfo = 5, "DEVICE_GET_REGION_INFO";
    /// What may be signalled in a region without a message.
    DeviceGetRegionIoFds = 6, "DEVICE_GET_REGION_IO_FDS";
    /// What one interrupt type is like.
    DeviceGetIrqInfo = 7, "DEVICE_GET_IRQ_INFO";
    /// Connects, masks or triggers interrupts.
    DeviceSetIrqs = 8, "DEVICE_SET_IRQS";
    /// Reads a region.
    RegionRead = 9, "REGION_READ";
    /// Writes a region.
    RegionWrite = 10, "REGION_WRITE";
    /// The server reads client memory.
    DmaRead = 11, "DMA_READ";
    /// The server writes client memory.
    DmaWrite = 12, "DMA_WRITE";
    /// Resets the device.
    DeviceReset = 13, "DEVICE_RESET";
    /// Several small region writes in one message.
    RegionWriteMulti = 15, "REGION_WRITE_MULTI";
    /// Gets, sets or probes a device feature.
    DeviceFeature = 16, "DEVICE_FEATURE";
    /// Reads migration state.
    MigDataRead = 17, "MIG_DATA_READ";
    /// Writes migration state.
    MigDataWrite = 18, "MIG_DATA_WRITE";
}

impl Command {
    /// The number on the wire.
    pub fn number(self) -> u16 {
        self as u16
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
