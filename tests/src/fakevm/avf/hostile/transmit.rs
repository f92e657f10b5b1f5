//! Transmit rings.

use std::time::{Duration, Instant};

use crate::fakevm::avf::AvfVm;
use crate::fakevm::avf::desc::{
    DTYPE_CONTEXT, EOP, Lengths, MAX_PIECES, RS, cmd, context, context_words, data_word, size_bits,
};
use crate::fakevm::bus::Bus;
use crate::fakevm::error::{Error, Result};
use crate::fakevm::frame;
use crate::fakevm::net::{NetGuest, tx_queue};

/// An address where no guest memory is.
pub const NOWHERE: u64 = 0x7f_0000_0000;
/// Number of the frame in which the lies are told.
const LIE: u64 = 0x4c49_4521;
/// Bytes of it.
const LEN: usize = 64;
/// How long the device is given to take a frame.
const TAKEN: Duration = Duration::from_millis(500);
/// How often a descriptor that changes is sent.
const CHANGES: usize = 2000;

/// A good frame in the buffer of the next descriptor; where it lies.
fn good_frame<B: Bus>(vm: &mut AvfVm<B>) -> u64 {
    let frame = frame::numbered(vm.correspondent, vm.mac(), LIE, LEN);
    let tx = &mut vm.pair(0).tx;
    tx.write_buffer(tx.tail(), &frame);
    tx.buffer_gpa(tx.tail())
}

fn whole(size: usize) -> u64 {
    EOP | RS | size_bits(size)
}

/// Puts a good frame into the first descriptor, for rings that begin anew.
pub fn good_first<B: Bus>(vm: &mut AvfVm<B>) {
    let gpa = good_frame(vm);
    vm.pair(0).tx.write_raw(0, [gpa, whole(LEN)]);
}

fn lie<B: Bus>(vm: &mut AvfVm<B>, descriptors: &[[u64; 2]]) -> Result<()> {
    for words in descriptors {
        vm.pair(0).tx.push_raw(*words);
    }
    vm.kick(tx_queue(0))
}

pub fn tail_at_end<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    let size = vm.pair(0).tx.size();
    vm.write_tail(tx_queue(0), size.into())
}

pub fn tail_of_ones<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    vm.write_tail(tx_queue(0), u32::MAX)
}

pub fn tail_goes_back<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    for _ in 0..4 {
        let gpa = good_frame(vm);
        lie(vm, &[[gpa, whole(LEN)]])?;
    }
    // It has to be behind what the device has taken.
    let tx = &vm.pair(0).tx;
    let (ring, last) = (tx.ring().clone(), (tx.tail() + tx.size() - 1) % tx.size());
    let deadline = Instant::now() + TAKEN;
    while ring.acquire64(usize::from(last) * 16 + 8) & 0xf != 0xf && Instant::now() < deadline {
        std::thread::yield_now();
    }
    vm.write_tail(tx_queue(0), 2)
}

pub fn no_type<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    let gpa = good_frame(vm);
    lie(vm, &[[gpa, whole(LEN) | 5]])
}

pub fn done_already<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    let gpa = good_frame(vm);
    lie(vm, &[[gpa, whole(LEN) | 0xf]])
}

pub fn no_bytes<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    let gpa = good_frame(vm);
    lie(vm, &[[gpa, size_bits(LEN)], [gpa, whole(0)]])
}

pub fn too_short<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    let gpa = good_frame(vm);
    lie(vm, &[[gpa, whole(16)]])
}

pub fn nine_buffers<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    let gpa = good_frame(vm);
    let mut descriptors = vec![[gpa, size_bits(LEN)]; MAX_PIECES];
    descriptors.push([gpa, whole(LEN)]);
    lie(vm, &descriptors)
}

pub fn without_end<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    let gpa = good_frame(vm);
    let room = vm.pair(0).tx.free();
    lie(vm, &vec![[gpa, size_bits(LEN)]; room])
}

pub fn only_contexts<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    let room = vm.pair(0).tx.free();
    lie(vm, &vec![[0, DTYPE_CONTEXT]; room])
}

pub fn unmapped<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    lie(vm, &[[NOWHERE, whole(LEN)]])
}

pub fn partly_unmapped<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    let end = memory_end(vm)?;
    lie(vm, &[[end - 32, whole(LEN)]])
}

pub fn wraps<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    lie(vm, &[[u64::MAX - 31, whole(LEN)]])
}

/// Headers of [`large`] frames over IPv4.
const OF_TCP: Lengths = Lengths {
    mac: 14,
    ip: 20,
    l4: 20,
};
/// Headers of [`datagram`].
const OF_UDP: Lengths = Lengths { l4: 8, ..OF_TCP };

