//! Frames and headers that make no sense, in rings that do.

use super::tools::{good_frame, push_tx, readable, write_frame};
use crate::fakevm::FakeVm;
use crate::fakevm::error::Result;
use crate::fakevm::frame;
use crate::fakevm::net::{HEADER_LEN, NetHeader, gso, header_flag};

const HEADER: u32 = HEADER_LEN as u32;

pub fn shorter_than_header(vm: &mut FakeVm) -> Result<()> {
    let (gpa, _) = good_frame(vm)?;
    push_tx(vm, &[readable(gpa, 5)])
}

pub fn header_only(vm: &mut FakeVm) -> Result<()> {
    let (gpa, _) = good_frame(vm)?;
    push_tx(vm, &[readable(gpa, HEADER)])
}

pub fn runt(vm: &mut FakeVm) -> Result<()> {
    let (gpa, _) = good_frame(vm)?;
    push_tx(vm, &[readable(gpa, HEADER + 13)])
}

pub fn giant(vm: &mut FakeVm) -> Result<()> {
    let (gpa, _) = good_frame(vm)?;
    push_tx(vm, &[readable(gpa, HEADER + 100_000)])
}

pub fn scattered_header(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    let mut pieces: Vec<_> = (0..4).map(|nth| readable(gpa + 3 * nth, 3)).collect();
    pieces.push(readable(gpa + 12, len - HEADER));
    push_tx(vm, &pieces)
}

pub fn empty_pieces(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    let nothing = readable(gpa, 0);
    push_tx(
        vm,
        &[
            nothing,
            readable(gpa, HEADER),
            nothing,
            readable(gpa + 12, len - HEADER),
        ],
    )
}

pub fn crumbs(vm: &mut FakeVm) -> Result<()> {
    let (gpa, len) = good_frame(vm)?;
    let pieces: Vec<_> = (0..len)
        .map(|nth| readable(gpa + u64::from(nth), 1))
        .collect();
    push_tx(vm, &pieces)
}

fn with_header(vm: &mut FakeVm, header: &NetHeader, payload: usize) -> Result<()> {
    let mac = vm.mac()?;
    let frame = frame::tcp4(vm.correspondent, mac, &vec![0x5a; payload]);
    let (gpa, len) = write_frame(vm, header, &frame)?;
    push_tx(vm, &[readable(gpa, len)])
}

pub fn csum_start_past_end(vm: &mut FakeVm) -> Result<()> {
    let flags = header_flag::NEEDS_CSUM;
    let header = NetHeader {
        flags,
        csum_start: 60_000,
        csum_offset: 16,
        ..NetHeader::default()
    };
    with_header(vm, &header, 100)
}

pub fn csum_field_past_end(vm: &mut FakeVm) -> Result<()> {
    let flags = header_flag::NEEDS_CSUM;
    let header = NetHeader {
        flags,
        csum_start: 34,
        csum_offset: u16::MAX,
        ..NetHeader::default()
    };
    with_header(vm, &header, 100)
}

fn segmentation(gso_type: u8, gso_size: u16, hdr_len: u16) -> NetHeader {
    NetHeader {
        flags: header_flag::NEEDS_CSUM,
        gso_type,
        hdr_len,
        gso_size,
        csum_start: 34,
        csum_offset: 16,
        ..NetHeader::default()
    }
}

pub fn gso_size_zero(vm: &mut FakeVm) -> Result<()> {
    with_header(vm, &segmentation(gso::TCPV4, 0, 54), 4000)
}

pub fn hdr_len_past_end(vm: &mut FakeVm) -> Result<()> {
    with_header(vm, &segmentation(gso::TCPV4, 1448, u16::MAX), 4000)
}

pub fn gso_unknown(vm: &mut FakeVm) -> Result<()> {
    with_header(vm, &segmentation(0x42, 1448, 54), 4000)
}

/// 60,000 bytes in segments of one: 60,000 frames out of one, if the device lets itself in for it.
pub fn gso_tiny(vm: &mut FakeVm) -> Result<()> {
    with_header(vm, &segmentation(gso::TCPV4, 1, 54), 60_000)
}
