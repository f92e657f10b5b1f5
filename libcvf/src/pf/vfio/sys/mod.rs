//! The kernel calls of VFIO. All `unsafe` of this module is here and in [`mmio`].

pub(super) mod mmio;

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;
use vfio_bindings::bindings::vfio::{
    VFIO_BASE, VFIO_TYPE, vfio_device_info, vfio_group_status, vfio_iommu_type1_dma_map,
    vfio_iommu_type1_dma_unmap, vfio_iommu_type1_info, vfio_irq_info, vfio_irq_set,
    vfio_region_info,
};

/// Request code of a VFIO call: they carry no sizes.
macro_rules! code {
    ($number:literal) => {
        nix::request_code_none!(VFIO_TYPE, VFIO_BASE + $number)
    };
}

nix::ioctl_none_bad!(get_api_version, code!(0));
nix::ioctl_write_int_bad!(check_extension, code!(1));
nix::ioctl_write_int_bad!(set_iommu, code!(2));
nix::ioctl_read_bad!(group_get_status, code!(3), vfio_group_status);
nix::ioctl_write_ptr_bad!(group_set_container, code!(4), RawFd);
nix::ioctl_write_ptr_bad!(group_get_device, code!(6), libc::c_char);
nix::ioctl_read_bad!(device_get_info, code!(7), vfio_device_info);
nix::ioctl_read_bad!(device_get_region_info, code!(8), vfio_region_info);
nix::ioctl_read_bad!(device_get_irq_info, code!(9), vfio_irq_info);
nix::ioctl_write_ptr_bad!(device_set_irqs, code!(10), vfio_irq_set);
nix::ioctl_none_bad!(device_reset, code!(11));
// The same number means another thing on another kind of descriptor.
nix::ioctl_read_bad!(iommu_get_info, code!(12), vfio_iommu_type1_info);
nix::ioctl_write_ptr_bad!(iommu_map_dma, code!(13), vfio_iommu_type1_dma_map);
nix::ioctl_read_bad!(iommu_unmap_dma, code!(14), vfio_iommu_type1_dma_unmap);

/// Version of the API that the kernel has.
pub(super) fn api_version(container: BorrowedFd<'_>) -> nix::Result<i32> {
    // SAFETY: the call takes no argument.
    unsafe { get_api_version(container.as_raw_fd()) }
}

/// True where the container knows this extension.
pub(super) fn has_extension(container: BorrowedFd<'_>, extension: u32) -> nix::Result<bool> {
    // SAFETY: the call takes an integer.
    unsafe { check_extension(container.as_raw_fd(), extension as libc::c_int) }.map(|has| has > 0)
}

/// Gives a container, which has a group, its kind of IOMMU.
pub(super) fn choose_iommu(container: BorrowedFd<'_>, kind: u32) -> nix::Result<()> {
    // SAFETY: the call takes an integer.
    unsafe { set_iommu(container.as_raw_fd(), kind as libc::c_int) }.map(drop)
}

/// Flags of a group.
pub(super) fn group_flags(group: BorrowedFd<'_>) -> nix::Result<u32> {
    let mut status = vfio_group_status {
        argsz: size_of::<vfio_group_status>() as u32,
        flags: 0,
    };
    // SAFETY: the pointer is to a live local of the type that the call fills in.
    unsafe { group_get_status(group.as_raw_fd(), &raw mut status) }?;
    Ok(status.flags)
}

/// Puts a group into a container.
pub(super) fn join(group: BorrowedFd<'_>, container: BorrowedFd<'_>) -> nix::Result<()> {
    let container = container.as_raw_fd();
    // SAFETY: the pointer is to a live local.
    unsafe { group_set_container(group.as_raw_fd(), &raw const container) }.map(drop)
}

/// Opens a function of a group by its name.
pub(super) fn device(group: BorrowedFd<'_>, name: &std::ffi::CStr) -> nix::Result<OwnedFd> {
    // SAFETY: the pointer is to a string with its end.
    let fd = unsafe { group_get_device(group.as_raw_fd(), name.as_ptr()) }?;
    // SAFETY: the call has just made this descriptor for us, and nobody else knows of it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // The kernel makes it with close-on-exec on recent versions only.
    nix::fcntl::fcntl(
        &fd,
        nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC),
    )?;
    Ok(fd)
}

/// What a function has.
pub(super) fn device_info(device: BorrowedFd<'_>) -> nix::Result<vfio_device_info> {
    let mut info = vfio_device_info {
        argsz: size_of::<vfio_device_info>() as u32,
        ..Default::default()
    };
    // SAFETY: the pointer is to a live local of the type that the call fills in.
    unsafe { device_get_info(device.as_raw_fd(), &raw mut info) }?;
    Ok(info)
}

/// What a region is.
pub(super) fn region_info(device: BorrowedFd<'_>, index: u32) -> nix::Result<vfio_region_info> {
    let mut info = vfio_region_info {
        argsz: size_of::<vfio_region_info>() as u32,
        index,
        ..Default::default()
    };
    // SAFETY: as in `device_info`.
    unsafe { device_get_region_info(device.as_raw_fd(), &raw mut info) }?;
    Ok(info)
}

