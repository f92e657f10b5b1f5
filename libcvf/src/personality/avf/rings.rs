//! Where the driver put its rings.

use super::super::Host;
use super::capabilities::bits;
use super::message::{Outcome, check_vsi};
use super::refusal::{Refusal, VirtchnlStatus};
use super::state::{Placed, State};
use super::wire::queues::{PairInfo, QueueConfig, ReceiveInfo, TransmitInfo};
use crate::limits::{
    AVF_RING_ALIGN, AVF_RING_STEP, MAX_AVF_BUFFER, MAX_AVF_FRAME, MAX_AVF_RING_SIZE,
    MIN_AVF_BUFFER, MIN_AVF_LONGEST, MIN_RING_SIZE,
};
use crate::ring::{AvfRing, ReceiveFormat};

/// How large a ring is and where it lies.
fn place(ring_len: u32, base: u64) -> Result<Placed, Refusal> {
    let size = u16::try_from(ring_len).ok();
    let size = size.filter(|size| AvfRing::is_size(*size));
    let Some(size) = size else {
        return Err(Refusal::param(format!(
            "a ring of {ring_len} descriptors: it has to have {MIN_RING_SIZE} to {MAX_AVF_RING_SIZE}, in \
             steps of {AVF_RING_STEP}"
        )));
    };
    if !base.is_multiple_of(AVF_RING_ALIGN) {
        return Err(Refusal::param(format!(
            "the ring at {base:#x} is not {AVF_RING_ALIGN}-byte aligned"
        )));
    }
    Ok(Placed {
        size,
        base,
        buffer: 0,
        longest: 0,
        format: ReceiveFormat::default(),
        keep_crc: false,
    })
}

/// `None`: it is not configured by this message.
fn transmit(info: &TransmitInfo) -> Result<Option<Placed>, Refusal> {
    if info.headwb_enabled != 0 {
        return Err(Refusal::param("write-back of heads is not supported"));
    }
    if info.ring_len == 0 {
        return Ok(None);
    }
    place(info.ring_len.into(), info.address).map(Some)
}

fn receive(info: &ReceiveInfo) -> Result<Option<Placed>, Refusal> {
    if info.splithdr_enabled != 0 {
        return Err(Refusal::param("splitting headers off is not supported"));
    }
    if info.ring_len == 0 {
        return Ok(None);
    }
    let (buffer, longest) = (info.databuffer_size, info.max_pkt_size);
    if !(MIN_AVF_BUFFER..=MAX_AVF_BUFFER).contains(&buffer) {
        return Err(Refusal::param(format!(
            "receive buffers of {buffer} bytes: they have to have {MIN_AVF_BUFFER} to {MAX_AVF_BUFFER}"
        )));
    }
    if !(MIN_AVF_LONGEST..=MAX_AVF_FRAME).contains(&longest) {
        return Err(Refusal::param(format!(
            "a longest frame of {longest} bytes: it has to have {MIN_AVF_LONGEST} to {MAX_AVF_FRAME}"
        )));
    }
    let placed = place(info.ring_len, info.address)?;
    Ok(Some(Placed {
        buffer,
        longest,
        ..placed
    }))
}

impl State {
    /// How a receive queue's descriptors are to be given back, and whether its frames come with their check sequence.
    fn delivery(&self, info: &ReceiveInfo) -> Result<(ReceiveFormat, bool), Refusal> {
        let keep_crc = info.crc_disable != 0;
        if keep_crc && !self.has(bits::OFFLOAD_CRC) {
            let what = "check sequences are to be kept, and that capability was not granted";
            return Err(Refusal::param(what));
        }
        if keep_crc && self.strips_tags() {
            let what = "check sequences cannot be kept of frames that tags are taken out of";
            return Err(Refusal::param(what));
        }
        if !self.has(bits::OFFLOAD_RX_FLEX_DESC) {
            // As with PFs, whatever stands there.
            return Ok((ReceiveFormat::Legacy, keep_crc));
        }
        let format = ReceiveFormat::of(info.rxdid).ok_or_else(|| {
            Refusal::param(format!(
                "{} is no format of receive descriptors that is supported",
                info.rxdid
            ))
        })?;
        Ok((format, keep_crc))
    }

    /// Whether tags are taken out of received frames, from here on.
    pub(super) fn strip_tags(&self, on: bool) -> Result<Outcome, Refusal> {
        let kept = |placed: &Placed| placed.keep_crc;
        if on
            && self
                .queues
                .iter()
                .any(|queue| queue.placed.as_ref().is_some_and(kept))
        {
            return Err(Refusal::new(
                VirtchnlStatus::ErrNotSupported,
                "tags cannot be taken out of frames whose check sequences are kept",
            ));
        }
        self.set_strip(on);
        Ok(Outcome::done())
    }

    /// A pair's index and where its queues are.
    fn check_pair(&self, vsi: u16, info: &PairInfo) -> Result<(u16, [Option<Placed>; 2]), Refusal> {
        let PairInfo {
            transmit: tx,
            receive: rx,
        } = info;
        check_vsi(tx.vsi)?;
        check_vsi(rx.vsi)?;
        check_vsi(vsi)?;
        let pair = tx.queue;
        if rx.queue != pair {
            return Err(Refusal::param(format!(
                "queues {pair} and {} are no pair",
                rx.queue
            )));
        }
        self.check_queue(pair)?;
        let mut receive = receive(rx)?;
        if let Some(placed) = &mut receive {
            // Drivers say what they have room for, some whatever they were told.
            placed.longest = placed.longest.min(self.config.longest_frame().into());
            (placed.format, placed.keep_crc) = self.delivery(rx)?;
        }
        Ok((pair, [receive, transmit(tx)?]))
    }

    /// Everything is checked before anything changes. What is enabled is taken out of use first, as PFs do; a
    /// transmit ring begins with nothing in it, while a receive ring has what was posted before.
    pub(super) fn config_queues(
        &mut self,
        host: &mut dyn Host,
        bytes: &[u8],
    ) -> Result<Outcome, Refusal> {
        let config = QueueConfig::parse(bytes).ok_or_else(Refusal::length)?;
        check_vsi(config.vsi)?;
        if config.pairs.len() > usize::from(self.pairs) {
            let (asked, have) = (config.pairs.len(), self.pairs);
            return Err(Refusal::param(format!(
                "{asked} queue pairs to be configured, the function has {have}"
            )));
        }
        let checked = config
            .pairs
            .iter()
            .map(|info| self.check_pair(config.vsi, info))
            .collect::<Result<Vec<_>, _>>()?;
        for (pair, placed) in checked {
            for (direction, placed) in (0..).zip(placed) {
                let index = 2 * pair + direction;
                let queue = &mut self.queues[usize::from(index)];
                let Some(placed) = placed else { continue };
                if std::mem::take(&mut queue.enabled) {
                    host.queue_disable(index);
                }
                if direction == 1 {
                    queue.tail.renew();
                }
                queue.placed = Some(placed);
            }
        }
        Ok(Outcome::done())
    }
}
