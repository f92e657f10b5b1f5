//! The device status register (2.1) and feature negotiation (2.2, 3.1).

use super::super::{Host, RingFormats};
use super::features::{bits, broken_dependency, feature_names};
use super::state::{State, status};
use crate::control::ControlRequest;

impl State {
    /// The status register as the driver reads it.
    pub(super) fn read_status(&self, host: &dyn Host) -> u8 {
        let needs_reset = if host.needs_reset() {
            status::NEEDS_RESET
        } else {
            0
        };
        self.status | needs_reset
    }

    /// 2.1.1: a driver only adds bits; clearing happens by writing 0, which resets. Bits that are
    /// missing in `value` therefore stay, and bits that are not the driver's are ignored.
    pub(super) fn write_status(&mut self, host: &mut dyn Host, value: u8) {
        if value == 0 {
            self.reset(host);
            return;
        }
        let added = value & status::OF_DRIVER & !self.status;
        self.status |= added & (status::ACKNOWLEDGE | status::DRIVER | status::FAILED);
        if added & status::FEATURES_OK != 0 {
            match self.judge_features() {
                Ok(()) => self.status |= status::FEATURES_OK,
                Err(reason) => {
                    let identity = host.identity();
                    tracing::warn!(
                        device = identity.device,
                        uuid = %identity.uuid(),
                        %reason,
                        "driver's features refused"
                    );
                }
            }
        }
        // 3.1.1: DRIVER_OK is the last step; without agreed features it does not count.
        if added & status::DRIVER_OK != 0 && self.has(status::FEATURES_OK) {
            self.status |= status::DRIVER_OK;
            self.start(host);
        }
    }

    /// 2.2.2: FEATURES_OK stays clear when the driver's set cannot be operated.
    fn judge_features(&self) -> Result<(), String> {
        let accepted = self.accepted();
        let foreign = accepted & !self.offered;
        if foreign != 0 || self.driver_features[2..] != [0, 0] {
            return Err(format!("bits {foreign:#x} were not offered"));
        }
        if accepted & bits::VERSION_1 == 0 {
            return Err("VERSION_1 is missing and there is no legacy interface".into());
        }
        let packed = accepted & bits::RING_PACKED != 0;
        if self.config.ring_formats == RingFormats::Packed && !packed {
            return Err(
                "RING_PACKED is missing and the device was made for packed rings only".into(),
            );
        }
        match broken_dependency(accepted) {
            Some(feature) => {
                let name = feature_names(feature).pop().unwrap_or("?");
                Err(format!("{name} lacks what it depends on"))
            }
            None => Ok(()),
        }
    }

    /// Filters whose default depends on negotiation are set through the same gate as everything
    /// else; a refusal leaves the port's default.
    fn start(&mut self, host: &mut dyn Host) {
        host.start(self.features());
        if !self.negotiated(bits::CTRL_RX) {
            // A driver that cannot ask for multicast must still get it.
            let _ = host.settle(ControlRequest::AllMulticast(true));
        }
        if self.negotiated(bits::CTRL_VLAN) {
            // 5.1.6.5.3: with the filter negotiated, only VLANs that were added pass.
            let _ = host.settle(ControlRequest::FilterVlans(true));
        }
        if self.has(status::NEEDS_RESET) || host.needs_reset() {
            host.config_changed();
        }
    }
}