/// What a kind of interrupts is.
pub(super) fn irq_info(device: BorrowedFd<'_>, index: u32) -> nix::Result<vfio_irq_info> {
    let mut info = vfio_irq_info {
        argsz: size_of::<vfio_irq_info>() as u32,
        index,
        ..Default::default()
    };
    // SAFETY: as in `device_info`.
    unsafe { device_get_irq_info(device.as_raw_fd(), &raw mut info) }?;
    Ok(info)
}

/// Most events that are set in one call: an MSI-X table has at most 2048 entries (PCIe 7.7.2.2).
const MAX_EVENTS: usize = 2048;

/// Wires interrupts `start..` of a kind to events, -1 to none; without events the kind is switched off.
pub(super) fn set_irqs(
    device: BorrowedFd<'_>,
    (flags, index, start): (u32, u32, u32),
    events: &[RawFd],
) -> nix::Result<()> {
    if events.len() > MAX_EVENTS {
        return Err(Errno::E2BIG);
    }
    let header = size_of::<vfio_irq_set>();
    // Words, so that the header is aligned; it is five of them.
    let words = header / 4 + events.len();
    let mut message = vec![0u32; words];
    let fields = [(4 * words) as u32, flags, index, start, events.len() as u32];
    message[..5].copy_from_slice(&fields);
    for (word, event) in message[5..].iter_mut().zip(events) {
        *word = event.cast_unsigned();
    }
    // SAFETY: the message begins with a whole `vfio_irq_set`, and the events that its count names follow;
    // the kernel reads `argsz` bytes of it and keeps no pointer.
    unsafe { device_set_irqs(device.as_raw_fd(), message.as_ptr().cast()) }.map(drop)
}

/// Resets a function.
pub(super) fn reset(device: BorrowedFd<'_>) -> nix::Result<()> {
    // SAFETY: the call takes no argument.
    unsafe { device_reset(device.as_raw_fd()) }.map(drop)
}

/// What an IOMMU says of itself: the fixed part, and behind it its capabilities, as one message.
pub(super) fn iommu_info(container: BorrowedFd<'_>) -> nix::Result<Vec<u8>> {
    let fixed = size_of::<vfio_iommu_type1_info>();
    let mut size = fixed;
    // The kernel says how much it would have liked to write; that does not grow without end.
    for _ in 0..4 {
        let mut message = vec![0u64; size.div_ceil(8)];
        let info: *mut vfio_iommu_type1_info = message.as_mut_ptr().cast();
        // SAFETY: the message is at least as long as the fixed part and aligned for it; all-zero is a valid
        // value of it, and so is whatever the kernel writes: it is plain data. The kernel writes at most
        // `argsz` bytes, which are there.
        let wanted = unsafe {
            (*info).argsz = size as u32;
            iommu_get_info(container.as_raw_fd(), info)?;
            (*info).argsz as usize
        };
        if wanted <= size {
            return Ok(message
                .iter()
                .flat_map(|word| word.to_ne_bytes())
                .take(size)
                .collect());
        }
        if wanted > MAX_IOMMU_INFO {
            break;
        }
        size = wanted;
    }
    Err(Errno::EMSGSIZE)
}

/// Most bytes that are taken of what an IOMMU says of itself.
const MAX_IOMMU_INFO: usize = 1 << 20;

/// Has the function's DMA at `iova` reach `size` bytes of this process at `address`; they are pinned.
///
/// Whoever calls keeps that memory mapped until it is unmapped here: what is pinned stays reachable for the
/// function even then, so nothing is corrupted else, but it would not be the memory that we see.
pub(super) fn map_dma(
    container: BorrowedFd<'_>,
    flags: u32,
    address: usize,
    iova: u64,
    size: u64,
) -> nix::Result<()> {
    let map = vfio_iommu_type1_dma_map {
        argsz: size_of::<vfio_iommu_type1_dma_map>() as u32,
        flags,
        vaddr: address as u64,
        iova,
        size,
    };
    // SAFETY: the pointer is to a live local. The memory is shared memory of a client or of our own that is only
    // ever accessed as such (`crate::mem`), so that a function which writes there breaks no rule of Rust's.
    unsafe { iommu_map_dma(container.as_raw_fd(), &raw const map) }.map(drop)
}

/// Takes DMA mappings inside a range away; how many bytes they were. On return no DMA to them lands any more.
pub(super) fn unmap_dma(container: BorrowedFd<'_>, iova: u64, size: u64) -> nix::Result<u64> {
    let mut unmap = vfio_iommu_type1_dma_unmap {
        argsz: size_of::<vfio_iommu_type1_dma_unmap>() as u32,
        iova,
        size,
        ..Default::default()
    };
    // SAFETY: the pointer is to a live local of the type that the call fills in; no flag asks for the data behind it.
    unsafe { iommu_unmap_dma(container.as_raw_fd(), &raw mut unmap) }?;
    Ok(unmap.size)
}