/// A large frame over IPv4, with a context descriptor of its own.
fn large_frame<B: Bus>(
    vm: &mut AvfVm<B>,
    mut frame: Vec<u8>,
    (transport, lengths): (u64, Lengths),
    (payload, mss): (u32, u16),
) -> Result<()> {
    for zero in [16, 17, 24, 25] {
        frame[zero] = 0;
    }
    let tx = &mut vm.pair(0).tx;
    tx.write_buffer(tx.tail(), &frame);
    let gpa = tx.buffer_gpa(tx.tail());
    let word = data_word(cmd::IIPT_V4_CSUM | transport, lengths, 0);
    let context = context_words(context::TSO, 0, payload, mss);
    lie(vm, &[context, [gpa, word | whole(frame.len())]])
}

/// One with 1900 bytes of payload in TCP.
fn large<B: Bus>(vm: &mut AvfVm<B>, payload: u32, mss: u16) -> Result<()> {
    let frame = frame::tcp4(vm.correspondent, vm.mac(), &[7; 1900]);
    large_frame(vm, frame, (cmd::L4T_TCP, OF_TCP), (payload, mss))
}

/// The same in UDP.
fn datagram<B: Bus>(vm: &mut AvfVm<B>, lengths: Lengths, payload: u32, mss: u16) -> Result<()> {
    let frame = frame::udp4(vm.correspondent, vm.mac(), &[7; 1900]);
    large_frame(vm, frame, (cmd::L4T_UDP, lengths), (payload, mss))
}

pub fn uso_no_mss<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    datagram(vm, OF_UDP, 1900, 0)
}

pub fn uso_tiny_mss<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    datagram(vm, OF_UDP, 1900, 1)
}

pub fn uso_longer<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    datagram(vm, OF_UDP, 60_000, 1000)
}

pub fn uso_shorter<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    datagram(vm, OF_UDP, 1, 1000)
}

pub fn uso_long_header<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    let lengths = Lengths { l4: 20, ..OF_UDP };
    datagram(vm, lengths, 1888, 1000)
}

pub fn uso_of_tcp<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    let frame = frame::tcp4(vm.correspondent, vm.mac(), &[7; 1900]);
    large_frame(vm, frame, (cmd::L4T_UDP, OF_UDP), (1912, 1000))
}

pub fn no_mss<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    large(vm, 1900, 0)
}

pub fn tiny_mss<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    large(vm, 1900, 1)
}

pub fn tso_longer<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    large(vm, 60_000, 1448)
}

pub fn tso_shorter<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    large(vm, 1, 1448)
}

pub fn long_headers<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    let lengths = Lengths {
        mac: 254,
        ip: 508,
        l4: 60,
    };
    let gpa = good_frame(vm);
    let word = data_word(cmd::IIPT_V4_CSUM | cmd::L4T_TCP, lengths, 0);
    lie(vm, &[[gpa, word | whole(LEN)]])
}

pub fn no_ip<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    let gpa = good_frame(vm);
    let word = data_word(cmd::IIPT_V6 | cmd::L4T_SCTP, OF_TCP, 0);
    lie(vm, &[[gpa, word | whole(LEN)]])
}

pub fn reserved_bits<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    let gpa = good_frame(vm);
    lie(vm, &[[gpa, whole(LEN) | cmd::ICRC << 4]])
}

/// Sends good frames while a thread turns their descriptors into rubbish and back.
pub fn double_fetch<B: Bus>(vm: &mut AvfVm<B>) -> Result<()> {
    let gpa = good_frame(vm);
    let ring = vm.pair(0).tx.ring().clone();
    let size = vm.pair(0).tx.size();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let liar = std::thread::spawn(move || {
        use std::sync::mpsc::TryRecvError::Empty;
        let good = whole(LEN);
        while stopped.try_recv() == Err(Empty) {
            for index in 0..usize::from(size) {
                for (address, word) in [
                    (gpa, good),
                    (NOWHERE, good),
                    (gpa, good | size_bits(0x3fff)),
                    (gpa, good | 7),
                    (gpa, good),
                ] {
                    ring.store64(index * 16, address);
                    ring.store64(index * 16 + 8, word);
                }
            }
        }
    });
    let mut sent = || -> Result<()> {
        for turn in 0..CHANGES {
            let tail = (turn + 1) % usize::from(size);
            vm.write_tail(tx_queue(0), tail as u32)?;
        }
        Ok(())
    };
    let outcome = sent();
    drop(stop);
    let joined = liar.join();
    joined.map_err(|_| Error::Memory("the lying thread has panicked".into()))?;
    outcome
}

/// One past the last address of guest memory.
pub fn memory_end<B: Bus>(vm: &AvfVm<B>) -> Result<u64> {
    let regions = vm.memory.regions();
    let last = regions.iter().map(|region| region.gpa + region.size).max();
    last.ok_or_else(|| Error::Memory("no regions".into()))
}
