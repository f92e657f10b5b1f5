//! What is written into a doorbell (2.9, 4.1.5.2).

use super::VirtioNet;
use super::features::bits;
use super::layout::PAGE;

/// The value of a doorbell with `VIRTIO_F_NOTIFICATION_DATA`: which queue, and where the driver will
/// put its next entry. The latter is a hint that is not used: rings are looked at themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Notification {
    /// `vq_index`.
    pub queue: u16,
    /// `next_off`, and in packed format `next_wrap` in bit 15.
    pub next: u16,
}

impl Notification {
    /// `None` when it is not one 32-bit write.
    pub(super) fn decode(data: &[u8]) -> Option<Self> {
        let value = u32::from_le_bytes(data.try_into().ok()?);
        Some(Self {
            queue: value as u16,
            next: (value >> 16) as u16,
        })
    }
}

impl VirtioNet {
    /// The queue that a write to the doorbell pages rings. Without `VIRTIO_F_NOTIFICATION_DATA` the
    /// page alone decides; with it the write has to be the page's first 32 bits and to name the
    /// page's queue, else it is no notification.
    pub(super) fn rung(&self, page_queue: Option<u16>, offset: u64, data: &[u8]) -> Option<u16> {
        let queue = page_queue.filter(|_| !data.is_empty())?;
        if !self.state.negotiated(bits::NOTIFICATION_DATA) {
            return Some(queue);
        }
        let notification = Notification::decode(data).filter(|_| offset.is_multiple_of(PAGE))?;
        (notification.queue == queue).then_some(queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtio_4_1_5_2_a_notification_has_queue_and_position() {
        let value = 0x8005_0003_u32.to_le_bytes();
        let decoded = Notification::decode(&value);
        assert_eq!(
            decoded,
            Some(Notification {
                queue: 3,
                next: 0x8005
            })
        );
        for len in [0, 1, 2, 3] {
            assert_eq!(Notification::decode(&value[..len]), None);
        }
        assert_eq!(Notification::decode(&[0; 8]), None);
    }
}
