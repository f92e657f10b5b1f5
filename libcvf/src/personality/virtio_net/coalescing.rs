//! `VIRTIO_NET_CTRL_NOTF_COAL` (5.1.6.5.9).

use super::super::{Host, QueueRole};
use super::commands::exact;
use super::state::State;
use super::{CONTROL_ERR, CONTROL_OK};
use crate::control::{Coalescing, CoalescingScope, ControlRequest};
use crate::limits::MAX_COALESCE_USECS;

/// Bytes of `struct virtio_net_ctrl_coal`.
const COAL: usize = 8;

/// `struct virtio_net_ctrl_coal`; nobody waits longer than [`MAX_COALESCE_USECS`].
fn coal(data: &[u8]) -> Option<Coalescing> {
    let [p0, p1, p2, p3, u0, u1, u2, u3] = exact(data)?;
    let coalescing = Coalescing {
        max_packets: u32::from_le_bytes([p0, p1, p2, p3]),
        max_usecs: u32::from_le_bytes([u0, u1, u2, u3]),
    };
    (coalescing.max_usecs <= MAX_COALESCE_USECS).then_some(coalescing)
}

/// For all queues of a direction.
pub(super) fn set(scope: CoalescingScope, data: &[u8]) -> Option<ControlRequest> {
    Some(ControlRequest::SetCoalescing(scope, coal(data)?))
}

impl State {
    /// The role of an enabled data queue: what `vq_index` must name.
    fn enabled(&self, data: [u8; 4]) -> Option<QueueRole> {
        // The second word is reserved and ignored.
        let queue = u16::from_le_bytes([data[0], data[1]]);
        let role = self.role(queue)?;
        let enabled = self.queues.get(usize::from(queue))?.enabled;
        (enabled && role != QueueRole::Control).then_some(role)
    }

    /// `VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET`.
    pub(super) fn queue_coalescing(&self, data: &[u8]) -> Option<ControlRequest> {
        let (queue, rest) = data.split_first_chunk()?;
        let scope = match self.enabled(*queue)? {
            QueueRole::Receive(pair) => CoalescingScope::ReceiveQueue(pair),
            QueueRole::Transmit(pair) => CoalescingScope::TransmitQueue(pair),
            QueueRole::Control => return None,
        };
        set(scope, rest)
    }

    /// `VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET`. `struct virtio_net_ctrl_coal` is the rest of the command's
    /// own data, so it lies before `ack`, not behind it as a result would (5.1.6.5, 5.1.6.5.9).
    pub(super) fn read_coalescing(&self, host: &dyn Host, data: &[u8], room: usize) -> Vec<u8> {
        let role = exact(data).and_then(|data| self.enabled(data));
        match role.filter(|_| room > COAL) {
            Some(role) => {
                let Coalescing {
                    max_usecs,
                    max_packets,
                } = host.coalescing(role);
                let mut answer = max_packets.to_le_bytes().to_vec();
                answer.extend_from_slice(&max_usecs.to_le_bytes());
                answer.push(CONTROL_OK);
                answer
            }
            None => {
                let mut answer = vec![0; room.saturating_sub(1).min(COAL)];
                answer.push(CONTROL_ERR);
                answer
            }
        }
    }
}
